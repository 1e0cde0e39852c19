"""The classes of calls that are made to fail, the errors that each can really give, and the calls that are left out.

The one table of the fault tests. A class that is new in shim.c, or a call that the daemon did not make before,
fails the tests until it stands here. Sources are sections of the Linux manual, unless they are files of the kernel.
"""

from __future__ import annotations

from errno import (
    EACCES,
    EADDRINUSE,
    EAGAIN,
    EBUSY,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EDQUOT,
    EINTR,
    EIO,
    EMFILE,
    ENETDOWN,
    ENFILE,
    ENOBUFS,
    ENODEV,
    ENOLCK,
    ENOMEM,
    ENOPROTOOPT,
    ENOSPC,
    EPERM,
    EPIPE,
    EROFS,
)
from typing import Final, NamedTuple

PASSING: Final = frozenset({EINTR, ECONNABORTED})  # these never last: the next try is another one


class CallClass(NamedTuple):
    """Calls that fail alike."""

    syscalls: str  # by which strace knows them
    errors: dict[int, str]  # errno → who says that these calls may give it
    may_be_done: bool = False  # may it fail with its work done?
    passing: frozenset[int] = PASSING  # errors of one call, which do not last


_LOCAL: Final = "unix(7), send(2)"

CLASSES: Final[dict[str, CallClass]] = {
    "send-request": CallClass(
        "sendto sendmsg", {ENOBUFS: "netlink(7), netlink_sendmsg", ENOMEM: "send(2)", EINTR: "send(2)"}
    ),
    "receive-answer": CallClass(
        "recvfrom recvmsg",
        {ENOBUFS: "netlink(7); netlink_ack and netlink_dump without memory", ENOMEM: "recv(2)", EINTR: "recv(2)"},
        may_be_done=True,
    ),
    "receive-event": CallClass(
        "recvfrom recvmsg",
        {ENOBUFS: "netlink(7): events were lost", ENOMEM: "recv(2)", EINTR: "recv(2)"},
        passing=PASSING | {ENOBUFS},  # the call that tells of it clears sk_err
    ),
    "send-local": CallClass(
        "sendto sendmsg", {ENOBUFS: _LOCAL, EPIPE: _LOCAL, ECONNRESET: _LOCAL, ENOMEM: _LOCAL, EINTR: _LOCAL}
    ),
    "receive-local": CallClass(
        "recvfrom recvmsg", {ECONNRESET: "unix(7)", ENOMEM: "recv(2)", EINTR: "recv(2)"}, may_be_done=True
    ),
    "send-packet": CallClass("sendto sendmsg", {ENOBUFS: "packet(7)", ENETDOWN: "packet(7)", EPERM: "packet(7)"}),
    "socket": CallClass("socket", dict.fromkeys((EMFILE, ENFILE, ENOBUFS, ENOMEM), "socket(2)")),
    "bind": CallClass("bind", {EADDRINUSE: "bind(2)", EACCES: "bind(2)", ENOMEM: "bind(2)", EROFS: "bind(2)"}),
    "listen": CallClass("listen", {EADDRINUSE: "listen(2)"}),
    "connect": CallClass("connect", {ECONNREFUSED: "connect(2)", EAGAIN: "connect(2)", EINTR: "connect(2)"}),
    "accept": CallClass(
        "accept accept4",
        dict.fromkeys((EMFILE, ECONNABORTED, ENFILE, ENOBUFS, ENOMEM, EPERM, EINTR), "accept(2)"),
    ),
    "setsockopt": CallClass(
        "setsockopt",
        {
            ENOMEM: "SO_ATTACH_FILTER past net.core.optmem_max, sk_attach_filter",
            ENOBUFS: "NETLINK_*, netlink(7)",
            ENOPROTOOPT: "setsockopt(2)",
            EPERM: "SO_RCVBUFFORCE, socket(7)",
        },
    ),
    "getsockopt": CallClass("getsockopt", {ENOBUFS: "getsockopt(2)", ENOPROTOOPT: "getsockopt(2)"}),
    "getsockname": CallClass("getsockname", {ENOBUFS: "getsockname(2)"}),
    "poll": CallClass("poll ppoll select pselect6", {ENOMEM: "poll(2)", EINTR: "poll(2)"}),
    "epoll": CallClass("epoll_wait epoll_pwait", {EINTR: "epoll_wait(2)"}),
    "epoll-ctl": CallClass("epoll_ctl", {ENOSPC: "epoll_ctl(2): max_user_watches", ENOMEM: "epoll_ctl(2)"}),
    "descriptor": CallClass(
        "pipe pipe2 socketpair eventfd2 epoll_create1", {EMFILE: "pipe(2)", ENFILE: "pipe(2)", ENOMEM: "eventfd(2)"}
    ),
    "open": CallClass("open openat", dict.fromkeys((EMFILE, EACCES, EIO, ENFILE, ENOMEM, EINTR), "open(2)")),
    "create": CallClass("open openat", dict.fromkeys((ENOSPC, EROFS, EDQUOT, EMFILE, EACCES, EIO), "open(2)")),
    "read": CallClass("read readv pread64", {EIO: "read(2)", EINTR: "read(2)"}),
    "write": CallClass(
        "write writev pwrite64",
        dict.fromkeys((ENOSPC, EIO, EDQUOT, EINTR), "write(2)"),
        may_be_done=True,
    ),
    "fsync": CallClass("fsync fdatasync", dict.fromkeys((EIO, ENOSPC, EROFS, EDQUOT), "fsync(2)"), may_be_done=True),
    "rename": CallClass(
        "rename renameat renameat2",
        dict.fromkeys((ENOSPC, EROFS, EACCES, EDQUOT, ENOMEM, EIO), "rename(2)"),
        may_be_done=True,
    ),
    "mkdir": CallClass("mkdir mkdirat", dict.fromkeys((ENOSPC, EROFS, EACCES, EDQUOT, ENOMEM), "mkdir(2)")),
    "unlink": CallClass(
        "unlink unlinkat rmdir", dict.fromkeys((EIO, EROFS, EACCES, EBUSY, ENOMEM), "unlink(2), rmdir(2)")
    ),
    "chmod": CallClass("chmod fchmod fchmodat chown fchown", dict.fromkeys((EROFS, EIO, EPERM, ENOMEM), "chmod(2)")),
    "stat": CallClass(
        "stat lstat fstat newfstatat statx access faccessat faccessat2",
        {EACCES: "stat(2)", EIO: "access(2); any file system whose medium fails", ENOMEM: "stat(2)"},
    ),
    "readlink": CallClass("readlink readlinkat", dict.fromkeys((EACCES, EIO, ENOMEM), "readlink(2)")),
    "opendir": CallClass("openat", dict.fromkeys((EMFILE, EACCES, ENFILE, ENOMEM), "opendir(3)")),
    "readdir": CallClass("getdents64", {EIO: "any file system whose medium fails"}),
    "lock": CallClass("flock", {ENOLCK: "flock(2)", EINTR: "flock(2)"}),
    "ioctl": CallClass("ioctl", {ENODEV: "netdevice(7)", EPERM: "netdevice(7)"}),
    "inotify": CallClass(
        "inotify_init inotify_init1 inotify_add_watch",
        {EMFILE: "inotify_init(2)", ENOSPC: "inotify_add_watch(2)", ENOMEM: "inotify_init(2), inotify_add_watch(2)"},
    ),
    "spawn": CallClass("fork vfork clone clone3", {EAGAIN: "fork(2)", ENOMEM: "fork(2)"}),
    "thread": CallClass("clone3 clone", {EAGAIN: "pthread_create(3)"}),
}

