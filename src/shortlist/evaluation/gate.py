"""The gate: may a new model take the place of the one before?"""

from dataclasses import dataclass
from math import ceil, erfc, sqrt
from typing import Literal

import numpy as np

from shortlist.errors import ConfigError, DataError
from shortlist.evaluation.significance import (
    Interval,
    Values,
    bootstrap_interval,
    differences,
    one_dimensional,
    randomisation_test,
)

Word = Literal["better", "not worse", "worse", "unproven"]
MARGIN = 0.02
LEVEL = 0.05
Z = 1.96
FEW = 10
"""So few users with a difference say nothing about its size in others."""
SAME = 100
"""From this many users on, values that are equal for every one of them pass as they are: it is the same model."""


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    Attributes:
        word: ``better``, ``not worse``, ``worse`` or ``unproven``.
        passed: better or not worse.
        reason: one sentence with the figures.
        interval: of the mean of new - old over users; 95 %.
        p: two-sided, by randomisation; ``nan`` = nobody to compare.
        margin: the loss that does not matter, in units of the metric.
        old: mean of the old model.
        new: mean of the new model.
        users_needed: about how many users would decide an ``unproven``; ``None`` for the other words, and where
            nothing is known of the spread.
    """

    word: Word
    reason: str
    interval: Interval
    p: float
    margin: float
    old: float
    new: float
    users_needed: int | None = None

    @property
    def passed(self) -> bool:
        return self.word in ("better", "not worse")


def gate(
    new: Values, old: Values, *, margin: float = MARGIN, seed: int = 0, resamples: int = 2_000, metric: str = "metric"
) -> Verdict:
    """Compare two models on the same users, with a loss of ``margin`` times the old mean taken for none.

    - ``better``: the interval of new - old lies above 0, and p < .05.
    - ``not worse``: it lies above -margin (non-inferiority), or no value differs for 100 users or more.
    - ``worse``: it lies below 0, reaches below -margin, and p < .05.
    - ``unproven``: anything else. More users are needed, or nobody could be compared.

    To the differences two are added, one up and one down, of √½ of the greatest (of the range of the metric, while
    fewer than 10 users differ): the remedy of Agresti and Min for paired proportions (2005, doi:10.1002/sim.1781),
    without which a handful of users who happen not to differ would "prove" that nothing is lost. Where models are
    equal, or the new one loses just the margin, false alarms of each kind stay at about 2.5 %; the tests measure them.

    Args:
        new: float64 (n_users,), the new model's value per user, between 0 and 1; ``nan`` = not measured.
        old: float64 (n_users,), the old one's, for the same users in the same order.
        margin: relative, in [0, 1).
        seed: of the resampling.
        resamples: of bootstrap and test.
        metric: how the reason calls it.

    Raises:
        DataError: the lengths differ.
        ConfigError: a margin out of range.

    >>> old = np.linspace(0.1, 0.5, 200)
    >>> gate(old + 0.1, old).word, gate(old - 0.1, old).word, gate(old, old).word, gate(old[:5], old[:5]).word
    ('better', 'worse', 'not worse', 'unproven')
    """
    if not 0 <= margin < 1:
        raise ConfigError(f"margin: expected a share from 0 to below 1 of the old model's mean, got {margin!r}")
    new, old = one_dimensional(new), one_dimensional(old)
    if len(new) != len(old):
        raise DataError(f"gate: expected the same users twice, got {len(new)} and {len(old)} values")
    both = np.isfinite(new) & np.isfinite(old)
    n = int(both.sum())
    if not n:
        nan = float("nan")
        return Verdict(
            "unproven", "nobody was measured with both models", Interval(nan, nan, nan, 0), nan, nan, nan, nan
        )
    old_mean, new_mean = float(old[both].mean()), float(new[both].mean())
    loss = margin * old_mean
    difference = differences(new, old)
    padded = bootstrap_interval(with_doubt(difference), seed=seed, resamples=resamples)
    interval = Interval(float(difference.mean()), padded.low, padded.high, n)
    p = randomisation_test(new, old, seed=seed, resamples=resamples)
    word = decide(interval, p, loss)
    needed = None
    if word == "unproven" and n > 1 and loss > 0:
        half = (interval.high - interval.low) / 2
        needed = ceil(n * (half / loss) ** 2)
    reason = _reason(word, interval, p, loss, old_mean, new_mean, metric, needed)
    return Verdict(word, reason, interval, p, loss, old_mean, new_mean, needed)


def gate_apart(new: Values, old: Values, *, margin: float = MARGIN, metric: str = "metric") -> Verdict:
    """Compare two models that were asked different questions: by the means, as of independent samples (Welch).

    Args:
        new: float64 (n_new,), the new model's value per user.
        old: float64 (n_old,), the old one's.
        margin: see `gate`.
        metric: how the reason calls it.

    >>> gate_apart(np.full(50, 0.1) + np.arange(50) / 1000, np.full(60, 0.5) + np.arange(60) / 1000).word
    'worse'
    """
    new, old = (values[np.isfinite(values)] for values in map(one_dimensional, (new, old)))
    nan = float("nan")
    if min(len(new), len(old)) < FEW:
        return Verdict("unproven", "too few users were measured", Interval(nan, nan, nan, 0), nan, margin, nan, nan)
    difference = float(new.mean() - old.mean())
    error = sqrt(new.var(ddof=1) / len(new) + old.var(ddof=1) / len(old))
    interval = Interval(difference, difference - Z * error, difference + Z * error, min(len(new), len(old)))
    p = erfc(abs(difference) / error / sqrt(2)) if error else float(difference == 0)
    loss = margin * float(old.mean())
    word = decide(interval, p, loss)
    reason = _reason(word, interval, p, loss, float(old.mean()), float(new.mean()), metric, None)
    return Verdict(word, f"{reason} (other questions: the data differ)", interval, p, loss, old.mean(), new.mean())


def decide(interval: Interval, p: float, loss: float) -> Word:
    """The rule alone."""
    if interval.low > 0 and p < LEVEL:
        return "better"
    if interval.low >= -loss:
        return "not worse"
    if interval.high < 0 and p < LEVEL:
        return "worse"
    return "unproven"


def with_doubt(difference: Values) -> Values:
    """The differences and two more: see `gate`."""
    changed = np.abs(difference[difference != 0])
    if not len(changed) and len(difference) >= SAME:
        return difference
    scale = float(changed.max()) if len(changed) >= FEW else 1.0
    return np.append(difference, [sqrt(0.5) * scale, -sqrt(0.5) * scale])


def _reason(
    word: Word, interval: Interval, p: float, loss: float, old: float, new: float, metric: str, needed: int | None
) -> str:
    figures = (
        f"{metric} {new:.4f} against {old:.4f}, {interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}] over "
        f"{interval.n:,} users, p {'< .001' if p < 0.001 else f'{p:.3f}'}"
    )
    if word == "better":
        return f"better: {figures}"
    if word == "not worse":
        return f"not worse: {figures}; a loss of more than {loss:.4f} is ruled out"
    if word == "worse":
        return f"worse: {figures}"
    advice = "" if needed is None else f"; about {needed:,} users would tell"
    return f"unproven: {figures}; neither a gain nor a loss of more than {loss:.4f} can be ruled out{advice}"
