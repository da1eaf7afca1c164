"""What an evaluation found: figures with their intervals, as a table, as JSON, and per user for paired comparisons."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np

from shortlist.data.split import Protocol
from shortlist.errors import DataError, QueryError
from shortlist.evaluation.metrics import PerUser
from shortlist.evaluation.questions import Group, UserCounts
from shortlist.evaluation.significance import Interval, holm, paired_interval, randomisation_test

RESAMPLES = 2_000
METRICS = ("ndcg", "recall", "hit_rate", "mrr", "map", "precision")
TITLES = {
    "ndcg": "NDCG",
    "recall": "Recall",
    "hit_rate": "HR",
    "mrr": "MRR",
    "map": "MAP",
    "precision": "Precision",
}
Seen = Literal["removed", "kept"]


@dataclass(frozen=True)
class Difference:
    """A paired difference over users.

    Attributes:
        interval: of the mean difference, 95 %.
        p: two-sided, by randomisation, Holm-adjusted over the systems compared on the same metric; ``nan`` = nobody
            to compare.
    """

    interval: Interval
    p: float


@dataclass(frozen=True, eq=False)
class Baseline:
    """A baseline on the same questions.

    Attributes:
        name: which.
        per_user: float64 (n_users,) for each metric.
        means: over users with a relevant item.
        differences: model - baseline, for ``ndcg``, ``recall`` and ``hit_rate``.
    """

    name: str
    per_user: dict[str, PerUser]
    means: dict[str, float]
    differences: dict[str, Difference]


@dataclass(frozen=True)
class SourceFigures:
    """One source on its own.

    Attributes:
        name: of the source.
        recall: relevant items among its own n proposals, divided by all relevant ones.
        ndcg_alone: NDCG@k of its own list from the full catalogue.
        ndcg_same_candidates: NDCG@k of the shortlist sorted by its score.
        model_minus_alone: the whole model against it, paired.
    """

    name: str
    recall: float
    ndcg_alone: float
    ndcg_same_candidates: float
    model_minus_alone: Difference


@dataclass(frozen=True)
class Stages:
    """What each stage contributes, on the same queries; NDCG is at k, recall at n over *all* relevant items.

    Attributes:
        n: length of the shortlist.
        sources: each by itself.
        recall_union: relevant items that any source proposed.
        recall_candidates: relevant items among the n candidates: the ceiling of what the ranker can find.
        ndcg_fusion: the candidates in the order of retrieval.
        ndcg_ranker: the same candidates in the order of the ranker: the model itself, where k is at most n.
        ndcg_oracle: the same candidates with the relevant ones first.
        ranker_lift: ranker - fusion, paired over users.
    """

    n: int
    sources: tuple[SourceFigures, ...]
    recall_union: float
    recall_candidates: float
    ndcg_fusion: float
    ndcg_ranker: float
    ndcg_oracle: float
    ranker_lift: Difference


@dataclass(frozen=True, eq=False)
class Result:
    """The figures of one group of users with seen items removed or kept.

    Attributes:
        users: ``all``, ``warm`` or ``fold_in``.
        seen: ``removed`` = no list holds what the user has, and only first-time items are relevant; ``kept`` = any
            item may be listed, and every test item is relevant.
        user_ids: everybody asked, by id.
        without_relevant: how many of them the metrics leave out, since they had seen all their test items before.
        per_user: float64 (n_users,) for each metric, ``nan`` = left out.
        metrics: mean, 95% bootstrap interval and number of users for each metric.
        coverage: share of the catalogue (training and test) that appears in any first-k list.
        novelty: mean of -log2(share of training events) of the listed items, in bits, mean over users.
        popularity_share: share of the lists in the most popular tenth of the catalogue, mean over users.
        top_k_accuracy: share of the test rows whose item is among the user's first K, for K = 1, 5, 10, 50, 100.
        n_rows: the rows that this is over.
        baselines: on the same questions.
        stages: the two stages; ``None`` for a callable, and where they were not measured (all but the model's own way
            with seen items).
    """

    users: Group
    seen: Seen
    user_ids: list[Any]
    without_relevant: int
    per_user: dict[str, PerUser]
    metrics: dict[str, Interval]
    coverage: float
    novelty: float
    popularity_share: float
    top_k_accuracy: dict[int, float]
    n_rows: int
    baselines: tuple[Baseline, ...]
    stages: Stages | None


@dataclass(frozen=True)
class RatingFigures:
    """Errors of predicted ratings over the test rows with a rating, in units of the rating.

    Attributes:
        n: number of rows; unknown users and items included.
        rmse_mean: of answering the training mean always.
    """

    n: int
    rmse: float
    mae: float
    rmse_mean: float
    mae_mean: float


@dataclass(frozen=True, eq=False)
class Report:
    """All that `evaluate` found. The first of ``results`` is the headline.

    Attributes:
        model: what was evaluated, in one line.
        protocol: how training and test were cut.
        inferred: whether the protocol was read off the data.
        k: length of the lists.
        n: length of the shortlist; ``None`` for a callable.
        data: name, events, size of the catalogue, test items unknown to the model.
        users: what became of the test's users.
        leakage: what the leakage check has to say.
        notes: what else a reader must know.
        results: by group of users, seen removed and kept.
        ratings: ``None`` where there are none, or the model predicts none.
        latency_ms: of single calls; ``None`` for a callable. Differs from run to run.
        seconds: where the time went. Differs from run to run.
    """

    model: str
    protocol: Protocol
    inferred: bool
    k: int
    n: int | None
    data: dict[str, Any]
    users: UserCounts
    leakage: tuple[str, ...]
    notes: tuple[str, ...]
    results: tuple[Result, ...]
    ratings: RatingFigures | None = None
    latency_ms: dict[str, Any] | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def result(self, users: Group | None = None, seen: Seen | None = None) -> Result:
        """The first result of a group, seen removed or kept; ``None`` = as in the headline."""
        users, seen = users or self.results[0].users, seen or self.results[0].seen
        for one in self.results:
            if (one.users, one.seen) == (users, seen):
                return one
        have = ", ".join(f"{one.users}/{one.seen}" for one in self.results)
        raise QueryError(f"report: no figures for users {users!r} with seen items {seen!r}; there are {have}")

    def metric(self, name: str, k: int | None = None, *, users: Group | None = None, seen: Seen | None = None) -> float:
        """The mean of one of `METRICS`.

        Raises:
            QueryError: another metric, or another k than the evaluation's.
        """
        if name not in METRICS:
            raise QueryError(f"report: no metric {name!r}; there are {', '.join(METRICS)}")
        if k is not None and k != self.k:
            raise QueryError(f"report: the lists were measured at k={self.k}, not {k}; evaluate again with k={k}")
        return self.result(users, seen).metrics[name].mean

    @property
    def verdict(self) -> str:
        """One sentence: better or worse than the best baseline (by NDCG), and by how much."""
        head = self.results[0]
        best = max(head.baselines, key=lambda one: one.means["ndcg"])
        difference = best.differences["ndcg"]
        low, high = difference.interval.low, difference.interval.high
        if low > 0:
            word = "Better than"
        elif high < 0:
            word = "Worse than"
        else:
            word = "Not clearly different from"
        return (
            f"{word} the best baseline ({best.name}): NDCG@{self.k} {_number(head.metrics['ndcg'].mean)} vs "
            f"{_number(best.means['ndcg'])}, paired difference {_difference(difference)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``nan`` becomes ``None``.

        Returns:
            ``verdict`` (a sentence), the attributes of `Report` by their names, and ``results``: a list of the
            attributes of `Result` without ``user_ids`` and ``per_user`` but with ``n_users``; in them ``metrics`` has
            the keys ``ndcg@10`` and so on, each with ``mean``, ``low``, ``high`` and ``n``; ``top_k_accuracy`` the
            keys ``"1"`` to ``"100"``; ``baselines`` a list of ``name``, ``metrics`` (means) and ``differences``
            (model - baseline: ``mean``, ``low``, ``high``, ``n``, ``p``); ``stages`` the attributes of `Stages`.
            Only ``latency_ms`` and ``seconds`` differ between two runs.
        """
        plain = {
            "verdict": self.verdict,
            "model": self.model,
            "protocol": self.protocol,
            "inferred": self.inferred,
            "k": self.k,
            "n": self.n,
            "data": self.data,
            "users": asdict(self.users),
            "leakage": list(self.leakage),
            "notes": list(self.notes),
            "results": [_result_dict(one, self.k) for one in self.results],
            "ratings": None if self.ratings is None else asdict(self.ratings),
            "latency_ms": self.latency_ms,
            "seconds": self.seconds,
        }
        cleaned: dict[str, Any] = _without_nan(plain)
        return cleaned

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return msgspec.json.encode(self.to_dict()).decode()

    def table(self) -> str:
        """The report as text: the verdict, what to beware of, then one block per question."""
        counts = self.users
        head = [
            self.verdict,
            "",
            *(f"Leakage: {sentence}" for sentence in self.leakage),
            *(f"Note: {sentence}" for sentence in self.notes),
            f"{self.model}",
            f"Protocol {self.protocol!r}{' (inferred)' if self.inferred else ''}; "
            f"{self.data['train_events']:,} events train, {self.data['test_events']:,} test; "
            f"{self.data['catalogue_items']:,} items, all of them ranked.",
            f"Of {counts.in_test:,} test users {counts.warm:,} have a history, {counts.fold_in:,} are new and folded "
            f"in, {counts.without_history:,} are new without history; not asked: {counts.not_askable:,} new with one "
            f"event, {counts.without_positive:,} without a positive to find.",
        ]
        blocks = [_result_text(one, self.k) for one in self.results]
        return "\n".join([*head, *blocks, *self._rest()]) + "\n"

    def _rest(self) -> list[str]:
        lines = []
        if self.ratings is not None:
            r = self.ratings
            lines.append(
                f"\nRatings of {r.n:,} test rows: RMSE {r.rmse:.4f} (always the mean: {r.rmse_mean:.4f}), "
                f"MAE {r.mae:.4f} ({r.mae_mean:.4f})"
            )
        if self.latency_ms is not None:
            t = self.latency_ms
            lines.append(f"One recommend call: p50 {t['p50']:.1f} ms, p95 {t['p95']:.1f} ms ({t['calls']} users)")
        return lines


