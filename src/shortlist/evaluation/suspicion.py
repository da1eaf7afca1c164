"""Figures that look too good: hunt for the leak before you celebrate."""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from shortlist.data.log import Floats
from shortlist.data.split import Protocol
from shortlist.evaluation.figures import Result

GAIN_ON_RANDOM = 0.05
HIGH = 0.5
TIMES_BASELINE = 3.0
FEWEST_USERS = 20
KNOWS_MORE = 0.35
FEWEST_ITEMS = 50
FEWEST_EVENTS = 200


def suspicions(result: Result, protocol: Protocol) -> Iterator[str]:
    """Sentences about a headline that is hardly possible without knowledge of the test; few, and loud.

    - NDCG above .5, and more than three times that of the best baseline.
    - On a random split, a ranker that beats the best source alone by more than 5 % and clearly: such a split has no
      future to learn from, so that a gain of this size mostly means that a feature has seen the labels.
    """
    model, best = result.metrics["ndcg"], result.best_baseline
    if model.n >= FEWEST_USERS and model.mean > max(HIGH, TIMES_BASELINE * best.means["ndcg"]):
        yield (
            f"NDCG {model.mean:.3f} where the best baseline ({best.name}) has {best.means['ndcg']:.3f}: lists this "
            "good mostly come from a model that has seen the test. Look for the leak before using the figure"
        )
    if protocol == "random" and result.stages is not None and result.stages.sources:
        source = max(result.stages.sources, key=lambda one: one.ndcg_alone)
        gain = source.model_minus_alone
        if gain.sign > 0 and gain.interval.mean > GAIN_ON_RANDOM * source.ndcg_alone:
            yield (
                f"the model beats its best source ({source.name}) by {gain.interval.mean / source.ndcg_alone:.0%} on a "
                "random split, where a ranker rarely gains more than 5 %: a feature, or an attribute, may know the "
                "labels. Look for the leak before using the figure"
            )


def knowing_numbers(
    numbers: Floats, names: Sequence[str], before: Sequence[NDArray[np.floating]], during: NDArray[np.integer]
) -> Iterator[str]:
    """Sentences about numbers of items that know more of a period's popularity than popularity before it can tell.

    The measure is the correlation of ranks with what ranks of past popularity explain taken out, over the items that
    were taken up before. On MovieLens 100K it is .40 to .68 for a count over the whole log (at a test .66 to .92), at
    most .26 for the release year.

    Args:
        numbers: float32 (n_items, n_numbers), ``nan`` = not given.
        before: of each item, float64 (n_items,): how often it was taken up before the period, counted in some ways; the
            first over all time.
        during: int64 (n_items,), how often in the period.
    """
    if during.sum() < FEWEST_EVENTS:
        return
    for name, values in zip(names, numbers.T, strict=True):
        known = ~np.isnan(values) & (before[0] > 0)
        if known.sum() < FEWEST_ITEMS:
            continue
        left = partial_correlation(values[known], during[known], [counts[known] for counts in before])
        if abs(left) > KNOWS_MORE:
            yield (
                f"the item attribute {name!r} goes along with what is taken up in the period asked about, far beyond "
                f"what all that was taken up before it explains (partial rank correlation {left:.2f}): it was most "
                "likely counted on events of that period. Leave it out, or count it as of each moment"
            )


def partial_correlation(
    one: NDArray[np.number], other: NDArray[np.number], given: Sequence[NDArray[np.number]]
) -> float:
    """Of ranks, with what the ranks of ``given`` explain (linearly) taken out of both; 0 where nothing is left of one.

    >>> partial_correlation(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 4]), [np.array([1, 2, 3, 4])])
    0.0
    """
    explained = np.stack([scipy.stats.rankdata(values) for values in given] + [np.ones(len(one))], axis=1)
    ranks = np.stack([scipy.stats.rankdata(one), scipy.stats.rankdata(other)], axis=1)
    left = ranks - explained @ np.linalg.lstsq(explained, ranks, rcond=None)[0]
    spreads = left.std(axis=0)
    if (spreads < 1e-6 * len(one)).any():
        return 0.0
    return float((left[:, 0] * left[:, 1]).mean() / (spreads[0] * spreads[1]))
