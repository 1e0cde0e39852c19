/*
 * The limit: what a program can do that has no file to read, nothing to decide and nothing to say.
 *
 *   limit install FILE          send the ready-made requests of FILE
 *   limit keep FILE             the same, then put back what goes, until killed
 *   limit dump FAMILY PROTOCOL  read the routes of table main with that protocol, and look at nothing
 *   limit churn CHANGES RATE    add and delete routes of a protocol of its own, so many changes a second; 0 is no limit
 *
 * FILE holds netlink requests of one length, in the order of their destinations, without sequence numbers. `keep` does
 * what the kernel's silence asks for too: all again after lost events, after a storm, and when a link comes up.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 512,         /* messages */
    STORM = 256,         /* deletions at once that are answered with everything */
    QUIET = 10,          /* ms without an event: the storm is over */
    BUFFER = 64 << 20,   /* bytes of the receive buffer */
    CHURNED = 1000,      /* routes that come and go */
    CHURN_PROTOCOL = 99,
    DESTINATION_AT = 32, /* nlmsghdr, rtmsg, the header of RTA_DST, which comes first in FILE */
};

struct requests {
    char *data;
    size_t length; /* of one */
    size_t count;
};

static char answers[1 << 18];

static void give_up(const char *what) {
    perror(what);
    exit(1);
}

static int open_socket(unsigned groups) {
    int opened = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), size = BUFFER, on = 1;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
    if (opened < 0 || bind(opened, (struct sockaddr *)&address, sizeof address))
        give_up("socket");
    if (setsockopt(opened, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) ||
        setsockopt(opened, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) ||
        setsockopt(opened, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on) ||
        setsockopt(opened, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on))
        give_up("setsockopt");
    return opened;
}

static struct requests read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    struct requests read = {0};
    if (!file || fseek(file, 0, SEEK_END))
        give_up(path);
    size_t size = (size_t)ftell(file);
    rewind(file);
    read.data = malloc(size + 1);
    if (!read.data || fread(read.data, 1, size, file) != size)
        give_up(path);
    fclose(file);
    read.length = size ? ((struct nlmsghdr *)read.data)->nlmsg_len : 1;
    read.count = size / read.length;
    return read;
}

/* One batch; only its last message is acknowledged, errors come anyway and are passed over. */
static void send_batch(int opened, char *data, size_t count, size_t length) {
    struct nlmsghdr *last = (struct nlmsghdr *)(data + (count - 1) * length);
    last->nlmsg_flags |= NLM_F_ACK;
    last->nlmsg_seq = 1;
    if (send(opened, data, count * length, 0) < 0)
        give_up("send");
    for (;;) {
        struct nlmsghdr *answer = (struct nlmsghdr *)answers;
        if (recv(opened, answers, sizeof answers, 0) < 0)
            give_up("recv");
        if (answer->nlmsg_type == NLMSG_ERROR && answer->nlmsg_seq == 1)
            break;
    }
    last->nlmsg_flags &= (unsigned short)~NLM_F_ACK;
    last->nlmsg_seq = 0;
}

static void install(int opened, struct requests all) {
    for (size_t at = 0; at < all.count; at += BATCH) {
        size_t count = all.count - at < BATCH ? all.count - at : BATCH;
        send_batch(opened, all.data + at * all.length, count, all.length);
    }
}

/* RTA_DST of a notification; NULL for the default route. */
static char *find_destination(struct nlmsghdr *message) {
    int size = (int)RTM_PAYLOAD(message);
    for (struct rtattr *one = RTM_RTA(NLMSG_DATA(message)); RTA_OK(one, size); one = RTA_NEXT(one, size))
        if (one->rta_type == RTA_DST)
            return RTA_DATA(one);
    return NULL;
}

