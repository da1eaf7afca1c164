"""Figures that look too good: hunt for the leak before you celebrate."""

from collections.abc import Iterator

from shortlist.data.split import Protocol
from shortlist.evaluation.figures import Result

GAIN_ON_RANDOM = 0.05
HIGH = 0.5
TIMES_BASELINE = 3.0
FEWEST_USERS = 20


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
