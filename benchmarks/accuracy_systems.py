"""Systems side by side for ``accuracy.py``: figures pooled over cuts, paired differences, what each cost."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from accuracy_judge import Figures
from numpy.typing import NDArray

from shortlist.evaluation.compare import adjusted
from shortlist.evaluation.figures import METRICS, RESAMPLES, Difference
from shortlist.evaluation.significance import Interval, bootstrap_interval, paired_interval, randomisation_test

OURS = "cascade"
BEST_ON_VALIDATION = "best source on validation"
Doubles = NDArray[np.float64]


@dataclass
class Cost:
    """What a system took: of the cascade and the peers the whole process with all trials, of a source its own fits."""

    cpu_seconds: float
    peak_mb: float | None = None
    trials: int | None = None


@dataclass
class System:
    """One system at one cut or several: a report of figures per group and cut, and a cost per cut."""

    figures: list[dict[str, Figures]] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def per_user(self, group: str, metric: str) -> dict[Any, float]:
        """Each user's mean over the cuts: a user asked at several counts once."""
        values: dict[Any, list[float]] = {}
        for found in self.figures:
            for user, value in (found[group].per_user[metric] if group in found else {}).items():
                values.setdefault(user, []).append(value)
        return {user: float(np.mean(found)) for user, found in sorted(values.items())}

    def top_100(self, group: str) -> float:
        return float(np.mean([found[group].top_100 for found in self.figures if group in found]))

    @property
    def cost(self) -> Cost | None:
        """Over all cuts: CPU seconds added up, the greatest memory."""
        if not self.costs:
            return None
        peaks = [cost.peak_mb for cost in self.costs if cost.peak_mb is not None]
        seconds = sum(cost.cpu_seconds for cost in self.costs)
        return Cost(seconds, max(peaks, default=None), self.costs[0].trials)


@dataclass
class Row:
    """One system's line for one group of users.

    Attributes:
        metrics: by name, at k.
        cascade_minus: NDCG of the cascade minus this system's, paired over users, p by Holm over the systems of the
            group; ``None`` for the cascade itself.
    """

    metrics: dict[str, Interval]
    top_100: float
    cascade_minus: Difference | None
    cost: Cost | None


def rows_of(systems: dict[str, System], group: str) -> dict[str, Row]:
    """The lines of a group: the systems that answered it at every cut where the cascade did."""
    ours = systems[OURS].per_user(group, "ndcg")
    there = {name: one for name, one in systems.items() if list(one.per_user(group, "ndcg")) == list(ours)}
    others = [name for name in there if name != OURS]
    ndcg = {name: column(one, group, "ndcg") for name, one in there.items()}
    p = adjusted({name: randomisation_test(ndcg[OURS], ndcg[name], resamples=RESAMPLES) for name in others})
    minus = {name: Difference(paired_interval(ndcg[OURS], ndcg[name], resamples=RESAMPLES), p[name]) for name in others}
    return {
        name: Row(
            {metric: bootstrap_interval(column(one, group, metric), resamples=RESAMPLES) for metric in METRICS},
            one.top_100(group),
            minus.get(name),
            one.cost,
        )
        for name, one in there.items()
    }


def column(system: System, group: str, metric: str) -> Doubles:
    return np.array(list(system.per_user(group, metric).values()))


def best_source(record: dict[str, Any], group: str) -> str:
    """The source that is best on validation: for warm users by the queries there of users who have been away, for new
    users by those of users who act just now."""
    kinds = {"warm": "ndcg_away", "fold_in": "ndcg_fresh"}
    figures = validation_ndcg(record, kinds.get(group, "ndcg_at_10"))
    return max(figures, key=lambda name: figures[name])


def validation_ndcg(record: dict[str, Any], kind: str = "ndcg_at_10") -> dict[str, float]:
    """NDCG@10 of each source's best settings, averaged over the shifts it was chosen on."""
    figures: dict[str, dict[str, list[float]]] = {}
    for trial in record["trials"]:
        by_settings = figures.setdefault(trial["source"], {})
        by_settings.setdefault(str(trial["settings"]), []).append(trial[kind])
    return {name: max(float(np.mean(values)) for values in tried.values()) for name, tried in figures.items()}
