"""Models against each other: paired over the same users."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shortlist.errors import ConfigError, DataError
from shortlist.evaluation.figures import COMPARED, GROUPS, METRICS, TITLES, Difference, Result
from shortlist.evaluation.gate import MARGIN, Verdict, gate
from shortlist.evaluation.plain import difference_dict, without_nan
from shortlist.evaluation.questions import Group
from shortlist.evaluation.report import Report
from shortlist.evaluation.significance import holm, paired_interval, randomisation_test
from shortlist.evaluation.text import aligned, difference_text, number


def compare(a: Report, b: Report, *, users: Group | None = None, seed: int = 0) -> dict[str, Difference]:
    """``a - b`` on each metric, paired over the users of both; p Holm-adjusted over the metrics.

    Args:
        users: which group, seen items as in the headline; ``None`` = the headline.

    Raises:
        DataError: the reports are not about the same questions.
        QueryError: a report has no such group.
    """
    first, second = same_questions(a, b, users)
    p = adjusted({m: randomisation_test(first.per_user[m], second.per_user[m], seed=seed) for m in METRICS})
    return {m: Difference(paired_interval(first.per_user[m], second.per_user[m], seed=seed), p[m]) for m in METRICS}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several models on the same questions, each against the first.

    Attributes:
        reports: by name; the first is the one that the others are held against.
        users: which group of users; its seen items are as in the first report's headline.
        differences: by name and metric (``ndcg``, ``recall``, ``hit_rate``): model - first; p Holm-adjusted over the
            models compared on that metric.
        verdicts: by name: what the gate says of promoting the model in place of the first, by NDCG.
    """

    reports: dict[str, Report]
    users: Group
    differences: dict[str, dict[str, Difference]]
    verdicts: dict[str, Verdict]

    def table(self) -> str:
        """As text: a column for each model, then the differences and the gate."""
        first, *others = self.reports
        results = {name: report.result(self.users) for name, report in self.reports.items()}
        k, head = self.reports[first].k, results[first]
        rows = [
            [f"{TITLES[metric]}@{k}", *(number(one.metrics[metric].mean) for one in results.values())]
            for metric in METRICS
        ]
        rows += [["RMSE", *(_rmse(report) for report in self.reports.values())]]
        lines = [f"{GROUPS[self.users]}, seen items {head.seen}: {head.metrics['ndcg'].n:,} users", ""]
        lines += aligned([["", *results], *rows])
        for name in others:
            lines += ["", f"  {name} - {first}"]
            lines += [
                f"    {TITLES[metric]}@{k} {difference_text(difference)}"
                for metric, difference in self.differences[name].items()
            ]
            lines.append(f"    Gate: {self.verdicts[name].reason}")
        return "\n".join(lines) + "\n"

    def to_dict(self, *, reports: bool = True) -> dict[str, Any]:
        """Plain values for JSON: ``users``, ``first``; by name ``differences``, ``gate``, perhaps ``reports``."""
        plain = {
            "first": next(iter(self.reports)),
            "users": self.users,
            "differences": {
                name: {metric: difference_dict(one) for metric, one in by_metric.items()}
                for name, by_metric in self.differences.items()
            },
            "gate": {name: asdict(one) | {"passed": one.passed} for name, one in self.verdicts.items()},
        } | ({"reports": {name: report.to_dict() for name, report in self.reports.items()}} if reports else {})
        cleaned: dict[str, Any] = without_nan(plain)
        return cleaned


def compare_models(
    reports: Mapping[str, Report], *, users: Group | None = None, margin: float = MARGIN, seed: int = 0
) -> Comparison:
    """Hold every report but the first against the first.

    Args:
        reports: at least two, on the same questions.
        users: which group; ``None`` = that of the first headline.
        margin: of the gate, see `gate`.

    Raises:
        ConfigError: fewer than two reports.
        DataError: they are not about the same questions.
    """
    names = list(reports)
    if len(names) < 2:
        raise ConfigError(f"compare: expected at least two models, got {len(names)}")
    first = reports[names[0]]
    pairs = {name: same_questions(reports[name], first, users) for name in names[1:]}
    tests = {
        metric: adjusted(
            {
                name: randomisation_test(a.per_user[metric], b.per_user[metric], seed=seed)
                for name, (a, b) in pairs.items()
            }
        )
        for metric in COMPARED
    }
    differences = {
        name: {
            metric: Difference(paired_interval(a.per_user[metric], b.per_user[metric], seed=seed), tests[metric][name])
            for metric in COMPARED
        }
        for name, (a, b) in pairs.items()
    }
    verdicts = {
        name: gate(a.per_user["ndcg"], b.per_user["ndcg"], margin=margin, seed=seed, metric=f"NDCG@{first.k}")
        for name, (a, b) in pairs.items()
    }
    return Comparison(dict(reports), users or first.results[0].users, differences, verdicts)


def same_questions(a: Report, b: Report, users: Group | None) -> tuple[Result, Result]:
    """The results of the same group with seen items as in the headline of ``b``.

    Raises:
        DataError: the reports are not about the same questions.
    """
    users, seen = users or b.results[0].users, b.results[0].seen
    for what, x, y in (
        ("protocol", a.protocol, b.protocol),
        ("k", a.k, b.k),
        ("seen items", a.results[0].seen, seen),
        ("test events", a.data["test_events"], b.data["test_events"]),
    ):
        if x != y:
            raise DataError(f"compare: the reports differ in {what}: {x!r} and {y!r}")
    first, second = a.result(users, seen), b.result(users, seen)
    if first.user_ids != second.user_ids:
        raise DataError(f"compare: other users were asked ({len(first.user_ids)} and {len(second.user_ids)})")
    return first, second


def adjusted(p_values: dict[str, float]) -> dict[str, float]:
    """Holm's adjustment; as they are where there was nobody to compare."""
    return p_values if any(np.isnan(p) for p in p_values.values()) else holm(p_values)


def _rmse(report: Report) -> str:
    return "-" if report.ratings is None else f"{report.ratings.rmse:.4f}"
