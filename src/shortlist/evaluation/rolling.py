"""Rolling windows: fit, ask and judge anew at several moments, since one cut in time is one draw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shortlist.data.dataset import Dataset
from shortlist.data.split import Split, split_rolling
from shortlist.errors import ConfigError, DataError
from shortlist.evaluation.answering import Model
from shortlist.evaluation.baselines import BASELINES
from shortlist.evaluation.compare import adjusted
from shortlist.evaluation.figures import GROUPS, METRICS, RESAMPLES, Difference
from shortlist.evaluation.gate import MARGIN, Verdict, gate
from shortlist.evaluation.metrics import PerUser
from shortlist.evaluation.plain import difference_dict, without_nan
from shortlist.evaluation.protocol import evaluate
from shortlist.evaluation.questions import Group
from shortlist.evaluation.report import Report
from shortlist.evaluation.significance import Interval, bootstrap_interval, randomisation_test
from shortlist.evaluation.text import aligned, difference_text, number, set_aside_lines

MODEL = "model"


@dataclass(frozen=True, eq=False)
class RollingReport:
    """One report for each window, and all windows together.

    A user who is asked in several windows counts once: what is pooled is each user's mean over the windows.

    Attributes:
        splits: what each window trained and tested on, earliest first.
        reports: of the windows.
    """

    splits: tuple[Split, ...]
    reports: tuple[Report, ...]

    @property
    def groups(self) -> list[Group]:
        """The groups of users that any window asked: warm first."""
        found = {one.users for report in self.reports for one in report.results}
        return [group for group in GROUPS if group in found]

    def per_user(self, metric: str = "ndcg", *, users: Group = "warm", system: str = MODEL) -> dict[Any, float]:
        """Each user's mean over the windows in which the user had something to find.

        Args:
            users: which group.
            system: ``"model"``, or the name of a baseline.
        """
        values: dict[Any, list[float]] = {}
        for report in self.reports:
            for one in report.results:
                if (one.users, one.seen) != (users, self.reports[0].results[0].seen):
                    continue
                column = (
                    one.per_user if system == MODEL else next(b for b in one.baselines if b.name == system).per_user
                )
                for user, value in zip(one.user_ids, column[metric].tolist(), strict=True):
                    if not np.isnan(value):
                        values.setdefault(user, []).append(value)
        return {user: float(np.mean(found)) for user, found in values.items()}

    def pooled(self, metric: str = "ndcg", *, users: Group = "warm", system: str = MODEL, seed: int = 0) -> Interval:
        """Mean over users with its 95% interval; the user is the unit."""
        return bootstrap_interval(_values(self.per_user(metric, users=users, system=system)), seed=seed)

    def differences(self, metric: str = "ndcg", *, users: Group = "warm", seed: int = 0) -> dict[str, Difference]:
        """Model - each baseline, paired over users; p Holm-adjusted over the baselines."""
        own = _values(self.per_user(metric, users=users))
        gaps = {name: own - _values(self.per_user(metric, users=users, system=name)) for name in BASELINES}
        tests = {n: randomisation_test(d, np.zeros(len(d)), seed=seed, resamples=RESAMPLES) for n, d in gaps.items()}
        p = adjusted(tests)
        return {n: Difference(bootstrap_interval(d, seed=seed, resamples=RESAMPLES), p[n]) for n, d in gaps.items()}

    def table(self) -> str:
        """As text: for each group of users a row per window and one for all together."""
        k = self.reports[0].k
        lines = []
        for group in self.groups:
            lines += ["", f"{GROUPS[group]}, seen items {self.reports[0].results[0].seen}: NDCG@{k}"]
            lines += aligned([["window", "users", MODEL, *BASELINES], *self._rows(group)])
            lines += [
                f"  model - {name}, all windows: {difference_text(difference)}"
                for name, difference in self.differences(users=group).items()
            ]
        heads = [f"SUSPICIOUS: {sentence}" for report in self.reports for sentence in report.warnings]
        aside = set_aside_lines(self.reports[0].data.get("validation"))
        return "\n".join([*heads, f"{len(self.reports)} rolling windows, each fitted anew", *aside, *lines]) + "\n"

    def _rows(self, group: Group) -> list[list[str]]:
        rows = []
        for split, report in zip(self.splits, self.reports, strict=True):
            found = [one for one in report.results if one.users == group]
            if not found:
                continue
            means = [number(baseline.means["ndcg"]) for baseline in found[0].baselines]
            metric = found[0].metrics["ndcg"]
            rows.append([split.description.split("; ")[1], f"{metric.n:,}", number(metric.mean), *means])
        pooled = [self.pooled(users=group, system=name) for name in (MODEL, *BASELINES)]
        return [*rows, ["all windows", f"{pooled[0].n:,}", *(number(one.mean) for one in pooled)]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ``windows`` (a report each, with ``split``) and ``pooled``, by group of users."""
        k = self.reports[0].k
        pooled = {
            group: {
                "metrics": {f"{metric}@{k}": vars(self.pooled(metric, users=group)) for metric in METRICS},
                "differences": {name: difference_dict(one) for name, one in self.differences(users=group).items()},
            }
            for group in self.groups
        }
        windows = [
            {"split": split.description} | report.to_dict()
            for split, report in zip(self.splits, self.reports, strict=True)
        ]
        cleaned: dict[str, Any] = without_nan({"pooled": pooled, "windows": windows})
        return cleaned


