"""Figures as plain values, for JSON."""

from dataclasses import asdict
from typing import Any

import numpy as np

from shortlist.evaluation.figures import Difference, Result


def result_dict(one: Result, k: int) -> dict[str, Any]:
    stages = None if one.stages is None else asdict(one.stages)
    if one.stages is not None and stages is not None:
        stages["ranker_lift"] = difference_dict(one.stages.ranker_lift)
        for plain, source in zip(stages["sources"], one.stages.sources, strict=True):
            plain["model_minus_alone"] = difference_dict(source.model_minus_alone)
    return {
        "users": one.users,
        "seen": one.seen,
        "n_users": len(one.user_ids),
        "without_relevant": one.without_relevant,
        "metrics": {f"{name}@{k}": asdict(interval) for name, interval in one.metrics.items()},
        "coverage": one.coverage,
        "novelty": one.novelty,
        "popularity_share": one.popularity_share,
        "diversity": one.diversity,
        "top_k_accuracy": {str(depth): share for depth, share in one.top_k_accuracy.items()},
        "n_rows": one.n_rows,
        "seen_before": one.seen_before,
        "baselines": [
            {
                "name": baseline.name,
                "metrics": {f"{name}@{k}": mean for name, mean in baseline.means.items()},
                "differences": {f"{name}@{k}": difference_dict(d) for name, d in baseline.differences.items()},
            }
            for baseline in one.baselines
        ],
        "stages": stages,
        "slices": [asdict(part) | {"difference": difference_dict(part.difference)} for part in one.slices],
    }


def difference_dict(difference: Difference) -> dict[str, float]:
    return asdict(difference.interval) | {"p": difference.p}


def without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
