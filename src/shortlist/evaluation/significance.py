"""How sure a figure is: intervals and paired tests over users, on the values per user that the metrics give.

The user is the unit: values of one user's items hang together, those of different users do not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ConfigError, DataError

Values = NDArray[np.float64]

MAX_UNITS = 10_000
"""More users than this are first put together at random, several to a unit, so that the cost stops growing."""
CELLS_PER_BLOCK = 1 << 20
"""How many random numbers are held at once."""


@dataclass(frozen=True)
class Interval:
    """A mean with its interval.

    Attributes:
        mean: the mean over users; ``nan`` if there are none.
        low: lower end.
        high: upper end; both ends are ``nan`` for fewer than two users, where nothing is known of the spread.
        n: number of users.
    """

    mean: float
    low: float
    high: float
    n: int


def bootstrap_interval(values: Values, *, seed: int = 0, resamples: int = 10_000, level: float = 0.95) -> Interval:
    """The percentile bootstrap interval of the mean over users (Efron 1979, doi:10.1214/aos/1176344552).

    With more than `MAX_UNITS` users, random groups of equal size are drawn instead of users; which groups these are
    moves the interval's width by about 1 %.

    Args:
        values: float64 (n_users,); users with ``nan`` are left out.
        seed: of the resampling; the same seed gives the same interval.
        resamples: at least 1.
        level: the share of resampled means that lie inside, in (0, 1).

    Raises:
        DataError: values that are not one-dimensional, or infinite.
        ConfigError: resamples or level out of range.

    >>> interval = bootstrap_interval(np.array([0.0, 1.0, 1.0, np.nan, 0.0]))
    >>> interval.mean, interval.low, interval.high, interval.n
    (0.5, 0.0, 1.0, 4)
    """
    check_settings(resamples, level)
    present = one_dimensional(values)
    present = present[~np.isnan(present)]
    if not np.isfinite(present).all():
        raise DataError(f"values per user must be finite or nan; {np.isinf(present).sum()} are infinite")
    n = len(present)
    mean = float(present.mean()) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    rng = np.random.default_rng(seed)
    deviations = units(present - mean, rng)
    sums = np.concatenate(
        [
            deviations[rng.integers(0, len(deviations), (rows, len(deviations)), dtype=np.int32)].sum(axis=1)
            for rows in block_sizes(resamples, len(deviations))
        ]
    )
    low, high = mean + np.quantile(sums, [(1 - level) / 2, (1 + level) / 2]) / n
    return Interval(mean, float(low), float(high), n)


def bootstrap_intervals(
    columns: Mapping[str, Values], *, seed: int = 0, resamples: int = 10_000, level: float = 0.95
) -> dict[str, Interval]:
    """`bootstrap_interval` of several columns over the same resamples of users: far faster than one by one.

    Args:
        columns: float64 (n_users,) each; a user with ``nan`` in one of them is left out of all.
        seed: as in `bootstrap_interval`.
        resamples: as in `bootstrap_interval`.
        level: as in `bootstrap_interval`.

    Raises:
        DataError: values that are infinite, or columns of unequal length.
        ConfigError: resamples or level out of range.

    >>> bootstrap_intervals({"a": np.array([0.0, 1.0, 1.0, 0.0]), "b": np.ones(4)})["a"]
    Interval(mean=0.5, low=0.0, high=1.0, n=4)
    """
    check_settings(resamples, level)
    if len({len(one_dimensional(values)) for values in columns.values()}) > 1:
        raise DataError(f"columns of the same users have one length; got {[len(v) for v in columns.values()]}")
    table = np.stack([one_dimensional(values) for values in columns.values()], axis=1)  # (n_users, n_columns)
    table = table[~np.isnan(table).any(axis=1)]
    if not np.isfinite(table).all():
        raise DataError(f"values per user must be finite or nan; {np.isinf(table).sum()} are infinite")
    n = len(table)
    if n < 2:
        means = table.mean(axis=0) if n else np.full(len(columns), np.nan)
        return {name: Interval(float(m), float("nan"), float("nan"), n) for name, m in zip(columns, means, strict=True)}
    means = table.mean(axis=0)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n) if n > MAX_UNITS else np.arange(n)
    deviations = summed(table[order] - means, -(-n // MAX_UNITS))  # (n_units, n_columns)
    parts = []
    for rows in block_sizes(resamples, len(deviations)):
        drawn = rng.integers(0, len(deviations), (rows, len(deviations)), dtype=np.int32)
        cells = (drawn + np.arange(rows)[:, None] * len(deviations)).ravel()
        times_drawn = np.bincount(cells, minlength=drawn.size).reshape(drawn.shape)
        parts.append(times_drawn.astype(np.float64) @ deviations)  # (rows, n_columns)
    low, high = means + np.quantile(np.concatenate(parts), [(1 - level) / 2, (1 + level) / 2], axis=0) / n
    return {
        name: Interval(float(m), float(a), float(b), n) for name, m, a, b in zip(columns, means, low, high, strict=True)
    }


def ratio_interval(
    numerators: Values, denominators: Values, *, seed: int = 0, resamples: int = 2_000, level: float = 0.95
) -> Interval:
    """The bootstrap interval of a sum divided by a sum, users resampled: the mean over the rows of users who have many.

    Rows of one user hang together, so users are drawn, not rows; for example squared errors and numbers of ratings.
    With more than `MAX_UNITS` users, random groups are drawn instead.

    Args:
        numerators: float64 (n_users,), finite.
        denominators: float64 (n_users,), above 0.

    Returns:
        ``n`` counts the users.

    Raises:
        DataError: the lengths differ, or a value is out of range.
        ConfigError: resamples or level out of range.

    >>> ratio_interval(np.array([4.0, 1.0]), np.array([4.0, 4.0]))
    Interval(mean=0.625, low=0.25, high=1.0, n=2)
    """
    check_settings(resamples, level)
    above, below = one_dimensional(numerators), one_dimensional(denominators)
    if len(above) != len(below) or not np.isfinite(above).all() or not (below > 0).all():
        raise DataError("a ratio needs as many finite numerators as denominators above 0, one of each per user")
    n = len(above)
    mean = float(above.sum() / below.sum()) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n) if n > MAX_UNITS else np.arange(n)
    table = summed(np.stack([above, below], axis=1)[order], -(-n // MAX_UNITS))  # (n_units, 2)
    ratios = []
    for rows in block_sizes(resamples, len(table)):
        sums = table[rng.integers(0, len(table), (rows, len(table)))].sum(axis=1)  # (rows, 2)
        ratios.append(sums[:, 0] / sums[:, 1])
    low, high = np.quantile(np.concatenate(ratios), [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), n)


def summed(table: Values, group_size: int) -> Values:
    """The sums of groups of that many consecutive rows, the last one filled up with zeros."""
    if group_size <= 1:
        return table
    padded = np.zeros((-(-len(table) // group_size) * group_size, table.shape[1]))
    padded[: len(table)] = table
    sums: Values = padded.reshape(-1, group_size, table.shape[1]).sum(axis=1)
    return sums


def paired_interval(a: Values, b: Values, *, seed: int = 0, resamples: int = 10_000, level: float = 0.95) -> Interval:
    """The bootstrap interval of the mean of ``a - b`` over the users where both are finite.

    Args:
        a: float64 (n_users,), one model's value per user.
        b: float64 (n_users,), another's, for the same users in the same order.
        seed: as in `bootstrap_interval`.
        resamples: as in `bootstrap_interval`.
        level: as in `bootstrap_interval`.

    Raises:
        DataError: the lengths differ.
        ConfigError: resamples or level out of range.

    >>> paired_interval(np.array([0.5, 0.75, np.nan]), np.array([0.25, 0.5, 0.5]))
    Interval(mean=0.25, low=0.25, high=0.25, n=2)
    """
    return bootstrap_interval(differences(a, b), seed=seed, resamples=resamples, level=level)


def randomisation_test(a: Values, b: Values, *, seed: int = 0, resamples: int = 10_000) -> float:
    """The two-sided p-value of the hypothesis that the two models are exchangeable, user by user.

    Under it the sign of each user's ``a - b`` is a coin toss. The p-value is ``(1 + number of tosses whose mean
    difference is at least as far from 0 as the observed one) / (1 + resamples)``: never 0, and valid at any number of
    resamples (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585). With more than `MAX_UNITS` users, random groups of
    users share a toss, which leaves the test valid.

    Args:
        a: float64 (n_users,), one model's value per user.
        b: float64 (n_users,), another's, for the same users in the same order.
        seed: of the tosses; the same seed gives the same p-value.
        resamples: at least 1.

    Returns:
        In [1 / (1 + resamples), 1]; 1 where no user differs; ``nan`` where no user has both values.

    Raises:
        DataError: the lengths differ.
        ConfigError: resamples below 1.

    >>> better = np.linspace(0.5, 0.9, 20)
    >>> randomisation_test(better, better - 0.1) < 0.001, randomisation_test(better, better)
    (True, 1.0)
    """
    check_settings(resamples)
    per_user = differences(a, b)
    if not len(per_user):
        return float("nan")
    rng = np.random.default_rng(seed)
    magnitudes = units(per_user[per_user != 0], rng)
    # Rounding must not turn a toss that equals the observed sum into a smaller one.
    threshold = abs(magnitudes.sum()) - 1e-12 * np.abs(magnitudes).sum()
    n_bytes = -(-len(magnitudes) // 8)
    extreme = 0
    for rows in block_sizes(resamples, len(magnitudes)):
        tosses = np.frombuffer(rng.bytes(rows * n_bytes), dtype=np.uint8).reshape(rows, n_bytes)
        heads = np.unpackbits(tosses, axis=1, count=len(magnitudes)).astype(np.float64)  # (rows, n_units)
        extreme += int((np.abs(2 * (heads @ magnitudes) - magnitudes.sum()) >= threshold).sum())
    return (extreme + 1) / (resamples + 1)


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values: those below the level hold together, each name still in its place.

    The i-th smallest of m becomes the greatest of ``(m - j + 1) * p_j`` over j up to i, at most 1 (Holm 1979).

    Raises:
        DataError: a value that is not between 0 and 1.

    >>> holm({"als": 0.04, "ease": 0.01, "popularity": 0.03})
    {'als': 0.06, 'ease': 0.03, 'popularity': 0.06}
    """
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise DataError(f"a p-value lies between 0 and 1; that of {name!r} is {p}")
    adjusted = dict(p_values)
    floor = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        floor = max(floor, min(1.0, (len(p_values) - place) * p_values[name]))
        adjusted[name] = floor
    return adjusted


