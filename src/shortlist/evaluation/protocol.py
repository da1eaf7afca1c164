"""One evaluation: the leakage check, the questions, the answers of model and baselines, the figures."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec
import numpy as np
import polars as pl

from shortlist.config import PositiveSettings
from shortlist.data.dataset import REPEATS, Dataset
from shortlist.data.log import Floats, Log, Mask, Rows
from shortlist.data.split import Protocol, check_leakage
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import ConfigError, DataError
from shortlist.evaluation import metrics
from shortlist.evaluation.answering import (
    Answers,
    Model,
    answer_callable,
    answer_cascade,
    latency_ms,
    without_seen,
)
from shortlist.evaluation.baselines import BASELINES, Baselines
from shortlist.evaluation.compare import adjusted
from shortlist.evaluation.dial import DiversityCurve, measure_dial
from shortlist.evaluation.diversity import diversity_vectors
from shortlist.evaluation.figures import (
    COMPARED,
    METRICS,
    RESAMPLES,
    Baseline,
    Difference,
    RatingFigures,
    Result,
    Seen,
    Slice,
    SourceFigures,
    Stages,
)
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.metrics import PerUser, mean_over_users
from shortlist.evaluation.questions import Questions, infer_protocol, make_questions
from shortlist.evaluation.report import Report
from shortlist.evaluation.significance import Interval, bootstrap_intervals, randomisation_test, ratio_interval
from shortlist.evaluation.slices import make_parts, measure_slices
from shortlist.evaluation.suspicion import knowing_numbers, suspicions
from shortlist.requests import Request, parse_k

ACCURACY_DEPTHS = (1, 5, 10, 50, 100)


def evaluate(
    model: Model,
    train: Dataset,
    test: Dataset,
    *,
    protocol: Protocol | None = None,
    k: int = 10,
    n: int | None = None,
    positive: PositiveSettings | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Measure a model on the whole catalogue: its stages, its lists, its ratings, beside three baselines.

    Each user of the test is asked once. Under ``time`` at the first test event, with all training events as history;
    new users with at least two test events apart from the others, with the first half of them as history. Under
    ``next`` at their last training event. Under ``random`` at the end of training. Relevant is every positive test
    event that remains; where seen items are removed, only items new to the user. Relevant items that the model does
    not know count as misses.

    Denominators: NDCG's ideal, Recall and MAP use min(k, relevant); Precision k; recall at n of sources and shortlist
    all relevant items; all are means over the users with at least one relevant item.

    Args:
        model: a `Cascade`, or a callable ``(user_ids, k)`` that returns lists of item ids: a table with ``user_id``,
            ``item_id`` and, if not best first, ``rank``; a mapping; or one list per user. Of a callable only the lists
            are measured; it knows ids alone, so that new users are asked only where no history is needed. Where seen
            items are removed they are struck from its lists; where they are kept its lists stay as they are.
        train: what it was trained on. A cascade's own log is checked against the test as well.
        test: what it is asked.
        protocol: how the two were cut; ``None`` = see `infer_protocol`.
        k: length of the lists.
        n: length of a cascade's shortlist; ``None`` = as configured.
        positive: which test events are to be found; ``None`` = as the cascade was trained; any for a callable.
        seed: of intervals and tests.
        progress: called with one sentence per step.

    Returns:
        The report; ``print(report.table())``.

    Raises:
        LeakageError: training, or the model, knows a test event.
        DataError: nobody can be asked, or a callable answers what cannot be an answer.
        ConfigError: the model is neither, or n or k is out of range.

    >>> from shortlist.data.split import split
    >>> from shortlist.data.synthetic import chain
    >>> train, test = split(chain(stray=0), "next")
    >>> follows = dict(train.interactions.group_by("user_id").agg(pl.col("item_id").last()).iter_rows())
    >>> report = evaluate(lambda users, k: [[(follows[user] + 1) % 30] for user in users], train, test)
    >>> report.protocol, report.metric("hit_rate", k=10)
    ('next', 1.0)
    """
    started = time.perf_counter()
    say = progress or (lambda sentence: None)
    k, is_cascade = parse_k(k), _is_cascade(model)
    inferred, protocol = protocol is None, protocol or infer_protocol(train, test)
    leakage = check_leakage(train, test, protocol)
    if is_cascade:
        model = _with_candidates(model, n)
        leakage += check_own_log(model, train, test, protocol)
    positive = positive or (model.config.positive if is_cascade else PositiveSettings())
    catalogue = make_catalogue(train, test, model.items["item_id"] if is_cascade else None)
    questions, users, rows = make_questions(train, test, protocol, catalogue, positive)
    log = replace(train.log(positive.min_rating, positive.events), n_items=len(catalogue))
    known = model.items["item_id"] if is_cascade else train.items["item_id"]
    vectors, diversity_by = diversity_vectors(train, log, catalogue)
    exam = Exam(model, is_cascade, train, catalogue, log, positive, Baselines.of(log), vectors, k, seed, say)
    results = []
    for one in questions:
        if is_cascade or one.history is None:
            results += exam.results(one)
    if not results:
        raise DataError("nobody can be asked: all test users are new, and a callable cannot be given their histories")
    say("diversity")
    curve = exam.diversity_curve(questions[0]) if is_cascade else None
    say("ratings and latency")
    ratings = rating_figures(model, train, test) if is_cascade else None
    latency = latency_ms(model, questions[0].user_ids, k) if is_cascade else None
    seconds = {"total": time.perf_counter() - started, "model": exam.model_seconds}
    return Report(
        repr(model) if is_cascade else f"callable {getattr(model, '__name__', type(model).__name__)}",
        protocol,
        inferred,
        k,
        model.config.retrieval.candidates if is_cascade else None,
        _data(train, test, catalogue, known, questions) | {"diversity_by": diversity_by},
        users,
        rows,
        tuple(leakage),
        (*suspicions(results[0], protocol), *(exam.knowing_attributes(questions) if is_cascade else ())),
        tuple(_notes(questions, is_cascade, exam.struck)),
        tuple(results),
        ratings,
        latency,
        curve,
        {name: round(value, 3) for name, value in seconds.items()},
    )