def evaluate_rolling(
    fit: Callable[[Dataset], Model],
    dataset: Dataset,
    *,
    windows: int = 3,
    days: float = 30.0,
    share: float = 0.1,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> RollingReport:
    """Fit a model before each of several windows, and judge it on what happened in the window.

    Args:
        fit: makes a model from a training part, for example ``lambda part: sl.train(part, "window")``.
        dataset: with times.
        windows: how many, the last one ends with the log.
        days: the length of each, where times are seconds.
        share: the share of all events in each, where times are only an order.
        progress: called with one sentence per step.
        options: of `evaluate`: ``k``, ``n``, ``positive``, ``seed``.

    Raises:
        DataError: there are no usable times, or a window is empty.
        ConfigError: a number is out of range.

    >>> from shortlist.data.synthetic import two_tastes
    >>> popular = lambda part: lambda users, k: [[0, 1, 2]] * len(users)
    >>> report = evaluate_rolling(popular, two_tastes(), windows=2, days=20)
    >>> len(report.reports), report.pooled("hit_rate").n > 20
    (2, True)
    """
    say = progress or (lambda sentence: None)
    splits: Sequence[Split] = split_rolling(dataset, windows=windows, days=days, share=share)
    reports = []
    for part in splits:
        say(part.description)
        reports.append(evaluate(fit(part.train), part.train, part.test, protocol="time", progress=say, **options))
    return RollingReport(tuple(splits), tuple(reports))


@dataclass(frozen=True, eq=False)
class RollingComparison:
    """Several configurations over the same windows, each against the first.

    Attributes:
        reports: by name; the first is the one that the others are held against.
        by_group: the gate's verdicts by group of users and name, by NDCG over users measured with both.
    """

    reports: dict[str, RollingReport]
    by_group: dict[Group, dict[str, Verdict]]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Those of the first group: warm users, where there are any."""
        return next(iter(self.by_group.values()))

    def table(self) -> str:
        """As text: one sentence for each group of users and model."""
        first = next(iter(self.reports))
        lines = [f"All windows, each user once, against {first}:"]
        for group, verdicts in self.by_group.items():
            lines += [f"  {group}: {name}: {verdict.reason}" for name, verdict in verdicts.items()]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ``first``, ``gate`` by group and name, ``reports`` by name."""
        plain = {
            "first": next(iter(self.reports)),
            "gate": {
                group: {name: asdict(one) | {"passed": one.passed} for name, one in verdicts.items()}
                for group, verdicts in self.by_group.items()
            },
            "reports": {name: report.to_dict() for name, report in self.reports.items()},
        }
        cleaned: dict[str, Any] = without_nan(plain)
        return cleaned


def compare_rolling(
    reports: Mapping[str, RollingReport], *, margin: float = MARGIN, seed: int = 0
) -> RollingComparison:
    """Hold every rolling report but the first against the first, over users measured with both.

    Raises:
        ConfigError: fewer than two reports.
        DataError: their windows differ.
    """
    names = list(reports)
    if len(names) < 2:
        raise ConfigError(f"compare: expected at least two models, got {len(names)}")
    first = reports[names[0]]
    for name in names[1:]:
        if [one.description for one in reports[name].splits] != [one.description for one in first.splits]:
            raise DataError(f"compare: the windows of {name!r} are not those of {names[0]!r}")
    by_group: dict[Group, dict[str, Verdict]] = {}
    for group in first.groups:
        old = first.per_user(users=group)
        by_group[group] = {}
        for name in names[1:]:
            new = reports[name].per_user(users=group)
            both = [user for user in old if user in new]
            by_group[group][name] = gate(
                np.array([new[user] for user in both]),
                np.array([old[user] for user in both]),
                margin=margin,
                seed=seed,
                metric=f"NDCG@{first.reports[0].k}",
            )
    return RollingComparison(dict(reports), by_group)


def _values(by_user: dict[Any, float]) -> PerUser:
    return np.array(list(by_user.values()), dtype=np.float64)
