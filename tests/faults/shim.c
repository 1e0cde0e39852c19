/*
 * A library to preload: it makes chosen libc calls of one process fail, as the small file says that it shares with the test.
 *
 * Here belong the calls and which class each is of. Here must never live: which errors a class may give, or what follows
 * from one; that is classes.py. FAULTS_CONTROL names the file, FAULTS_CODE folders of code, parted by colons, and
 * FAULTS_BEGIN a folder: a process that has to wait counts nothing until it looks for something there.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define CLASSES(X) \
    X(SEND_REQUEST, "send-request") X(RECEIVE_ANSWER, "receive-answer") X(RECEIVE_EVENT, "receive-event") \
    X(SEND_LOCAL, "send-local") X(RECEIVE_LOCAL, "receive-local") X(SEND_PACKET, "send-packet") \
    X(SOCKET, "socket") X(BIND, "bind") X(LISTEN, "listen") X(CONNECT, "connect") X(ACCEPT, "accept") \
    X(SETSOCKOPT, "setsockopt") X(GETSOCKOPT, "getsockopt") X(GETSOCKNAME, "getsockname") \
    X(POLL, "poll") X(EPOLL, "epoll") X(EPOLL_CTL, "epoll-ctl") X(DESCRIPTOR, "descriptor") \
    X(OPEN, "open") X(CREATE, "create") X(READ, "read") X(WRITE, "write") X(FSYNC, "fsync") X(RENAME, "rename") X(MKDIR, "mkdir") \
    X(UNLINK, "unlink") X(CHMOD, "chmod") X(STAT, "stat") X(READLINK, "readlink") X(OPENDIR, "opendir") \
    X(READDIR, "readdir") X(LOCK, "lock") X(IOCTL, "ioctl") X(INOTIFY, "inotify") X(SPAWN, "spawn") X(THREAD, "thread")

#define NUMBER(name, word) name,
#define WORD(name, word) word,
enum class { CLASSES(NUMBER) COUNT, NONE = COUNT };

/* The list that the tests compare with their table; it ends in NULL. */
const char *const fault_classes[] = {CLASSES(WORD) NULL};

#define MOST_CLASSES 64
_Static_assert((int)COUNT <= MOST_CLASSES, "the counters of control.py have no more places");

enum whom { DAEMON, CHILDREN };
enum verdict { PASS, BEFORE, AFTER };

/* Written by control.py, which knows this layout: 32 bits each, in the byte order of the host. */
struct control {
    _Atomic int32_t pid;          /* the daemon; 0: whoever loads this first */
    _Atomic uint32_t armed;       /* class + 1; 0: none */
    _Atomic uint32_t first;       /* the call of that class that fails first, from 0 */
    _Atomic uint32_t count;       /* how many fail in a row */
    _Atomic int32_t error;        /* the errno that they give */
    _Atomic uint32_t is_done;     /* is the call done all the same, before it fails? */
    _Atomic uint32_t whom;        /* enum whom */
    _Atomic uint32_t spares_code; /* are the files of Python's modules left out? */
    _Atomic uint32_t waits;       /* does nothing count yet? */
    _Atomic uint32_t seen;        /* calls of that class since it was armed */
    _Atomic uint32_t failed;      /* how many of them were made to fail */
    _Atomic uint32_t calls[2][MOST_CLASSES];
};

static struct control *control;
static const char *code, *begin;

__attribute__((constructor)) static void open_control(void) {
    const char *path = getenv("FAULTS_CONTROL");
    int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (shared == MAP_FAILED)
        return;
    control = shared;
    code = getenv("FAULTS_CODE");
    begin = getenv("FAULTS_BEGIN");
    int32_t nobody = 0;
    atomic_compare_exchange_strong(&control->pid, &nobody, getpid());
}

static enum verdict judge(enum class class) {
    if (!control || control->waits || class == NONE)
        return PASS;
    enum whom whom = getpid() == control->pid ? DAEMON : CHILDREN;
    control->calls[whom][class]++;
    if (control->armed != (uint32_t)class + 1 || control->whom != (uint32_t)whom)
        return PASS;
    uint32_t place = control->seen++;
    if (place < control->first || place - control->first >= control->count)
        return PASS;
    control->failed++;
    return control->is_done ? AFTER : BEFORE;
}

/* --- what a call is about ---------------------------------------------------------------------------------------- */