def _is_cascade(model: Model) -> bool:
    if hasattr(model, "rank") and hasattr(model, "first"):
        return True
    if callable(model):
        return False
    raise ConfigError(f"model: expected a Cascade or a callable (user_ids, k), got {type(model).__name__}")


def _with_candidates(model: Model, n: int | None) -> Model:
    """The same cascade with another length of the shortlist."""
    if n is None:
        return model
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f"n: expected a whole number of candidates from 1, got {n!r}")
    retrieval = msgspec.structs.replace(model.config.retrieval, candidates=n)
    return replace(model, config=msgspec.structs.replace(model.config, retrieval=retrieval))


def check_own_log(model: Model, train: Dataset, test: Dataset, protocol: Protocol) -> list[str]:
    """The leakage check of the events that a cascade holds, where they are not those of ``train``."""
    if model.record.get("data", {}).get("fingerprint") == train.fingerprint:
        return []
    own = own_training(model)
    if own.time_kind != "none" and train.time_kind == "none":
        own = own.with_interactions(own.interactions.drop("timestamp"))
    check_leakage(own, test, protocol)
    keys = ["user_id", "item_id", *(["timestamp"] if "timestamp" in own.interactions.columns else [])]
    if own.interactions.select(keys).sort(keys).equals(train.interactions.select(keys).sort(keys)):
        return []  # the same events, read from another file
    return [f"the model was trained on {len(own):,} events that are not the {len(train):,} given as training"]


def own_training(model: Model) -> Dataset:
    """What a cascade was trained on, as far as it keeps it: interactions in order of time, items and users.

    A weight of 0 marks what did not count as positive; kinds of events and other columns are not kept.
    """
    log: Log = model.log
    columns = {
        "user_id": model.users["user_id"].gather(log.user_rows),
        "item_id": model.items["item_id"].gather(log.item_rows),
        "weight": pl.Series(log.weights).cast(pl.Float64),
    }
    if model.record.get("data", {}).get("time") != "none":
        columns["timestamp"] = pl.Series(log.timestamps)
    if not np.isnan(log.ratings).all():
        columns["rating"] = pl.Series(log.ratings).cast(pl.Float64).fill_nan(None)
    own = Dataset.from_frames(pl.DataFrame(columns), model.items, model.users, name="the model's own log")
    return replace(own, validation=model.record.get("data", {}).get("validation"))


