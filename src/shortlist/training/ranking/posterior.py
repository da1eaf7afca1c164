"""Many samples of a factorization machine's posterior, summed up.

In each sample the latent value of user u and item i is b_u + b_i + ⟨u, i⟩. The mean over S samples is the mean of the
biases and ⟨U, I⟩ / S, where U and I are the samples' vectors end to end. The singular values of the matrix of these
products fall fast, since the samples agree about what is well known: on MovieLens 100K 64 dimensions stand for more
than 10,000 (docs/ratings.md has the loss).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Rows
from shortlist.training.ranking.gibbs import Sample
from shortlist.training.ranking.rating_features import Design

Doubles = NDArray[np.float64]
PAIRS_EACH = 10
OVERSAMPLING = 32
POWER_STEPS = 3
ADDITIVE_STEPS = 10
WEIGHT_OF_ANY_PAIR = 0.05


class Summary(NamedTuple):
    """The vectors of `shortlist.ranking.factorization.RatingFactorization`, without its last rows.

    Attributes:
        users, items, evidence: float32 (n, 1 + k + d).
        days: float32 (n_days, 1 + d).
        user_variances, item_variances: float64 (n,).
        thresholds: float64 (n_groups, n_levels − 1).
        noise: variance of a rating around its latent value.
    """

    users: Floats
    items: Floats
    evidence: Floats
    days: Floats
    user_variances: Doubles
    item_variances: Doubles
    thresholds: Doubles
    noise: float


def summed_up(samples: list[Sample], design: Design, k: int, d: int, rng: np.random.Generator) -> Summary:
    """The mean and the variance of the latent values over samples.

    Only differences between latent values and thresholds count, so each sample is shifted to the same place first.

    Args:
        samples: of one chain or of several; at least one.
        design: whose users, items and days these are; its events say which pairs matter for the variances.
        k: dimensions of the users' and items' vectors, at most.
        d: dimensions of the days' vectors, at most.
        rng: for the random parts of the decomposition and the drawn pairs.
    """
    places = np.array([np.median(s.thresholds) if s.thresholds.size else 0.0 for s in samples])
    users, items, days = (
        np.concatenate([getattr(s, name) for s in samples], axis=1) for name in ("users", "items", "days")
    )
    evidence = np.concatenate([s.evidence[:, 1:] for s in samples], axis=1)
    to_users, item_vectors = low_rank(users, items, k, rng)
    to_both, day_vectors = low_rank(np.concatenate([users, items]), days, d, rng)
    shares = np.float32(1 / len(samples))
    maps = np.concatenate([to_users, to_both], axis=1) * shares  # (w, k + d)
    drift = items @ to_both * shares  # (n_items, d)
    user_biases = np.mean([s.user_biases - place for s, place in zip(samples, places, strict=True)], axis=0)
    item_biases, day_biases = (
        np.mean([getattr(s, name) for s in samples], axis=0) for name in ("item_biases", "day_biases")
    )
    evidence_biases = np.mean([s.evidence[:, 0] for s in samples], axis=0)
    thresholds = np.stack([s.thresholds - place for s, place in zip(samples, places, strict=True)])
    user_variances, item_variances = variances(samples, places, design, rng)
    return Summary(
        _side_by_side(user_biases, users @ maps),
        _side_by_side(item_biases, item_vectors, drift),
        _side_by_side(evidence_biases, evidence @ maps),
        _side_by_side(day_biases, day_vectors),
        user_variances,
        item_variances,
        thresholds.mean(axis=0),
        float(np.mean([s.noise for s in samples])),
    )


def _side_by_side(biases: NDArray[np.floating], *vectors: Floats) -> Floats:
    return np.concatenate([biases[:, None].astype(np.float32), *vectors], axis=1)


def low_rank(left: Floats, right: Floats, rank: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """P (w, r) and R (m, r) with left P Rᵀ ≈ left rightᵀ, the best of rank r or nearly so.

    A randomised range finder with power steps (Halko, Martinsson and Tropp 2011, arXiv:0909.4061); the product is never
    formed.

    Args:
        left: (n, w).
        right: (m, w).
        rank: r is that, or n or m where they are less.
    """
    rank = min(rank, len(left), len(right))
    basis = rng.standard_normal((len(right), min(rank + OVERSAMPLING, len(left), len(right)))).astype(np.float32)
    for _ in range(POWER_STEPS):
        basis, _ = np.linalg.qr(right @ (left.T @ (left @ (right.T @ basis))))
    _, values, rows = np.linalg.svd(left @ (right.T @ basis), full_matrices=False)
    basis = basis @ rows[:rank].T  # (m, r): the leading right singular vectors of the product
    floor = max([*values[:1] * 1e-6, np.finfo(np.float32).tiny])
    roots = np.sqrt(np.maximum(values[:rank], floor))  # shared out between the two sides
    return (right.T @ basis) / roots, basis * roots


def variances(
    samples: list[Sample], places: Doubles, design: Design, rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """How much the latent values vary over samples, as a part of the user plus a part of the item, both at least 0.

    Least squares over random pairs: half drawn as in the log; half so that every user and item is drawn, which count
    little, since a sum of two parts cannot fit both kinds.
    """
    n_users, n_items = len(samples[0].users), len(samples[0].items)
    n = PAIRS_EACH * max(n_users, n_items)
    user_rows, item_rows, day_rows = (
        np.concatenate([rng.choice(rows, n), rng.permutation(n) % n_rows]).astype(np.int32)
        for rows, n_rows in ((design.user_rows, n_users), (design.item_rows, n_items), (design.day_rows, 1))
    )
    day_rows[n:] = -1
    sums, squares = np.zeros(2 * n), np.zeros(2 * n)
    for sample, place in zip(samples, places, strict=True):
        latent = sample.latent(user_rows, item_rows, day_rows) - place
        sums += latent
        squares += np.square(latent)
    found = np.maximum(squares / len(samples) - np.square(sums / len(samples)), 0)
    of_users, of_items = np.full(n_users, found.mean() / 2), np.full(n_items, found.mean() / 2)
    weights = np.repeat([1.0, WEIGHT_OF_ANY_PAIR], n)
    for _ in range(ADDITIVE_STEPS):
        of_items = _means(found - of_users[user_rows], weights, item_rows, n_items)
        of_users = _means(found - of_items[item_rows], weights, user_rows, n_users)
    shift = np.clip((of_users.mean() - of_items.mean()) / 2, -of_items.min(), of_users.min())
    return np.maximum(of_users - shift, 0), np.maximum(of_items + shift, 0)


def _means(values: Doubles, weights: Doubles, rows: Rows, n: int) -> Doubles:
    sums = np.bincount(rows, weights=values * weights, minlength=n)
    means: Doubles = sums / np.bincount(rows, weights=weights, minlength=n)
    return means