/* While the daemon starts, and in its children, Python reads modules: what it cannot read then is Python's to tell. */
static int is_spared(void) {
    return control && code && (control->spares_code || getpid() != control->pid);
}

static int is_code(const char *path) {
    if (!is_spared() || !path || *path != '/')
        return 0;
    for (const char *folder = code; *folder;) {
        size_t length = strcspn(folder, ":");
        if (length && !strncmp(path, folder, length))
            return 1;
        folder += length + (folder[length] == ':');
    }
    return 0;
}

static int is_code_in(int file) {
    char link[32], path[4096];
    if (!is_spared())
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_code(path);
}

static int option_of(int socket, int option) {
    int value = -1;
    socklen_t size = sizeof value;
    return syscall(SYS_getsockopt, socket, SOL_SOCKET, option, &value, &size) ? -1 : value;
}

static int has_groups(int socket) {
    struct sockaddr_nl name = {0};
    socklen_t size = sizeof name;
    return !syscall(SYS_getsockname, socket, &name, &size) && name.nl_groups;
}

/* A stream without a name is the pipe by which asyncio wakes itself: nobody is at its other end but us. */
static int is_own_pipe(int socket) {
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    return option_of(socket, SO_TYPE) == SOCK_STREAM && !syscall(SYS_getsockname, socket, &name, &size) &&
           size <= sizeof(sa_family_t);
}

static enum class sending(int socket) {
    int error = errno, family = control ? option_of(socket, SO_DOMAIN) : -1;
    enum class class = family == AF_UNIX && !is_own_pipe(socket) ? SEND_LOCAL
                       : family == AF_NETLINK                    ? SEND_REQUEST
                       : family == AF_PACKET                     ? SEND_PACKET
                                                                 : NONE;
    errno = error;
    return class;
}

static enum class receiving(int socket) {
    int error = errno, family = control ? option_of(socket, SO_DOMAIN) : -1;
    enum class class = NONE;
    if (family == AF_NETLINK)
        class = has_groups(socket) ? RECEIVE_EVENT : RECEIVE_ANSWER;
    else if (family == AF_UNIX && !is_own_pipe(socket))
        class = RECEIVE_LOCAL;
    errno = error;
    return class;
}

static enum class unless_code(enum class class, const char *path) {
    if (control && control->waits && begin && path && !strncmp(path, begin, strlen(begin)))
        control->waits = 0;
    return is_code(path) ? NONE : class;
}

static enum class unless_code_in(enum class class, int file) {
    int error = errno;
    class = is_code_in(file) ? NONE : class;
    errno = error;
    return class;
}

/* --- the calls --------------------------------------------------------------------------------------------------- */

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Ask what is to become of this call, and return what it gives. */
#define CARRY_OUT(class, failure, call) \
    do { \
        enum verdict verdict = judge(class); \
        if (verdict == BEFORE) { \
            errno = control->error; \
            return failure; \
        } \
        __typeof__(call) result = call; \
        if (verdict == AFTER) { \
            errno = control->error; \
            return failure; \
        } \
        return result; \
    } while (0)

#define WRAP(type, name, parameters, arguments, class, failure) \
    type name parameters { \
        REAL(name); \
        CARRY_OUT(class, failure, real arguments); \
    }

WRAP(ssize_t, send, (int s, const void *b, size_t n, int f), (s, b, n, f), sending(s), -1)
WRAP(ssize_t, sendto, (int s, const void *b, size_t n, int f, const struct sockaddr *a, socklen_t l), (s, b, n, f, a, l), sending(s), -1)
WRAP(ssize_t, sendmsg, (int s, const struct msghdr *m, int f), (s, m, f), sending(s), -1)
WRAP(ssize_t, recv, (int s, void *b, size_t n, int f), (s, b, n, f), receiving(s), -1)
WRAP(ssize_t, recvfrom, (int s, void *b, size_t n, int f, struct sockaddr *a, socklen_t *l), (s, b, n, f, a, l), receiving(s), -1)
WRAP(ssize_t, recvmsg, (int s, struct msghdr *m, int f), (s, m, f), receiving(s), -1)
WRAP(int, socket, (int d, int t, int p), (d, t, p), SOCKET, -1)
WRAP(int, bind, (int s, const struct sockaddr *a, socklen_t l), (s, a, l), BIND, -1)
WRAP(int, listen, (int s, int n), (s, n), LISTEN, -1)
WRAP(int, connect, (int s, const struct sockaddr *a, socklen_t l), (s, a, l), CONNECT, -1)
WRAP(int, accept, (int s, struct sockaddr *a, socklen_t *l), (s, a, l), ACCEPT, -1)
WRAP(int, accept4, (int s, struct sockaddr *a, socklen_t *l, int f), (s, a, l, f), ACCEPT, -1)
WRAP(int, setsockopt, (int s, int l, int o, const void *v, socklen_t n), (s, l, o, v, n), SETSOCKOPT, -1)
WRAP(int, getsockopt, (int s, int l, int o, void *v, socklen_t *n), (s, l, o, v, n), GETSOCKOPT, -1)
WRAP(int, getsockname, (int s, struct sockaddr *a, socklen_t *l), (s, a, l), GETSOCKNAME, -1)

