"""``routed status --watch``: the status, shown anew whenever the daemon tells of something.

On a terminal it has the screen for itself, and gives it back at the end, whatever ends it. Elsewhere each status
follows the one before. Changes are heard on the daemon's stream. What that does not tell, such as how many connections
there are, is asked for seldom; ages grow by themselves.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, Self

from routed.audit.printable import dump_json, make_printable
from routed.cli.ages import format_age
from routed.cli.client import ClientError, watch
from routed.cli.exits import CommandError, Exit
from routed.cli.picking import Wish, pick_failed
from routed.cli.status import look, show
from routed.cli.terminal import RED, complain, paint, wants_color
from routed.model.documents import StatusDocument

TICK: Final = 1.0  # seconds after which ages are shown anew, and a daemon that is away is looked for
SETTLE: Final = 0.1  # seconds within which what happens together is shown together
SHARE: Final = 3.0  # of the time that an answer took: so long nothing is asked after it, whatever is told
SELDOM: Final = 10.0  # seconds after which it is asked though nothing was told
# ECMA-48, and xterm's private modes: the other screen without a cursor, where lines are cut and not broken.
ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
HOME: Final = "\x1b[H"
REST_OF_LINE: Final = "\x1b[K"
REST_OF_SCREEN: Final = "\x1b[J"
END_OF_LINE: Final = REST_OF_LINE + "\r\n"


class Sight(NamedTuple):
    """What the daemon said last, and since when it says nothing."""

    status: StatusDocument
    wish: Wish
    at: float  # when that was asked for, by the clock that never goes back
    took: float = 0.0  # seconds until it was there
    error: ClientError | None = None  # why it says nothing now
    away: datetime | None = None


class Screen:
    """A terminal. One frame is one write, over the former one: nothing is wiped before it is there."""

    def __enter__(self) -> Self:
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        _write(LEAVE)

    def put(self, lines: Sequence[str], _sign: Sequence[str]) -> None:
        """Show these lines; what has no room is counted."""
        room = os.get_terminal_size(sys.stdout.fileno()).lines or len(lines)  # a serial line does not tell its size
        if len(lines) > room:
            lines = [*lines[: room - 1], f"and {len(lines) - room + 1} lines more"]
        _write(HOME + END_OF_LINE.join(lines) + REST_OF_LINE + REST_OF_SCREEN)

    def _begin(self) -> None:
        _write(ENTER)

    def _suspend(self, *_: object) -> None:
        _write(LEAVE)
        os.kill(os.getpid(), signal.SIGSTOP)  # and here it goes on
        self._begin()


class Paper:
    """Whatever is no terminal: what differs follows what was there."""

    def __init__(self, between: str) -> None:
        self._between = between
        self._last: Sequence[str] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def put(self, lines: Sequence[str], sign: Sequence[str]) -> None:
        """Show these lines, unless they say the same as those of before: then their sign is the same."""
        if sign != self._last:
            _write((self._between if self._last else "") + "".join(f"{line}\n" for line in lines))
            self._last = sign


def run(options: Namespace) -> Exit:
    """Show it until somebody ends it. Raises ClientError where the daemon says nothing from the beginning."""
    heard: SimpleQueue[None] = SimpleQueue()
    threading.Thread(target=_listen, args=(options.runtime_dir, heard), daemon=True).start()
    began, seen = datetime.now(UTC), _look(options)
    is_screen = sys.stdout.isatty() and not options.json and os.environ.get("TERM", "dumb") != "dumb"
    with Screen() if is_screen else Paper("" if options.json else "\n") as place:
        while True:
            lines = list(_render(options, seen, datetime.now(UTC)))
            sign = lines if is_screen else list(_render(options, seen, began))  # where ages are those of the beginning
            if not options.json:
                place.put(lines, sign)
            elif seen.error is None:  # who is away says nothing
                place.put([dump_json(pick_failed(seen.status) if options.failed else seen.status)], sign)
            seen = _look_again(options, seen, is_told=_await_news(heard, max(SETTLE, SHARE * seen.took)))


def _render(options: Namespace, seen: Sight, now: datetime) -> Iterator[str]:
    if seen.error is not None and seen.away is not None:
        age = format_age(seen.away.isoformat(), now)
        said = make_printable(f"{seen.error}; what follows is what was said before, {age} ago")
        yield paint(said, RED, is_colored=wants_color(options, sys.stdout))
    yield from show(options, seen.status, seen.wish, now)


def _look(options: Namespace) -> Sight:
    began = time.monotonic()
    status, wish = look(options)
    return Sight(status, wish, began, time.monotonic() - began)


def _look_again(options: Namespace, seen: Sight, *, is_told: bool) -> Sight:
    """What the daemon says now, where it told of something, was away, or has not been asked for long."""
    now = time.monotonic()
    if not (is_told or seen.error or now - seen.at >= SELDOM):
        return seen
    try:
        return _look(options)
    except ClientError as error:
        if error.code is Exit.NOT_PERMITTED:
            raise
        if options.json and seen.error is None:
            complain(str(error))
        return seen._replace(at=now, error=error, away=seen.away or datetime.now(UTC))


def _await_news(heard: SimpleQueue[None], settle: float) -> bool:
    """Wait for news, but not for long. Raises BrokenPipeError where nobody reads any more."""
    try:
        heard.get(timeout=TICK)
    except Empty:
        _check_reader()
        return False
    time.sleep(settle)
    while not heard.empty():
        heard.get()
    return True


def _listen(runtime_dir: str, heard: SimpleQueue[None]) -> None:
    """Put something whenever the daemon tells of something, or may have: while nobody heard it."""
    while True:
        try:
            for _ in watch(runtime_dir):
                heard.put(None)
        except CommandError:  # whoever asks for the status will say so
            pass
        time.sleep(TICK)
        heard.put(None)


def _check_reader() -> None:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        raise BrokenPipeError


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)
