"""One thread that writes: what waits in its bounded queue is committed together."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from shortlist.errors import StoreError
from shortlist.serving.store.contract import Busy, Unavailable

GROUP = 2_000
"""Units that one commit takes at most (a single larger job is taken alone)."""
RETRY_AFTER_S = 1
AGAIN_S = 1.0
"""Housekeeping that did not come to an end is tried again so much later, or after the next group."""
CLOSING_S = 10


@dataclass(frozen=True)
class Job:
    """Something to write.

    Attributes:
        work: what `Writer` hands to its ``commit``.
        n: its units, such as events.
    """

    work: Any
    n: int
    future: "Future[Any]" = field(default_factory=Future)


class Writer:
    """Takes jobs from any thread; commits them in the order of arrival.

    Args:
        commit: writes these jobs' work in one durable transaction and returns one result each; a result that is a
            `StoreError` fails its job alone. If ``commit`` itself raises a `StoreError`, no job of the group was
            written; after any other error the jobs of the group are tried one by one.
        idle: called after a group's results are out; says whether it is done. What it raises means no.
        queue_size: units that may wait, those being committed included.
    """

    def __init__(
        self, commit: Callable[[Sequence[Any]], Sequence[Any]], idle: Callable[[], bool], queue_size: int
    ) -> None:
        self._commit, self._idle, self.queue_size = commit, idle, queue_size
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.n_queued = 0
        self._thread = threading.Thread(target=self._loop, name="shortlist-store-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Any, n: int) -> "Future[Any]":
        """Queue a job.

        Raises:
            Busy: there is no room.
            Unavailable: closed.
            StoreError: the job is larger than the queue.
        """
        if n > self.queue_size:
            raise StoreError(f"expected at most {self.queue_size:,} at once, got {n:,}; send them in parts")
        job = Job(work, n)
        with self._wake:
            if self._closing:
                raise Unavailable("the store is closed")
            if n and self.n_queued + n > self.queue_size:
                raise Busy(
                    f"{self.n_queued:,} writes wait for their commit and {n:,} more find no room "
                    f"({self.queue_size:,}); nothing was taken, send it again later",
                    RETRY_AFTER_S,
                )
            self.n_queued += n
            self._jobs.append(job)
            self._wake.notify()
        return job.future

    def close(self) -> None:
        """Commit what is queued and stop.

        Raises:
            Unavailable: that took longer than `CLOSING_S` seconds; it goes on as long as the process lives.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(CLOSING_S)
        if self._thread.is_alive():
            raise Unavailable(f"the store could not be closed within {CLOSING_S} s: a commit does not return")

    def _loop(self) -> None:
        tidy = True
        while (jobs := self._next_group(None if tidy else AGAIN_S)) or not self._closing:
            live = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            results = self._results([job.work for job in live])
            with self._wake:
                self.n_queued -= sum(job.n for job in jobs)
            for job, result in zip(live, results, strict=True):
                if isinstance(result, Exception):
                    job.future.set_exception(result)
                else:
                    job.future.set_result(result)
            tidy = False
            with contextlib.suppress(Exception):
                tidy = self._idle()

    def _results(self, works: Sequence[Any]) -> Sequence[Any]:
        """What came of each: a result, or the error of its job."""
        try:
            return self._commit(works) if works else []
        except StoreError as error:
            return [error] * len(works)
        except Exception as error:
            return [error] if len(works) == 1 else [result for work in works for result in self._results([work])]

    def _next_group(self, patience_s: float | None) -> list[Job]:
        """Wait for jobs; none = there were none for so long, or it is closed and everything is written."""
        with self._wake:
            self._wake.wait_for(lambda: self._jobs or self._closing, patience_s)
            group: list[Job] = []
            units = 0
            while self._jobs and (not group or units + self._jobs[0].n <= GROUP):
                group.append(self._jobs.popleft())
                units += group[-1].n
            return group