WRAP(int, poll, (struct pollfd *p, nfds_t n, int t), (p, n, t), POLL, -1)
WRAP(int, ppoll, (struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *m), (p, n, t, m), POLL, -1)
WRAP(int, select, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t), (n, r, w, e, t), POLL, -1)
WRAP(int, epoll_wait, (int p, struct epoll_event *e, int n, int t), (p, e, n, t), EPOLL, -1)
WRAP(int, epoll_pwait, (int p, struct epoll_event *e, int n, int t, const sigset_t *m), (p, e, n, t, m), EPOLL, -1)

WRAP(int, epoll_ctl, (int p, int o, int f, struct epoll_event *e), (p, o, f, e), o == EPOLL_CTL_DEL ? NONE : EPOLL_CTL, -1)
WRAP(int, epoll_create1, (int f), (f), DESCRIPTOR, -1)
WRAP(int, eventfd, (unsigned n, int f), (n, f), DESCRIPTOR, -1)
WRAP(int, pipe, (int p[2]), (p), DESCRIPTOR, -1)
WRAP(int, pipe2, (int p[2], int f), (p, f), DESCRIPTOR, -1)
WRAP(int, socketpair, (int d, int t, int p, int s[2]), (d, t, p, s), DESCRIPTOR, -1)

WRAP(ssize_t, read, (int f, void *b, size_t n), (f, b, n), unless_code_in(READ, f), -1)
WRAP(ssize_t, readv, (int f, const struct iovec *v, int n), (f, v, n), unless_code_in(READ, f), -1)
WRAP(ssize_t, pread64, (int f, void *b, size_t n, off64_t o), (f, b, n, o), unless_code_in(READ, f), -1)
WRAP(ssize_t, write, (int f, const void *b, size_t n), (f, b, n), unless_code_in(WRITE, f), -1)
WRAP(ssize_t, writev, (int f, const struct iovec *v, int n), (f, v, n), unless_code_in(WRITE, f), -1)
WRAP(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), (f, b, n, o), unless_code_in(WRITE, f), -1)
WRAP(int, fsync, (int f), (f), FSYNC, -1)
WRAP(int, fdatasync, (int f), (f), FSYNC, -1)

