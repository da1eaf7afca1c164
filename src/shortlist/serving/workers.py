"""The threads that answer, and the event loop's patience with them."""

import asyncio
import queue
import threading
import time

from shortlist.serving.ladder import Job, Reply
from shortlist.serving.metrics import Metrics
from shortlist.serving.problems import ProblemError

MOST_ABANDONED = 8
"""Threads that may hang in a stage at once; beyond it no new one takes their place."""


class _Worker(threading.Thread):
    def __init__(self, workers: "Workers") -> None:
        super().__init__(name="answers", daemon=True)
        self.workers = workers
        self.job: Job | None = None
        self.abandoned = False

    def run(self) -> None:
        while not self.abandoned:
            taken = self.workers.jobs.get()
            if taken is None:
                return
            job, loop, future = taken
            self.job = job
            try:
                outcome: Reply | Exception = job.run()
            except Exception as error:
                outcome = error
            except BaseException as error:  # a panic of a library: this thread goes on
                outcome = RuntimeError(f"{type(error).__name__}: {error}")
            self.job = None
            if not future.cancelled() and not loop.is_closed():
                loop.call_soon_threadsafe(_settle, future, outcome)
            del taken, job, future, outcome
        self.workers.came_back(self)


def _settle(future: "asyncio.Future[Reply]", outcome: Reply | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class Workers:
    """One thread that answers queries in turn; another takes its place when it hangs.

    Args:
        most_waiting: queries that wait for the thread or are with it; more are refused.
    """

    def __init__(self, most_waiting: int, metrics: Metrics) -> None:
        self.jobs: queue.SimpleQueue[tuple[Job, asyncio.AbstractEventLoop, asyncio.Future[Reply]] | None] = (
            queue.SimpleQueue()
        )
        self._most_waiting, self._metrics = most_waiting, metrics
        self._n_waiting = 0
        self._abandoned: set[_Worker] = set()
        self._worker = self._started()

    async def answer(self, job: Job) -> Reply:
        """The job's reply, at the deadline at the latest if it has begun.

        A job that has not begun by then is answered when its turn comes, without the stages.

        Raises:
            ProblemError: too many wait, or nothing came within five times the allowance.
            QueryError: the query cannot be answered as asked.
        """
        if self._n_waiting >= self._most_waiting:
            self._metrics.refusals.labels("overloaded").inc()
            raise ProblemError("overloaded", f"{self._most_waiting} queries are waiting already.", 1)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        allowance = max(job.deadline - time.perf_counter(), 0)
        timers = [
            loop.call_later(allowance, self._deadline, job, future),
            loop.call_later(allowance + max(0.2, 4 * allowance), self._give_up, job, future),
        ]
        self._n_waiting += 1
        self._metrics.waiting.set(self._n_waiting)
        self.jobs.put((job, loop, future))
        try:
            return await future
        finally:
            self._n_waiting -= 1
            self._metrics.waiting.set(self._n_waiting)
            for timer in timers:
                timer.cancel()

    def _deadline(self, job: Job, future: "asyncio.Future[Reply]") -> None:
        if future.done() or not job.started:
            return
        self._replace_if_with(job)
        reply = job.late()
        if reply is not None:
            future.set_result(reply)

    def _give_up(self, job: Job, future: "asyncio.Future[Reply]") -> None:
        if future.done():
            return
        self._replace_if_with(job)
        self._metrics.refusals.labels("late").inc()
        future.set_exception(ProblemError("overloaded", "No answer could be made in time.", 1))

    def _replace_if_with(self, job: Job) -> None:
        """Give up on the thread that is still busy with a job whose time is over."""
        worker = self._worker
        if worker.job is job and len(self._abandoned) < MOST_ABANDONED:
            worker.abandoned = True
            self._abandoned.add(worker)
            self._metrics.abandoned.set(len(self._abandoned))
            self._worker = self._started()

    def came_back(self, worker: _Worker) -> None:
        """An abandoned thread has finished after all."""
        self._abandoned.discard(worker)
        self._metrics.abandoned.set(len(self._abandoned))

    def _started(self) -> _Worker:
        worker = _Worker(self)
        worker.start()
        return worker

    def stop(self) -> None:
        self.jobs.put(None)
