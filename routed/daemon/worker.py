"""A worker: a thread of its own that does one job after another, for work that may hang.

A path on a mount that is gone keeps whoever looks at it for ever. Nobody waits for this thread, and the process ends
without it. Here must never live: a job.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]


class Worker:
    """Does its jobs in order. The thread is started with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, job: Job) -> None:
        """Have it done. Raises RuntimeError where no thread can be had; then it is not."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            thread.start()
            self._thread = thread
        self._jobs.put(job)

    def end(self, patience: float) -> None:
        """Do what was put, and no more. It is waited for so many seconds."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(patience)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                logging.getLogger(__name__).exception("a defect in routed: a job of %s ended", self._name)