WRAP(int, rename, (const char *a, const char *b), (a, b), unless_code(RENAME, a), -1)
WRAP(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b), unless_code(RENAME, a), -1)
WRAP(int, mkdir, (const char *p, mode_t m), (p, m), unless_code(MKDIR, p), -1)
WRAP(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m), unless_code(MKDIR, p), -1)
WRAP(int, unlink, (const char *p), (p), unless_code(UNLINK, p), -1)
WRAP(int, unlinkat, (int d, const char *p, int f), (d, p, f), unless_code(UNLINK, p), -1)
WRAP(int, rmdir, (const char *p), (p), unless_code(UNLINK, p), -1)
WRAP(int, chmod, (const char *p, mode_t m), (p, m), unless_code(CHMOD, p), -1)
WRAP(int, fchmod, (int f, mode_t m), (f, m), CHMOD, -1)
WRAP(int, fchmodat, (int d, const char *p, mode_t m, int f), (d, p, m, f), unless_code(CHMOD, p), -1)
WRAP(int, chown, (const char *p, uid_t u, gid_t g), (p, u, g), unless_code(CHMOD, p), -1)
WRAP(int, fchown, (int f, uid_t u, gid_t g), (f, u, g), CHMOD, -1)
WRAP(int, stat, (const char *p, struct stat *s), (p, s), unless_code(STAT, p), -1)
WRAP(int, lstat, (const char *p, struct stat *s), (p, s), unless_code(STAT, p), -1)
WRAP(int, fstat, (int f, struct stat *s), (f, s), unless_code_in(STAT, f), -1)
WRAP(int, fstatat, (int d, const char *p, struct stat *s, int f), (d, p, s, f), unless_code(STAT, p), -1)
WRAP(int, stat64, (const char *p, struct stat64 *s), (p, s), unless_code(STAT, p), -1)
WRAP(int, lstat64, (const char *p, struct stat64 *s), (p, s), unless_code(STAT, p), -1)
WRAP(int, fstat64, (int f, struct stat64 *s), (f, s), unless_code_in(STAT, f), -1)
WRAP(int, fstatat64, (int d, const char *p, struct stat64 *s, int f), (d, p, s, f), unless_code(STAT, p), -1)
WRAP(int, statx, (int d, const char *p, int f, unsigned m, struct statx *s), (d, p, f, m, s), unless_code(STAT, p), -1)
WRAP(int, access, (const char *p, int m), (p, m), unless_code(STAT, p), -1)
WRAP(int, faccessat, (int d, const char *p, int m, int f), (d, p, m, f), unless_code(STAT, p), -1)
WRAP(ssize_t, readlink, (const char *p, char *b, size_t n), (p, b, n), unless_code(READLINK, p), -1)
WRAP(ssize_t, readlinkat, (int d, const char *p, char *b, size_t n), (d, p, b, n), unless_code(READLINK, p), -1)
WRAP(DIR *, opendir, (const char *p), (p), unless_code(OPENDIR, p), NULL)
WRAP(DIR *, fdopendir, (int f), (f), unless_code_in(OPENDIR, f), NULL)
WRAP(struct dirent *, readdir, (DIR *d), (d), unless_code_in(READDIR, dirfd(d)), NULL)
WRAP(struct dirent64 *, readdir64, (DIR *d), (d), unless_code_in(READDIR, dirfd(d)), NULL)

WRAP(int, flock, (int f, int o), (f, o), LOCK, -1)
WRAP(int, inotify_init, (void), (), INOTIFY, -1)
WRAP(int, inotify_init1, (int f), (f), INOTIFY, -1)
WRAP(int, inotify_add_watch, (int f, const char *p, uint32_t m), (f, p, m), INOTIFY, -1)

/* Their last argument is there only with some flags; to read one that is not there does no harm in these ABIs. */
#define WRAP_OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        CARRY_OUT(unless_code(flags & O_CREAT ? CREATE : OPEN, path), -1, real(path, flags, mode)); \
    }
#define WRAP_OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        CARRY_OUT(unless_code(flags & O_CREAT ? CREATE : OPEN, path), -1, real(folder, path, flags, mode)); \
    }
WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)
WRAP(FILE *, fopen, (const char *p, const char *m), (p, m), unless_code(OPEN, p), NULL)
WRAP(FILE *, fopen64, (const char *p, const char *m), (p, m), unless_code(OPEN, p), NULL)

int ioctl(int file, unsigned long request, ...) {
    REAL(ioctl);
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    /* Terminals and the like are asked about every file that Python opens; "no" is the usual answer. */
    enum class class = request == TCGETS || request == FIOCLEX || request == FIONBIO ? NONE : IOCTL;
    CARRY_OUT(class, -1, real(file, request, argument));
}

WRAP(pid_t, fork, (void), (), SPAWN, -1)

/* A function cannot call vfork(2) and return to its caller in both processes. fork(2) may take its place: vfork(2). */
pid_t vfork(void) {
    return fork();
}

/* These give the error as their result. */
#define CARRY_OUT_OR_SAY(class, call) \
    do { \
        if (judge(class) == BEFORE) \
            return control->error; \
        return call; \
    } while (0)

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*work)(void *), void *argument) {
    REAL(pthread_create);
    CARRY_OUT_OR_SAY(THREAD, real(thread, how, work, argument));
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                char *const words[], char *const variables[]) {
    REAL(posix_spawn);
    CARRY_OUT_OR_SAY(SPAWN, real(pid, path, actions, how, words, variables));
}