def make_catalogue(train: Dataset, test: Dataset, model_items: pl.Series | None) -> Vocabulary:
    """Every item of training, model and test, training's first; what only the test has is a miss for everybody."""
    parts = [train.items["item_id"], *([] if model_items is None else [model_items]), test.items["item_id"]]
    if len({part.dtype for part in parts}) > 1:
        raise DataError(f"item ids differ in kind: {', '.join(str(part.dtype) for part in parts)}; none would be found")
    return Vocabulary(pl.concat([part.rename("id") for part in parts]).unique(maintain_order=True))


@dataclass(eq=False)
class Exam:
    """What stays the same over the groups of users, and what the model's answers cost."""

    model: Model
    is_cascade: bool
    train: Dataset
    catalogue: Vocabulary
    log: Log
    positive: PositiveSettings
    baselines: Baselines
    vectors: Floats
    k: int
    seed: int
    say: Callable[[str], None]
    model_seconds: float = 0.0
    struck: int = 0

    def results(self, questions: Questions) -> list[Result]:
        """Seen removed and kept, the model's own way first."""
        # A callable's headline keeps seen items where a cascade's default would.
        removed_first = self.model.filter_seen if self.is_cascade else self.train.repeat_share < REPEATS
        plain = questions.request(self.log, self.train.user_vocabulary, self.catalogue, self.positive.min_rating)
        ask = self._asker(questions, plain)
        ways: list[Seen] = ["removed", "kept"] if removed_first else ["kept", "removed"]
        return [self._result(questions, plain, seen, ask, with_stages=seen == ways[0]) for seen in ways]

    def _asker(self, questions: Questions, plain: Request) -> Callable[[Seen, Relevant | None], Answers]:
        """How to get the model's lists: a cascade is asked again for each way, a callable once."""
        if not self.is_cascade:
            self.say(f"asking the model for {len(questions):,} users")
            started = time.perf_counter()
            lists = answer_callable(self.model, questions.user_ids, self.catalogue, self.k)
            self.model_seconds += time.perf_counter() - started

            def of_callable(seen: Seen, relevant: Relevant | None) -> Answers:
                deep = lists
                if seen == "removed":
                    deep, struck = without_seen(lists, plain.seen, len(self.catalogue))
                    self.struck += struck
                return Answers(deep[:, : self.k], deep)

            return of_callable
        model, request = self.model, self._model_request(questions)
        rows = self.catalogue.rows(model.items["item_id"])

        def of_cascade(seen: Seen, relevant: Relevant | None) -> Answers:
            self.say(f"asking the model for {len(questions):,} users, seen items {seen}")
            answers = answer_cascade(model, request, rows, self.k, filter_seen=seen == "removed", relevant=relevant)
            self.model_seconds += answers.seconds
            return answers

        return of_cascade

    def _model_request(self, questions: Questions) -> Request:
        model = self.model
        return questions.request(
            model.log, model.user_vocabulary, model.item_vocabulary, model.config.positive.min_rating
        )

    def diversity_curve(self, questions: Questions) -> DiversityCurve | None:
        """What the dial of diversity costs and gains, with seen items as the cascade has them by itself."""
        keep = np.ones(len(questions.label_items), dtype=bool)
        if self.model.filter_seen:
            plain = questions.request(self.log, self.train.user_vocabulary, self.catalogue, self.positive.min_rating)
            keep = questions.first_time(plain.seen, len(self.catalogue))
        return measure_dial(
            self.model,
            self._model_request(questions),
            questions.relevant(keep),
            self.catalogue.rows(self.model.items["item_id"]),
            self.vectors,
            self.k,
            filter_seen=self.model.filter_seen,
            seed=self.seed,
        )

    def knowing_attributes(self, questions: list[Questions]) -> Iterable[str]:
        """Sentences about numbers among the cascade's item attributes that know the test's popularity."""
        rows = self.catalogue.rows(self.model.items["item_id"])
        facts = self.model.first.features.item_facts
        items = self.log.positives().item_rows
        ages = (items, items[len(items) * 4 // 5 :])
        before = [np.bincount(some, minlength=len(self.catalogue))[rows].astype(np.float64) for some in ages]
        asked = np.concatenate([one.label_items for one in questions])
        during = np.bincount(asked, minlength=len(self.catalogue))[rows]
        return knowing_numbers(facts.numbers, facts.number_names, before, during)

    def _result(
        self,
        questions: Questions,
        plain: Request,
        seen: Seen,
        ask: Callable[[Seen, Relevant | None], Answers],
        *,
        with_stages: bool,
    ) -> Result:
        everything = np.ones(len(questions.label_items), dtype=bool)
        keep = questions.first_time(plain.seen, len(self.catalogue)) if seen == "removed" else everything
        relevant = questions.relevant(keep)
        answers = ask(seen, relevant if with_stages else None)
        self.say(f"the baselines, seen items {seen}")
        left_out = plain.seen if seen == "removed" else None
        per_user = list_metrics(answers.ranked, relevant, self.k)
        lists = {name: self.baselines.lists(name, plain.queries, left_out, self.k) for name in BASELINES}
        others = {name: list_metrics(ranked, relevant, self.k) for name, ranked in lists.items()}
        alone = {name.partition(":")[2]: v for name, v in answers.stages.items() if name.startswith("alone:")}
        lift = None
        if answers.stages:  # behind the n candidates the retrieval order goes on: no work of the ranker
            ranker = metrics.ndcg_at_k(answers.ranked[:, : self.model.config.retrieval.candidates], relevant, self.k)
            answers.stages["order:ranker"] = ranker
            lift = ranker - answers.stages["order:fusion"]
        intervals, differences = self._compared(per_user, others, alone, lift)
        best = max(BASELINES, key=lambda name: float(np.nan_to_num(mean_over_users(others[name]["ndcg"]).mean)))
        slices = self._slices(questions, plain, keep, (answers.ranked, lists[best]), answers) if with_stages else ()
        counts = np.bincount(self.log.positives().item_rows, minlength=len(self.catalogue))
        return Result(
            questions.group,
            seen,
            questions.user_ids,
            int((relevant.counts == 0).sum()),
            per_user,
            intervals,
            metrics.coverage(answers.ranked, len(self.catalogue)),
            mean_over_users(metrics.novelty(answers.ranked, counts, max(1, int(counts.sum())))).mean,
            mean_over_users(metrics.popularity_share(answers.ranked, counts)).mean,
            mean_over_users(metrics.intra_list_diversity(answers.ranked, self.vectors)).mean,
            row_accuracy(answers.deep, questions, keep),
            int(keep.sum()),
            int((~keep).sum()),
            tuple(
                Baseline(
                    name,
                    values,
                    {metric: mean_over_users(values[metric]).mean for metric in METRICS},
                    {metric: differences[name, metric] for metric in COMPARED},
                )
                for name, values in others.items()
            ),
            self._stages(answers, differences) if answers.stages else None,
            slices,
        )

    def _slices(
        self, questions: Questions, plain: Request, keep: Mask, lists: tuple[Rows, Rows], answers: Answers
    ) -> tuple[Slice, ...]:
        users, items = questions.label_queries[keep], questions.label_items[keep]
        parts = make_parts(self.log.positives(), plain.queries, users, items)
        return measure_slices(parts, users, items, len(questions), lists, answers.shortlists, self.k, self.seed)

    def _compared(
        self,
        model: dict[str, PerUser],
        others: dict[str, dict[str, PerUser]],
        alone: dict[str, PerUser],
        lift: PerUser | None,
    ) -> tuple[dict[str, Interval], dict[tuple[str, str], Difference]]:
        """Intervals of the model's metrics, and its differences from baselines and sources, and the ranker's lift.

        Holm's families: the baselines on one metric; the sources; the ranker's lift by itself.
        """
        families = [{(name, metric): model[metric] - others[name][metric] for name in others} for metric in COMPARED]
        families.append({(name, "alone"): model["ndcg"] - values for name, values in alone.items()})
        if lift is not None:
            families.append({("ranker", "lift"): lift})
        columns = {" ".join(key): values for family in families for key, values in family.items()}
        intervals = bootstrap_intervals(model | columns, seed=self.seed, resamples=RESAMPLES)
        differences: dict[tuple[str, str], Difference] = {}
        for family in families:
            tests = {
                " ".join(key): randomisation_test(d, np.zeros(len(d)), seed=self.seed, resamples=RESAMPLES)
                for key, d in family.items()
            }
            p = adjusted(tests)
            differences |= {key: Difference(intervals[" ".join(key)], p[" ".join(key)]) for key in family}
        return {metric: intervals[metric] for metric in METRICS}, differences

    def _stages(self, answers: Answers, differences: dict[tuple[str, str], Difference]) -> Stages:
        intervals = bootstrap_intervals(answers.stages, seed=self.seed, resamples=RESAMPLES)
        mean = {name: interval.mean for name, interval in intervals.items()}
        return Stages(
            self.model.config.retrieval.candidates,
            tuple(
                SourceFigures(
                    source.name,
                    mean[f"recall:{source.name}"],
                    mean[f"alone:{source.name}"],
                    mean[f"order:{source.name}"],
                    differences[source.name, "alone"],
                )
                for source in self.model.first.sources
            ),
            mean["recall:union"],
            mean["recall:candidates"],
            mean["order:fusion"],
            mean["order:ranker"],
            mean["order:oracle"],
            differences["ranker", "lift"],
            intervals,
        )


def list_metrics(ranked: Rows, relevant: Relevant, k: int) -> dict[str, PerUser]:
    """All of `METRICS` at k; float64 (n_users,) each."""
    functions = (
        metrics.ndcg_at_k,
        metrics.recall_at_k,
        metrics.hit_rate_at_k,
        metrics.mrr_at_k,
        metrics.map_at_k,
        metrics.precision_at_k,
    )
    return {name: function(ranked, relevant, k) for name, function in zip(METRICS, functions, strict=True)}


def row_accuracy(deep: Rows, questions: Questions, keep: Mask) -> dict[int, float]:
    """The share of the kept test rows whose item is among the first K of its user's list, for each K."""
    users, items = questions.label_queries[keep], questions.label_items[keep]
    ranks = np.full(len(users), np.inf)
    for start in range(0, len(users), 10_000):
        rows = slice(start, start + 10_000)
        found = deep[users[rows]] == items[rows, None]  # (n_rows, n_listed)
        ranks[rows] = np.where(found.any(axis=1), found.argmax(axis=1) + 1, np.inf)
    return metrics.accuracy_at(ranks, ACCURACY_DEPTHS)


def rating_figures(model: Model, train: Dataset, test: Dataset) -> RatingFigures | None:
    """Errors over the rated test rows, with everything in training known; ``None`` where nothing predicts."""
    if not (model.predicts_ratings and test.has_ratings and train.has_ratings):
        return None
    rated = test.interactions.filter(pl.col("rating").is_not_null())
    actual = rated["rating"].to_numpy()
    predicted = model.predict_ratings(rated.select("user_id", "item_id"))["predicted_rating"].to_numpy()
    mean = np.full(len(actual), float(cast(float, train.interactions["rating"].mean())))
    users = rated["user_id"].rank("dense").to_numpy() - 1
    errors: PerUser = np.bincount(users, (predicted - actual) ** 2).astype(np.float64)
    squares = ratio_interval(errors, np.bincount(users).astype(np.float64))
    return RatingFigures(
        len(actual),
        metrics.rmse(predicted, actual),
        float(np.sqrt(squares.low)),
        float(np.sqrt(squares.high)),
        metrics.mae(predicted, actual),
        metrics.rmse(mean, actual),
        metrics.mae(mean, actual),
    )


def _data(
    train: Dataset, test: Dataset, catalogue: Vocabulary, known: pl.Series, questions: list[Questions]
) -> dict[str, Any]:
    is_known = catalogue.ids.is_in(known.implode()).to_numpy()
    labels = np.concatenate([one.label_items for one in questions])
    return {
        "name": train.name,
        "train_events": len(train),
        "test_events": len(test),
        "catalogue_items": len(catalogue),
        "unknown_items": len(np.unique(labels[~is_known[labels]])),
        "unknown_item_rows": int((~is_known[labels]).sum()),
        "validation": train.validation,
    }


def _notes(questions: list[Questions], is_cascade: bool, struck: int) -> Iterable[str]:
    folded = next((one for one in questions if one.group == "fold_in"), None)
    if folded is not None and not is_cascade:
        yield f"{len(folded):,} new users were not asked: a callable cannot be given their histories"
    if struck:
        yield f"{struck:,} seen items were struck from the callable's lists where seen items are removed"
