"""The helper: runs the commands of checks and of sources, as a user without rights, for the daemon that may not.

A process of its own: ``python -m routed.probes.helper``, with a listening socket for stdin. systemd starts it by
routed-exec.socket, or the daemon by ``daemon.helpers`` where it may change users.

Each connection is served by a keeper: a child that runs one command and ends. A keeper adopts whatever its command
leaves behind (PR_SET_CHILD_SUBREAPER), also what moved into a session of its own, and kills all of it at the end, at
the timeout, and when the daemon closes the connection or is gone. Nothing is imported after the start, since the user
that runs this may not be able to read the library; codecs are modules too, so files are read as bytes. Here must never
live: asyncio, or anything that the daemon decides.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn

from routed.model.trust import find_writable
from routed.probes.dialogue import (
    MOST,
    MOST_OUTPUT,
    PIECE,
    CommandEnd,
    CommandResult,
    CommandRun,
    pack_output,
    pack_result,
    unpack_run,
)
from routed.probes.limits import count_reached, find_group, find_reached
from routed.probes.users import find_user

MOST_KEEPERS: Final = 64  # the daemon asks for fewer
MOST_LEFT: Final = 256  # with those that nobody waits for any more, and that do not end
PATIENCE: Final = 2.0  # seconds for what was killed to be gone, and for a request to come
OVERDUE: Final = 2 * PATIENCE  # after whoever asked hung up, a keeper is gone
MOST_WAIT: Final = 86400.0  # poll(2) takes no more than 24 days
ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
NOT_PERMITTED: Final = 77  # exit code: sysexits.h
SHORT: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})
# linux/prctl.h
PR_SET_PDEATHSIG: Final = 1
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
_LAST_CAPABILITY: Final = 63
_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    """Run commands until nobody came for ``--idle`` seconds, or the process ``--parent`` is gone.

    ``--user NAME``: become that user first. While it has a right it runs nothing, says so for a while and ends with 77.
    """
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    idle = float(options["--idle"]) if "--idle" in options else None
    kept = _give_up_rights(options.get("--user", ""))
    if not _ends_with(int(options.get("--parent", "0"))):
        return 0
    listening, nothing = socket.socket(fileno=os.dup(0)), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.chdir("/")
    if kept:
        sys.stderr.write(f"no command is run: {kept}\n")
        refuse(listening, kept, idle or PATIENCE)
        return NOT_PERMITTED
    serve(listening, idle)
    return 0


# --- rights -----------------------------------------------------------------------------------------------------------


def _give_up_rights(user: str) -> str:
    """The right that is left, empty where none is."""
    try:
        if user:
            become(user)
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    except OSError as error:
        return f"to become {user or 'harmless'} failed: {error.strerror}"
    return find_right()


def _ends_with(parent: int) -> bool:
    """End when this process does; was it still there? It may have been killed before it was told of."""
    if parent:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    return not parent or os.getppid() == parent


def become(user: str) -> None:
    """Be this user for ever, without groups and capabilities. Raises OSError."""
    about = find_user(user)
    if about is None:
        raise OSError(errno.ESRCH, "there is no such user")
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for capability in range(_LAST_CAPABILITY):
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # those that there are, as far as that is permitted
    os.setgroups([])
    os.setresgid(about.pw_gid, about.pw_gid, about.pw_gid)
    os.setresuid(about.pw_uid, about.pw_uid, about.pw_uid)


def find_right() -> str:
    """What makes this root, or somebody with a capability; else empty. Cap lines of proc_pid_status(5)."""
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123  pathlib costs 3 ms
        held = {line.split()[0]: int(line.split()[1], 16) for line in status if line.startswith((b"CapPrm", b"CapEff"))}
    if 0 in os.getresuid():
        return "the user is root"
    if 0 in os.getresgid():
        return "the group is root"
    return "there are capabilities" if any(held.values()) else ""


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# --- connections ------------------------------------------------------------------------------------------------------


def serve(listening: socket.socket, idle: float | None) -> None:
    """Give each connection its keeper, until nobody came for ``idle`` seconds."""
    listening.setblocking(False)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    keepers = Keepers()
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        for connection in keepers.connections.values():
            poll.register(connection, 0)  # its end is told all the same
        wait = keepers.find_wait(idle)
        ready = dict(poll.poll(None if wait is None else wait * 1000))
        for number in ready.keys() - {woken, listening.fileno()}:
            poll.unregister(number)
            keepers.leave(number)
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, 4096)
            for number in keepers.reap():
                poll.unregister(number)
        keepers.kill_overdue()
        if listening.fileno() in ready:
            _accept(listening, keepers)
        if not ready and wait == idle and not keepers.connections:
            return


class Keepers:
    """The keepers of one helper, and who waits for what each has to say.

    What stands still in the kernel, for example for a file of a server that is gone, must not keep its place for ever.
    """

    def __init__(self) -> None:
        self.connections: dict[int, socket.socket] = {}  # by keeper, until whoever asked hung up
        self._left: dict[int, float] = {}  # the others, and when each is killed

    @property
    def is_full(self) -> bool:
        """Is there no place for one more?"""
        return len(self.connections) >= MOST_KEEPERS or len(self.connections) + len(self._left) >= MOST_LEFT

    def find_wait(self, idle: float | None) -> float | None:
        """Seconds until one is to be killed; else until nobody came for long enough."""
        due = min(self._left.values(), default=float("inf"))
        return idle if due == float("inf") else max(0.0, due - time.monotonic())

    def leave(self, number: int) -> None:
        """Whoever asked by this connection hung up."""
        for keeper in [keeper for keeper, one in self.connections.items() if one.fileno() == number]:
            self.connections.pop(keeper).close()
            self._left[keeper] = time.monotonic() + OVERDUE

    def kill_overdue(self) -> None:
        """Those that nobody waits for, and that should be gone; each once, since some never are."""
        for keeper in [keeper for keeper, due in self._left.items() if due <= time.monotonic()]:
            _kill(keeper)
            self._left[keeper] = float("inf")

    def reap(self) -> list[int]:
        """Keepers that ended; what one left behind that was killed itself is killed. Whose connections are closed."""
        closed = []
        with suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self._left.pop(pid, None)
                if connection := self.connections.pop(pid, None):
                    closed.append(connection.fileno())
                    connection.close()
        for pid in _list_children() - self.connections.keys() - self._left.keys():
            _kill(pid)
        return closed


def refuse(listening: socket.socket, why: str, seconds: float) -> None:
    """Say to everybody, for so long, that nothing is run. A start for each question would fill the journal."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        listening.settimeout(left)
        with suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(PATIENCE)
                connection.recv(MOST)  # else the answer is thrown away with it
                connection.send(pack_result(CommandResult(CommandEnd.KEPT_RIGHTS, detail=why)))


