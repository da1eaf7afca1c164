"""How both halves of ``tutorial.py`` take the time. Needs NumPy only: the peer's environment has no Shortlist."""

import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Lap = list[float]


class Clock:
    """CPU seconds of the whole process, all threads, and wall seconds, since the last lap."""

    def __init__(self) -> None:
        self.before = self._now()

    def lap(self) -> Lap:
        """``[CPU seconds, wall seconds]`` since the call before, or since the start."""
        now = self._now()
        since, self.before = now - self.before, now
        return since.tolist()

    @staticmethod
    def _now() -> np.ndarray:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return np.array([usage.ru_utime + usage.ru_stime, time.perf_counter()])


def laps_of(call: Callable[[], Any], repeats: int) -> list[Lap]:
    """What a call takes each time, after one that is not counted."""
    call()
    clock = Clock()
    laps = []
    for _ in range(repeats):
        call()
        laps.append(clock.lap())
    return laps


def answer_times(answer: Callable[[Any], Any], users: Sequence[Any], calls: int) -> dict[str, float]:
    """Each user asked in turn: p50 and p95 in wall milliseconds, and CPU milliseconds per call."""
    for user in users[:20]:
        answer(user)
    whole, one, seconds = Clock(), Clock(), []
    for call in range(calls):
        one.lap()
        answer(users[call % len(users)])
        seconds.append(one.lap()[1])
    p50, p95 = (np.percentile(seconds, [50, 95]) * 1e3).tolist()  # comparing them gives bool, which JSON knows
    return {"p50": p50, "p95": p95, "cpu": whole.lap()[0] / calls * 1e3, "calls": calls}