def compare(a: Report, b: Report, *, seed: int = 0) -> dict[str, Difference]:
    """``a - b`` on each metric, paired over the users of both headlines; p Holm-adjusted over the metrics.

    Raises:
        DataError: the reports are not about the same questions.
    """
    first, second = a.results[0], b.results[0]
    for what, x, y in (
        ("protocol", a.protocol, b.protocol),
        ("k", a.k, b.k),
        ("seen items", first.seen, second.seen),
        ("users", first.users, second.users),
    ):
        if x != y:
            raise DataError(f"compare: the reports differ in {what}: {x!r} and {y!r}")
    if first.user_ids != second.user_ids:
        raise DataError(f"compare: other users were asked ({len(first.user_ids)} and {len(second.user_ids)})")
    p = adjusted({m: randomisation_test(first.per_user[m], second.per_user[m], seed=seed) for m in METRICS})
    return {m: Difference(paired_interval(first.per_user[m], second.per_user[m], seed=seed), p[m]) for m in METRICS}


def adjusted(p_values: dict[str, float]) -> dict[str, float]:
    """Holm's adjustment; as they are where there was nobody to compare."""
    return p_values if any(np.isnan(p) for p in p_values.values()) else holm(p_values)


# As plain values ------------------------------------------------------------------------------------------------------