def _accept(listening: socket.socket, keepers: Keepers) -> None:
    try:
        connection, _ = listening.accept()
    except OSError:
        return  # whoever it was is gone, or this host is short of something: the daemon asks again
    keeper = 0
    try:
        if _find_peer(connection) != 0:
            return
        connection.setblocking(True)
        if keepers.is_full:
            _answer(connection, CommandResult(CommandEnd.BUSY))
            return
        try:
            keeper = os.fork()
        except OSError as error:
            _answer(connection, CommandResult(CommandEnd.STUCK, error.errno or 0))
            return
        if not keeper:
            for one in (listening, *keepers.connections.values()):
                one.close()
            _keep(connection)
        keepers.connections[keeper] = connection
    finally:
        if not keeper:
            connection.close()


def _find_peer(connection: socket.socket) -> int:
    _, uid, _ = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _answer(connection: socket.socket, answer: CommandResult) -> None:
    with suppress(OSError):  # nobody waits for it any more
        connection.send(pack_result(answer))


# --- one command ------------------------------------------------------------------------------------------------------


def _keep(connection: socket.socket) -> NoReturn:
    """The life of a keeper."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        connection.settimeout(PATIENCE)
        packet = connection.recv(MOST)
        if packet:
            obey(unpack_run(packet), connection)
    except (OSError, ValueError):
        pass  # whoever asked sees the end of the connection
    finally:
        os._exit(0)


class Running(NamedTuple):
    """A command that runs."""

    pid: int
    notes: int  # where is read what it prints, of which the beginning is kept; only errors where there is ``output``
    output: int | None  # where is read what is passed on


def obey(request: CommandRun, connection: socket.socket) -> None:
    """Run the command, unless there is something against it, and say what became of it. Raises OSError."""
    group = find_group()
    before = count_reached(group)
    begun = _find_refusal(request) or _begin(request)
    if isinstance(begun, CommandResult):
        _answer(connection, begun)
        return
    try:
        told = _await_end(begun, connection, request.timeout)
        notes = told.notes.decode(errors="replace")
        if not told.is_over:  # at once: what hangs in the kernel may take long to be killed
            _answer(connection, CommandResult(CommandEnd.SILENT, output=notes))
    finally:
        status = _end_all(begun.pid)
    if told.is_over and status is not None:
        _pass_on_rest(told.unsent, begun.output, connection)
        code = os.waitstatus_to_exitcode(status)
        limit = find_reached(before, count_reached(group)) if code else ""
        _answer(connection, _tell_end(code, limit, notes))


def _tell_end(code: int, limit: str, output: str) -> CommandResult:
    """How it ended by itself. The exit code below zero is a signal."""
    if limit:
        return CommandResult(CommandEnd.LIMITED, detail=limit)
    if code == -signal.SIGKILL:
        return CommandResult(CommandEnd.KILLED)
    return CommandResult(CommandEnd.ENDED if code >= 0 else CommandEnd.SIGNALLED, abs(code), output=output)


def _begin(request: CommandRun) -> Running | CommandResult:
    """The process of the command, and where is read what it prints; or why there is none."""
    reading, errors = os.pipe()
    passing, output = os.pipe() if request.is_told else (None, errors)
    failing, failed = os.pipe()  # closed by a command that begins
    try:
        pid = os.fork()
    except OSError as error:
        return CommandResult(CommandEnd.STUCK, error.errno or 0)
    if not pid:
        _become_command(request.command, output, errors, failed)
    for end in {output, errors, failed}:
        os.close(end)
    said = os.read(failing, 16)
    if not said:
        return Running(pid, reading, passing)
    os.waitpid(pid, 0)
    return _tell_error(int(said))


def _tell_error(number: int) -> CommandResult:
    """Why it cannot be run: because of the file, or of what this host is short of now."""
    return CommandResult(CommandEnd.STUCK if number in SHORT else CommandEnd.NOT_EXECUTABLE, number)


def _find_refusal(request: CommandRun) -> CommandResult | None:
    if request.user not in {"", _find_name()}:
        try:
            wanted = find_user(request.user)
        except OSError as error:
            return CommandResult(CommandEnd.STUCK, error.errno or 0)
        if wanted is None:
            return CommandResult(CommandEnd.NO_USER, detail=request.user)
        if wanted.pw_uid != os.getuid():
            return CommandResult(CommandEnd.OTHER_USER, detail=_find_name())
    try:
        writable = find_writable(request.command[0], os.lstat, os.readlink)
        is_executable = os.path.isfile(request.command[0]) and os.access(request.command[0], os.X_OK)  # noqa: PTH113
    except (FileNotFoundError, NotADirectoryError):
        return CommandResult(CommandEnd.ABSENT)
    except OSError as error:
        return _tell_error(error.errno or 0)
    if writable:
        return CommandResult(CommandEnd.WRITABLE, detail=writable)
    return None if is_executable else CommandResult(CommandEnd.NOT_EXECUTABLE, errno.EACCES)


def _find_name() -> str:
    """Of the user that this runs as: a dynamic one stands in no list, but systemd says its name (systemd.exec(5))."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or str(os.getuid())