static char *find_request(struct requests all, struct nlmsghdr *message) {
    struct rtmsg *route = NLMSG_DATA(message);
    char *destination = find_destination(message);
    size_t low = 0, high = all.count, size = route->rtm_family == AF_INET ? 4 : 16;
    if (!destination || all.length < DESTINATION_AT + size)
        return NULL;
    while (low < high) {
        size_t middle = (low + high) / 2;
        char *request = all.data + middle * all.length;
        struct rtmsg *ours = NLMSG_DATA((struct nlmsghdr *)request);
        int order = memcmp(request + DESTINATION_AT, destination, size);
        if (order == 0)
            return ours->rtm_protocol == route->rtm_protocol && ours->rtm_dst_len == route->rtm_dst_len ? request : NULL;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void keep(int requests, struct requests all) {
    int events = open_socket(RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE), is_all_dirty = 0;
    struct pollfd readable = {.fd = events, .events = POLLIN};
    char *batch = malloc(STORM * all.length);
    size_t gone = 0;
    install(requests, all);
    for (;;) {
        if (poll(&readable, 1, is_all_dirty ? QUIET : -1) == 0) {
            install(requests, all);
            is_all_dirty = 0;
            continue;
        }
        for (;;) {
            ssize_t size = recv(events, answers, sizeof answers, MSG_DONTWAIT);
            if (size < 0 && errno == EAGAIN)
                break;
            if (size < 0 && errno != ENOBUFS)
                give_up("recv");
            if (size < 0)
                is_all_dirty = 1;
            for (struct nlmsghdr *one = (struct nlmsghdr *)answers; size > 0 && NLMSG_OK(one, (unsigned)size);
                 one = NLMSG_NEXT(one, size)) {
                struct ifinfomsg *link = NLMSG_DATA(one);
                if (one->nlmsg_type == RTM_NEWLINK && link->ifi_flags & IFF_RUNNING)
                    is_all_dirty = 1;
                char *request = one->nlmsg_type == RTM_DELROUTE ? find_request(all, one) : NULL;
                if (!request)
                    continue;
                if (gone == STORM)
                    is_all_dirty = 1;
                else
                    memcpy(batch + all.length * gone++, request, all.length);
            }
        }
        if (gone && !is_all_dirty)
            send_batch(requests, batch, gone, all.length);
        gone = 0;
    }
}

static void dump(int opened, int family, int protocol) {
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } request = {
        {sizeof request, RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
        {.rtm_family = (unsigned char)family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = (unsigned char)protocol},
    };
    size_t bytes = 0;
    if (send(opened, &request, sizeof request, 0) < 0)
        give_up("send");
    for (;;) {
        ssize_t size = recv(opened, answers, sizeof answers, 0);
        struct nlmsghdr *first = (struct nlmsghdr *)answers;
        if (size < 0)
            give_up("recv");
        bytes += (size_t)size;
        /* The closing message comes alone or last; a partial look at the last 20 bytes finds it. */
        struct nlmsghdr *last = (struct nlmsghdr *)(answers + size - NLMSG_LENGTH(sizeof(int)));
        if (first->nlmsg_type == NLMSG_DONE || first->nlmsg_type == NLMSG_ERROR ||
            (last->nlmsg_type == NLMSG_DONE && last->nlmsg_len == NLMSG_LENGTH(sizeof(int))))
            break;
    }
    printf("%zu\n", bytes);
}

static double now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

static void churn(int opened, long changes, long rate) {
    struct change {
        struct nlmsghdr header;
        struct rtmsg route;
        struct rtattr attribute;
        unsigned char destination[4];
    } *all = calloc(CHURNED, sizeof *all);
    double began = now();
    for (int number = 0; number < CHURNED; number++)
        all[number] = (struct change){
            {sizeof *all, 0, 0, 0, 0},
            {.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = CHURN_PROTOCOL,
             .rtm_type = RTN_BLACKHOLE},
            {sizeof(struct rtattr) + 4, RTA_DST},
            {172, 16, (unsigned char)(number / 256), (unsigned char)(number % 256)},
        };
    for (long done = 0; done < changes; done += CHURNED) {
        int is_addition = done / CHURNED % 2 == 0;
        for (int number = 0; number < CHURNED; number++) {
            all[number].header.nlmsg_type = is_addition ? RTM_NEWROUTE : RTM_DELROUTE;
            all[number].header.nlmsg_flags = NLM_F_REQUEST | (is_addition ? NLM_F_CREATE | NLM_F_EXCL : 0);
        }
        send_batch(opened, (char *)all, CHURNED, sizeof *all);
        double early = rate ? began + (double)(done + CHURNED) / (double)rate - now() : 0;
        if (early > 0)
            usleep((useconds_t)(early * 1e6));
    }
}

int main(int count, char **words) {
    int opened = open_socket(0);
    if (count == 3 && !strcmp(words[1], "install"))
        install(opened, read_requests(words[2]));
    else if (count == 3 && !strcmp(words[1], "keep"))
        keep(opened, read_requests(words[2]));
    else if (count == 4 && !strcmp(words[1], "dump"))
        dump(opened, atoi(words[2]), atoi(words[3]));
    else if (count == 4 && !strcmp(words[1], "churn"))
        churn(opened, atol(words[2]), atol(words[3]));
    else
        return fputs("limit: see the head of its source\n", stderr), 64;
    return 0;
}
