"""What an evaluation found: figures with their intervals, as a table, as JSON, and per user for paired comparisons."""

from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from shortlist.data.split import Protocol
from shortlist.errors import QueryError
from shortlist.evaluation.dial import DiversityCurve
from shortlist.evaluation.figures import METRICS, RatingFigures, Result, Seen
from shortlist.evaluation.plain import result_dict, without_nan
from shortlist.evaluation.questions import Group, RowCounts, UserCounts
from shortlist.evaluation.text import curve_lines, difference_text, number, result_text, set_aside_lines


@dataclass(frozen=True, eq=False)
class Report:
    """All that `evaluate` found. The first of ``results`` is the headline.

    Attributes:
        model: what was evaluated, in one line.
        protocol: how training and test were cut.
        inferred: whether the protocol was read off the data.
        k: length of the lists.
        n: length of the shortlist; ``None`` for a callable.
        data: name, events, size of the catalogue, test items unknown to the model, what diversity is measured by;
            ``validation``: what was set aside before (``None`` = nothing is known of that).
        users: what became of the test's users.
        rows: what became of the test's rows.
        leakage: what the leakage check has to say.
        warnings: figures too good to believe; see `evaluation.suspicion`.
        notes: what else a reader must know.
        results: by group of users, seen removed and kept.
        ratings: ``None`` where there are none, or the model predicts none.
        latency_ms: of single calls; ``None`` for a callable. Differs from run to run.
        diversity_curve: what more diverse lists cost and gain; ``None`` for a callable.
        seconds: where the time went. Differs from run to run.
    """

    model: str
    protocol: Protocol
    inferred: bool
    k: int
    n: int | None
    data: dict[str, Any]
    users: UserCounts
    rows: RowCounts
    leakage: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    results: tuple[Result, ...]
    ratings: RatingFigures | None = None
    latency_ms: dict[str, Any] | None = None
    diversity_curve: DiversityCurve | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def result(self, users: Group | None = None, seen: Seen | None = None) -> Result:
        """The first result of a group, seen removed or kept; ``None`` = as in the headline."""
        users, seen = users or self.results[0].users, seen or self.results[0].seen
        for one in self.results:
            if (one.users, one.seen) == (users, seen):
                return one
        have = ", ".join(f"{one.users}/{one.seen}" for one in self.results)
        raise QueryError(f"report: no figures for users {users!r} with seen items {seen!r}; there are {have}")

    @property
    def groups(self) -> list[Group]:
        """The groups of users asked, the headline's first."""
        return list(dict.fromkeys(one.users for one in self.results))

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
        """One sentence: better or worse than the best baseline (by NDCG), and by how much.

        Better or worse needs both: an interval on one side of 0, and p < .05 after Holm's adjustment.
        """
        head = self.results[0]
        best = head.best_baseline
        difference = best.differences["ndcg"]
        word = {1: "Better than", -1: "Worse than", 0: "Not clearly different from"}[difference.sign]
        return (
            f"{word} the best baseline ({best.name}): NDCG@{self.k} {number(head.metrics['ndcg'].mean)} vs "
            f"{number(best.means['ndcg'])}, paired difference {difference_text(difference)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``nan`` becomes ``None``.

        Returns:
            ``verdict`` (a sentence), the attributes of `Report` by their names, and ``results``: a list of the
            attributes of `Result` without ``user_ids`` and ``per_user`` but with ``n_users``; in them ``metrics`` has
            the keys ``ndcg@10`` and so on, each with ``mean``, ``low``, ``high`` and ``n``; ``top_k_accuracy`` the
            keys ``"1"`` to ``"100"``; ``baselines`` a list of ``name``, ``metrics`` (means) and ``differences``
            (model - baseline: ``mean``, ``low``, ``high``, ``n``, ``p``); ``stages`` the attributes of `Stages`;
            ``slices`` a list of the attributes of `Slice`.
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
            "rows": asdict(self.rows),
            "leakage": list(self.leakage),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "results": [result_dict(one, self.k) for one in self.results],
            "ratings": None if self.ratings is None else asdict(self.ratings),
            "diversity_curve": None if self.diversity_curve is None else asdict(self.diversity_curve),
            "latency_ms": self.latency_ms,
            "seconds": self.seconds,
        }
        cleaned: dict[str, Any] = without_nan(plain)
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
            *(f"SUSPICIOUS: {sentence}" for sentence in self.warnings),
            *(f"Leakage: {sentence}" for sentence in self.leakage),
            *(f"Note: {sentence}" for sentence in self.notes),
            f"{self.model}",
            f"Protocol {self.protocol!r}{' (inferred)' if self.inferred else ''}; "
            f"{self.data['train_events']:,} events train, {self.data['test_events']:,} test; "
            f"{self.data['catalogue_items']:,} items, all of them ranked.",
            f"Of {counts.in_test:,} test users {counts.warm:,} have a history, {counts.fold_in:,} are new and folded "
            f"in, {counts.without_history:,} are new without history; not asked: {counts.not_askable:,} new with one "
            f"event, {counts.without_positive:,} without a positive to find.",
            self.rows.sentence,
            *set_aside_lines(self.data.get("validation")),
        ]
        blocks = [result_text(one, self.k) for one in self.results]
        return "\n".join([*head, *blocks, *self._rest()]) + "\n"

    def _rest(self) -> list[str]:
        lines = [] if self.diversity_curve is None else curve_lines(self.diversity_curve, self.k)
        if self.ratings is not None:
            r = self.ratings
            lines.append(
                f"\nRatings of {r.n:,} test rows: RMSE {r.rmse:.4f} [{r.rmse_low:.4f}, {r.rmse_high:.4f}] (always "
                f"the mean: {r.rmse_mean:.4f}), "
                f"MAE {r.mae:.4f} ({r.mae_mean:.4f})"
            )
        if self.latency_ms is not None:
            t = self.latency_ms
            lines.append(f"One recommend call: p50 {t['p50']:.1f} ms, p95 {t['p95']:.1f} ms ({t['calls']} users)")
        return lines