def _become_command(command: Sequence[str], output: int, errors: int, failed: int) -> NoReturn:
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        nothing = os.open("/dev/null", os.O_RDONLY)
        for place, given in enumerate((nothing, output, errors)):
            os.dup2(given, place)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            signal.signal(number, signal.SIG_DFL)
        os.chdir("/")
        os.umask(0o022)
        os.execve(command[0], list(command), ENVIRONMENT)  # noqa: S606  no shell, which is the point
    except OSError as error:
        os.write(failed, str(error.errno or errno.EIO).encode())
    finally:
        os._exit(127)


class Awaited(NamedTuple):
    """What a command printed and did while it was waited for."""

    notes: bytes
    unsent: bytes  # of what is passed on, as long as whoever asked takes no more
    is_over: bool  # did it end by itself in time?


def _await_end(running: Running, connection: socket.socket, timeout: float) -> Awaited:
    """Wait for its end, and pass on what it prints as fast as that is taken. Raises OSError."""
    deadline, notes, piece = time.monotonic() + timeout, b"", b""
    end = os.pidfd_open(running.pid)
    told = {running.notes} if running.output is None else {running.notes, running.output}  # those that are open
    for number in told:
        os.set_blocking(number, False)
    while True:
        left = deadline - time.monotonic()
        waited = dict.fromkeys(told - {running.output} if piece else told, select.POLLIN)
        waited |= {end: select.POLLIN, connection.fileno(): select.POLLIN | (select.POLLOUT if piece else 0)}
        ready = _poll(waited, left)
        if ready.get(connection.fileno(), 0) & ~select.POLLOUT:  # nothing more is to come but its end
            raise ConnectionAbortedError
        if connection.fileno() in ready:
            connection.send(pack_output(piece))
            piece = b""
        for number in told & (ready.keys() | ({running.notes} if end in ready else set())):
            found = _read(number)
            if number == running.notes:
                notes = (notes + found)[:MOST_OUTPUT]
            else:
                piece = found
            if not found and end not in ready:
                told = told - {number}  # it closed that, and goes on
        if end in ready or left <= 0:
            return Awaited(notes, piece, end in ready)


def _poll(waited: Mapping[int, int], seconds: float) -> dict[int, int]:
    poll = select.poll()
    for number, events in waited.items():
        poll.register(number, events)
    return dict(poll.poll(min(max(0.0, seconds), MOST_WAIT) * 1000))


def _pass_on_rest(piece: bytes, output: int | None, connection: socket.socket) -> None:
    """What is left of the output of a command that ended; nobody writes to it any more. Raises OSError."""
    connection.settimeout(None)  # whoever asked takes it in its time, or hangs up
    while piece or (output is not None and (piece := _read(output))):
        connection.send(pack_output(piece))
        piece = b""


def _read(reading: int) -> bytes:
    try:
        return os.read(reading, PIECE)
    except BlockingIOError:
        return b""


def _end_all(pid: int) -> int | None:
    """Kill the group of the command and whatever else it left; how the command itself ended, None where it does not."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    status, deadline = None, time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for child in _list_children():
            _kill(child)
        try:
            found, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if found == pid:
            status = how
        elif not found:
            time.sleep(0.002)
    return status


def _list_children() -> set[int]:
    """Of this process: proc_pid_task_tid_children(5). One that is born meanwhile may be missing; it is asked again."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as children:  # noqa: PTH123
            return set(map(int, children.read().split()))
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN: the group alone is killed then
        return set()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