def _result_dict(one: Result, k: int) -> dict[str, Any]:
    stages = None if one.stages is None else asdict(one.stages)
    if one.stages is not None and stages is not None:
        stages["ranker_lift"] = _difference_dict(one.stages.ranker_lift)
        for plain, source in zip(stages["sources"], one.stages.sources, strict=True):
            plain["model_minus_alone"] = _difference_dict(source.model_minus_alone)
    return {
        "users": one.users,
        "seen": one.seen,
        "n_users": len(one.user_ids),
        "without_relevant": one.without_relevant,
        "metrics": {f"{name}@{k}": asdict(interval) for name, interval in one.metrics.items()},
        "coverage": one.coverage,
        "novelty": one.novelty,
        "popularity_share": one.popularity_share,
        "top_k_accuracy": {str(depth): share for depth, share in one.top_k_accuracy.items()},
        "n_rows": one.n_rows,
        "baselines": [
            {
                "name": baseline.name,
                "metrics": {f"{name}@{k}": mean for name, mean in baseline.means.items()},
                "differences": {f"{name}@{k}": _difference_dict(d) for name, d in baseline.differences.items()},
            }
            for baseline in one.baselines
        ],
        "stages": stages,
    }


def _difference_dict(difference: Difference) -> dict[str, float]:
    return asdict(difference.interval) | {"p": difference.p}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value