def differences(a: Values, b: Values) -> Values:
    """float64 (n,): ``a - b`` of the users where both are finite."""
    first, second = one_dimensional(a), one_dimensional(b)
    if len(first) != len(second):
        raise DataError(
            f"a paired comparison needs the same users twice; there are {len(first)} and {len(second)} values"
        )
    both = np.isfinite(first) & np.isfinite(second)
    return first[both] - second[both]


def units(values: Values, rng: np.random.Generator) -> Values:
    """The values, or the sums of random groups of them, so few that there are at most `MAX_UNITS`."""
    group_size = -(-len(values) // MAX_UNITS)
    if group_size <= 1:
        return values
    # Zeros fill the last group: they change neither a sum of deviations nor a sum of signed differences.
    padded = np.zeros(-(-len(values) // group_size) * group_size)
    padded[: len(values)] = rng.permutation(values)
    sums: Values = padded.reshape(-1, group_size).sum(axis=1)
    return sums


def block_sizes(resamples: int, n_units: int) -> Iterator[int]:
    """How many resamples to draw at a time."""
    size = max(1, CELLS_PER_BLOCK // max(1, n_units))
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def one_dimensional(values: Values) -> Values:
    """The values as float64; refuse anything but one value per user."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"expected one value per user, an array (n_users,); got the shape {array.shape}")
    return array


def check_settings(resamples: int, level: float = 0.95) -> None:
    """Refuse settings out of range."""
    if resamples < 1:
        raise ConfigError(f"`resamples` must be at least 1; it is {resamples}")
    if not 0 < level < 1:
        raise ConfigError(f"`level` must lie between 0 and 1, such as 0.95; it is {level}")
