"""What all resources share: the live model, the store, the workers."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shortlist.errors import StoreError
from shortlist.serving.calls import Call
from shortlist.serving.idempotency import Answered
from shortlist.serving.ladder import Job, Ladder, Reply
from shortlist.serving.live import Bundle, Live
from shortlist.serving.logs import log_line
from shortlist.serving.metrics import Metrics
from shortlist.serving.problems import ProblemError
from shortlist.serving.questions import question_of
from shortlist.serving.rules_file import RulesFile
from shortlist.serving.schemas import AnswerItem, Rank, Recommend
from shortlist.serving.store.contract import Exposure, Store
from shortlist.serving.workers import Workers

T = TypeVar("T")


@dataclass
class Service:
    """One server.

    Attributes:
        rules: those that answers follow.
        deadline_s: from a request's first byte; a stage that is not done by then does not take part in the answer.
        log_users: put user ids into log lines.
        log_exposures: store what each answer showed.
        draining: it is about to stop: no longer ready.
        changing: the thread of `change`.
    """

    live: Live
    store: Store | None
    workers: Workers
    metrics: Metrics
    rules: RulesFile
    deadline_s: float = 0.05
    log_users: bool = False
    log_exposures: bool = False
    draining: bool = False
    changing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "changes"))
    ladder: Ladder = field(init=False)
    answered: Answered = field(default_factory=Answered)

    def __post_init__(self) -> None:
        self.ladder = Ladder(self.metrics)

    @property
    def bundle(self) -> Bundle:
        return self.live.bundle

    async def change(self, act: Callable[..., T], *arguments: Any) -> T:
        """Do what makes or loads models: one after the other, so that calls that wait for it take no more threads."""
        return await asyncio.get_running_loop().run_in_executor(self.changing, act, *arguments)

    def need_store(self) -> Store:
        """The store.

        Raises:
            ProblemError: the server runs without one.
        """
        if self.store is None:
            raise ProblemError("conflict", "This server has no store of events; start it with --store.")
        return self.store

    async def ask(self, call: Call, body: Recommend | Rank, bundle: Bundle, began: float | None = None) -> Job:
        """Have a worker answer a query; the job has its reply.

        Args:
            began: when the time until the deadline begins; ``None`` = with the request.
        """
        store, rules = self.store, self.rules.rules
        begin = call.began if began is None else began
        job = Job(
            bundle,
            lambda one: question_of(one, store, body, rules),
            begin + self.deadline_s,
            self.deadline_s,
            self.ladder,
        )
        reply = await self.workers.answer(job)
        job.reply = reply
        self.metrics.rungs.labels(reply.rung).inc()
        call.version = bundle.version
        self._told(call, body, job, reply)
        return job

    def _told(self, call: Call, body: Recommend | Rank, job: Job, reply: Reply) -> None:
        call.log["stages_ms"] = {stage: round(seconds * 1e3, 2) for stage, seconds in job.times.items()}
        call.log["degraded"] = reply.degraded
        if self.log_users:
            call.log["user_id"] = body.user_id

    def shown(self, request_id: str, user_id: Any, items: list[AnswerItem], version: str) -> None:
        """Store what an answer shows, if that is wanted; an exposure that cannot be queued is only counted."""
        if not self.log_exposures or self.store is None or not items:
            return
        exposure = Exposure(
            request_id=request_id,
            item_ids=tuple(item.item_id for item in items),
            timestamp=int(time.time()),
            user_id=user_id,
            model_version=version,
            propensities=_propensities(items),
        )
        try:
            self.store.log_exposures([exposure])
        except StoreError:  # busy, unavailable, or an id that no store takes: the answer is given all the same
            self.metrics.exposures_lost.inc()

    def recount(self) -> None:
        """`Live.recount`; a store that cannot be read is counted next time."""
        try:
            self.live.recount()
        except Exception as error:
            log_line("counting failed", error=type(error).__name__)

    def follow(self, again: bool = False) -> None:
        """`Live.follow`, whose refusals are in the log; and the rules, where their file has changed or ``again``."""
        try:
            self.live.follow(again)
            if again or self.rules.changed():
                self.rules.follow(self.bundle.model)
        except Exception as error:
            log_line("following failed", error=type(error).__name__)


def _propensities(items: list[AnswerItem]) -> tuple[float, ...] | None:
    drawn = [item.propensity for item in items if item.propensity is not None]
    return tuple(drawn) if drawn else None


def item_id_of(bundle: Bundle, text: str) -> Any:
    """An id from a path, as the model's items have it."""
    return _typed(text, bundle.model.item_vocabulary.kind)


def user_id_of(bundle: Bundle, text: str) -> Any:
    return _typed(text, bundle.model.user_vocabulary.kind)


def _typed(text: str, kind: str) -> Any:
    if kind == "integer":
        try:
            number = int(text)
        except ValueError as error:
            raise ProblemError("not-found", "The ids of this model are integers.") from error
        if str(number) == text and -(2**63) <= number < 2**63:
            return number
        raise ProblemError("not-found", "The ids of this model are integers of 64 bits.")
    return text