# As text --------------------------------------------------------------------------------------------------------------


def _result_text(one: Result, k: int) -> str:
    who = {"all": "All users", "warm": "Warm users", "fold_in": "New users, folded in"}[one.users]
    n = one.metrics["ndcg"].n
    lines = ["", f"{who}, seen items {one.seen}: {n:,} users ({one.without_relevant:,} more had nothing new to find)"]
    names = [baseline.name for baseline in one.baselines]
    rows = [
        [
            f"{TITLES[name]}@{k}",
            _number(interval.mean),
            f"[{_number(interval.low)}, {_number(interval.high)}]",
            *(_number(baseline.means[name]) for baseline in one.baselines),
        ]
        for name, interval in one.metrics.items()
    ]
    lines += _aligned([["", "model", "95% interval", *names], *rows])
    lines += [
        f"  model - {baseline.name}: NDCG@{k} {_difference(baseline.differences['ndcg'])}" for baseline in one.baselines
    ]
    accuracy = ", ".join(f"{depth}: {_number(share)}" for depth, share in one.top_k_accuracy.items())
    lines.append(f"  Top-K accuracy over {one.n_rows:,} test rows: {accuracy}")
    lines.append(
        f"  Coverage {_number(one.coverage)}, novelty {one.novelty:.2f} bits, "
        f"share from the most popular tenth {_number(one.popularity_share)}"
    )
    return "\n".join(lines + ([] if one.stages is None else _stages_text(one.stages, k)))


def _stages_text(stages: Stages, k: int) -> list[str]:
    rows = [
        [
            source.name,
            _number(source.recall),
            _number(source.ndcg_alone),
            _number(source.ndcg_same_candidates),
            _difference(source.model_minus_alone),
        ]
        for source in stages.sources
    ]
    rows += [
        ["union of the sources", _number(stages.recall_union), "", "", ""],
        ["fusion (as retrieved)", _number(stages.recall_candidates), "", _number(stages.ndcg_fusion), ""],
        ["ranker (the model)", "", "", _number(stages.ndcg_ranker), ""],
        ["oracle", "", "", _number(stages.ndcg_oracle), ""],
    ]
    columns = ["stage", f"recall@{stages.n}", f"NDCG@{k} alone", "same candidates", "model - alone"]
    return [*_aligned([columns, *rows]), f"  Ranker's lift over fusion: {_difference(stages.ranker_lift)}"]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        yield ("  " + "  ".join(cells)).rstrip()


def _number(value: float) -> str:
    """Three digits without the zero: ``.390``.

    >>> _number(0.39), _number(-0.011), _number(1.0), _number(float("nan"))
    ('.390', '-.011', '1.000', '-')
    """
    text = "-" if np.isnan(value) else f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _difference(difference: Difference) -> str:
    interval = difference.interval
    sign = "+" if interval.mean >= 0 else ""
    p = "" if np.isnan(difference.p) else f", p {'< .001' if difference.p < 0.001 else _number(difference.p)}"
    return f"{sign}{_number(interval.mean)} [{_number(interval.low)}, {_number(interval.high)}]{p}"
