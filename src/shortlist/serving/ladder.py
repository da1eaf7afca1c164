"""One query on its way to an answer: two stages, one deadline, and what answers where a stage fails.

==================  ================================================================================================
rung                the order of the answer
==================  ================================================================================================
``ranking``         both stages and the last word, as the library answers
``retrieval``       stage 2 failed or was late: the order of the shortlist
``item_to_item``    stage 1 failed: what the history's items have for neighbours
``popularity``      nothing else answered in time
==================  ================================================================================================

Filters, seen items, caps and rules hold on every rung (`shortlist.serving.unranked`). Diversity and exploration act on
the first rung only, and only there an answer is explained: once it is there, within a limit of its own, and if that is
not kept the answer goes out without. A stage that fails three times in a row is left out for a while (`Breaker`), so
that nobody waits for it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from shortlist.explaining.asking import explain_answer
from shortlist.explaining.explanation import Explanation
from shortlist.first_stage import Found
from shortlist.serving.live import Bundle
from shortlist.serving.metrics import Metrics
from shortlist.serving.questions import Question
from shortlist.serving.schemas import Stage
from shortlist.serving.unranked import in_order, item_to_item, popular
from shortlist.stages import Ranked

FAILURES = 3
PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
EXPLANATION_SHARE = 0.5
"""Of the time allowed to a query, that explaining its answer may take; it ends at the deadline too."""


@dataclass
class Breaker:
    """Says whether a stage is worth a try: not for a while after three failures in a row, then one try at a time.

    >>> breaker = Breaker()
    >>> for _ in range(3): breaker.failed(now=0.0)
    >>> breaker.closed(now=0.5), breaker.closed(now=1.5), breaker.closed(now=1.6)
    (False, True, False)
    """

    n_failures: int = 0
    pause_s: float = PAUSE_S
    open_until: float = 0.0

    def closed(self, now: float) -> bool:
        if self.n_failures < FAILURES:
            return True
        if now < self.open_until:
            return False
        self.open_until = now + self.pause_s  # this one tries, the others go on without
        return True

    def failed(self, now: float) -> None:
        self.n_failures += 1
        if self.n_failures >= FAILURES:
            self.open_until = now + self.pause_s
            self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

    def worked(self) -> None:
        self.n_failures, self.pause_s = 0, PAUSE_S


@dataclass
class Ladder:
    """What all queries share: the breakers, and the counters."""

    metrics: Metrics
    retrieval: Breaker = field(default_factory=Breaker)
    ranking: Breaker = field(default_factory=Breaker)
    explanation: Breaker = field(default_factory=Breaker)


@dataclass
class Reply:
    """What is known about an answer.

    Attributes:
        ranked: the items.
        rung: see the module.
        stages: those run to their end.
        degraded: those that failed or were left out.
        explanations: one per item, if they were asked for and are there.
    """

    ranked: Ranked
    rung: str
    stages: list[Stage]
    degraded: list[Stage]
    explanations: list[Explanation] | None = None


@dataclass(eq=False)
class Job:
    """One query. A worker runs it; the event loop may ask for `late` when the deadline has passed meanwhile.

    Attributes:
        bundle: answers, whatever is promoted meanwhile.
        ask: makes the question.
        deadline: on the clock of `time.perf_counter`.
        allowance_s: from the request to the deadline.
        stage: what is being done, since ``stage_began``; ``""`` before and after.
        times: seconds of each stage that was run to its end.
    """

    bundle: Bundle
    ask: Callable[[Bundle], Question]
    deadline: float
    allowance_s: float
    ladder: Ladder
    stage: str = ""
    stage_began: float = 0.0
    started: bool = False
    question: Question | None = None
    found: Found | None = None
    ranked: Ranked | None = None
    times: dict[str, float] = field(default_factory=dict)
    degraded: list[Stage] = field(default_factory=list)
    reply: Reply | None = None

    def run(self) -> Reply:
        """Both stages, or as far down the ladder as need be; called by a worker.

        Raises:
            QueryError: the query cannot be answered as asked.
        """
        self.started = True
        begin = time.perf_counter()
        self.question = self.ask(self.bundle)
        self.times["question"] = time.perf_counter() - begin
        if self.question.history_failed:
            self._degrade("history", "failed")
        found = self._retrieved(self.question)
        if found is None:
            return self._without_retrieval(self.question)
        self.found = found
        self.ranked = self._ranked(self.question, found)
        explanations = None if self.ranked is None else self._explained(self.question, self.ranked)
        self.stage = ""
        if self.ranked is None:
            return self._retrieval_order(self.question, found)
        return self._whole(self.ranked, explanations)

    def late(self) -> Reply | None:
        """The best answer there is when the deadline passes; ``None`` = the filters are not worked out yet."""
        question, found = self.question, self.found
        if question is None:
            return None
        now = time.perf_counter()
        slow = now - self.stage_began > self.allowance_s / 2  # else it only began late, and is not to blame
        if self.ranked is not None:
            if question.language is not None:
                self._degrade("explanation", "late")
            if slow and self.stage == "explanation":
                self.ladder.explanation.failed(now)
            return self._whole(self.ranked, None)
        if found is not None:
            self._degrade("ranking", "late")
            if slow and self.stage == "ranking":
                self.ladder.ranking.failed(now)
            return self._retrieval_order(question, found)
        if slow and self.stage == "retrieval":
            self.ladder.retrieval.failed(now)
        self._degrade("retrieval", "late")
        return self._popular(question)

    def _retrieved(self, question: Question) -> Found | None:
        now = time.perf_counter()
        if now > self.deadline or not self.ladder.retrieval.closed(now):
            self._degrade("retrieval", "late" if now > self.deadline else "paused")
            return None
        self.stage, self.stage_began = "retrieval", now
        try:
            found = self.bundle.model.shortlist(
                question.request.queries, question.allowed, question.k, question.n, question.word
            )
        except Exception:  # whatever it is: the answer goes on without
            self.ladder.retrieval.failed(time.perf_counter())
            self._degrade("retrieval", "failed")
            return None
        self._done("retrieval", now, self.ladder.retrieval)
        return found

    def _ranked(self, question: Question, found: Found) -> Ranked | None:
        now = time.perf_counter()
        if now > self.deadline or not self.ladder.ranking.closed(now):
            self._degrade("ranking", "late" if now > self.deadline else "paused")
            return None
        self.stage, self.stage_began = "ranking", now
        try:
            (ranked,) = self.bundle.model.order(
                question.request.queries, found, question.k, question.n, question.word, question.allowed
            )
            if not np.isfinite(ranked.scores[ranked.places < question.n]).all():
                raise ValueError("a score is no number")
        except Exception:  # likewise
            self.ladder.ranking.failed(time.perf_counter())
            self._degrade("ranking", "failed")
            return None
        self._done("ranking", now, self.ladder.ranking)
        return ranked

    def _explained(self, question: Question, ranked: Ranked) -> list[Explanation] | None:
        if question.language is None:
            return None
        now = time.perf_counter()
        if now > self.deadline or not self.ladder.explanation.closed(now):
            self._degrade("explanation", "late" if now > self.deadline else "paused")
            return None
        self.stage, self.stage_began = "explanation", now
        until = min(self.deadline, now + EXPLANATION_SHARE * self.allowance_s)
        try:
            explainer = self.bundle.model.explainer
            explanations = explain_answer(explainer, question.request.queries, ranked, question.language, until)
        except Exception as error:  # likewise
            self.ladder.explanation.failed(time.perf_counter())
            self._degrade("explanation", "late" if isinstance(error, TimeoutError) else "failed")
            return None
        self._done("explanation", now, self.ladder.explanation)
        return explanations

    def _done(self, stage: Stage, begin: float, breaker: Breaker) -> None:
        seconds = time.perf_counter() - begin
        self.times[stage] = seconds
        self.ladder.metrics.stage_seconds.labels(stage).observe(seconds)
        if time.perf_counter() <= self.deadline:
            breaker.worked()

    def _degrade(self, stage: Stage, cause: str) -> None:
        if stage not in self.degraded:
            self.degraded.append(stage)
            self.ladder.metrics.degraded.labels(stage, cause).inc()

    def _whole(self, ranked: Ranked, explanations: list[Explanation] | None) -> Reply:
        stages: list[Stage] = ["retrieval", "ranking"]
        if explanations is not None:
            stages.append("explanation")
        return Reply(ranked, "ranking", stages, [*self.degraded], explanations)

    def _without_ranking(self, ranked: Ranked, rung: str, stages: list[Stage]) -> Reply:
        if self.question is not None and self.question.language is not None:
            self._degrade("explanation", "no ranking")
        return Reply(ranked, rung, stages, [*self.degraded])

    def _retrieval_order(self, question: Question, found: Found) -> Reply:
        return self._without_ranking(in_order(self.bundle, question, found.candidates), "retrieval", ["retrieval"])

    def _without_retrieval(self, question: Question) -> Reply:
        if time.perf_counter() <= self.deadline:
            try:
                ranked = item_to_item(self.bundle, question)
            except Exception:  # likewise
                ranked = None
            if ranked is not None:
                return self._without_ranking(ranked, "item_to_item", [])
        return self._popular(question)

    def _popular(self, question: Question) -> Reply:
        return self._without_ranking(popular(self.bundle, question), "popularity", [])