# By these a revision is kept; where one of them fails it may be on disk, and yet not be trusted.
OF_FILES: Final = frozenset(
    {"open", "create", "read", "write", "fsync", "rename", "mkdir", "unlink", "stat", "opendir", "readdir"}
)
# By these files are watched, in threads of their own.
OF_THE_WATCH: Final = frozenset({"poll", "read", "inotify", "thread"})

# Calls that are not made to fail, by the reason why not.
_REASONS: Final = {
    "the kernel promises memory, and takes the whole process when there is none: kill -9 is tested": (
        "mmap munmap mremap mprotect madvise brk memfd_create ftruncate"
    ),
    "it gives no error when its arguments are right": (
        "getpid gettid getuid geteuid getgid getegid getppid getpriority umask uname sysinfo getcwd prlimit64 "
        "getrusage clock_gettime clock_nanosleep gettimeofday sched_yield sched_getaffinity sched_setattr times "
        "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack kill tgkill fcntl"
    ),
    "made by the kernel's and the C library's own start and end of a process or thread": (
        "execve arch_prctl set_tid_address set_robust_list rseq prctl exit exit_group restart_syscall"
    ),
    "the C library's own waiting between threads; it ends the process where it fails": "futex",
    "it waits only while a machine boots": "getrandom",
    "it fails for what is no file, which Python asks on purpose": "lseek",
    "Linux gives the descriptor back whatever it says, close(2)": "close close_range",
    "made in a child between fork and exec; the parent is told by a pipe": "dup dup2 dup3 setsid",
    "it fails for what is gone already": "inotify_rm_watch shutdown getpeername wait4 waitid",
    "asyncio takes a thread instead where it fails": "pidfd_open",
    "a timer of the process that reads the files; without it that goes on a little longer": "alarm setitimer",
}
LEFT_OUT: Final = {name: reason for reason, names in _REASONS.items() for name in names.split()}
