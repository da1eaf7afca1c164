"""The Bayesian factorization machine: its posterior sampled, then summed up for answering."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.config import RatingFactorizationSettings
from shortlist.data.log import Floats, Log, Rows
from shortlist.errors import DataError
from shortlist.ranking.factorization import SPREAD_COUNT, RatingFactorization
from shortlist.training.ranking.gibbs import Sample, draw_samples
from shortlist.training.ranking.posterior import Summary, summed_up
from shortlist.training.ranking.rating_features import Design, Groups, make_design

Doubles = NDArray[np.float64]
MOST_LEVELS = 20
RATINGS_PER_GROUP = 2_000


def fit_rating_factorization(
    log: Log,
    settings: RatingFactorizationSettings,
    *,
    seed: int,
    user_attributes: Groups = (),
    item_attributes: Groups = (),
) -> RatingFactorization:
    """Sample chains of the posterior and sum them up.

    The features are user, item, the set of items that the user has rated, the set of users who have rated the item,
    attributes, and the day. With the head ``"probit"`` a rating is a level of an ordered probit (Albert and Chib 1993).
    Its thresholds differ between groups of users, of whom some use the whole scale and others hardly more than one
    level. Where there are more than twenty levels, or only one, the head is ``"regression"`` all the same.

    Args:
        log: its rated events are fitted, whatever their weight; at least one.
        settings: see there.
        seed: of the first chain; each later one's is one more.
        user_attributes: features of the users, a matrix (n_users, n) per attribute, as `attribute_groups` makes them.
        item_attributes: likewise.

    Raises:
        DataError: the log has no rating.
    """
    rated = log.take(~np.isnan(log.ratings))
    if not len(rated):
        raise DataError("The factorization machine needs at least one event with a rating; the log has none.")
    design = make_design(rated, user_attributes, item_attributes)
    levels, places = np.unique(rated.ratings.astype(np.float64), return_inverse=True)
    probit = settings.head == "probit" and 2 <= len(levels) <= MOST_LEVELS
    scales = scale_groups(rated, settings.threshold_groups if probit else 1)
    center = 0.0 if probit else float(rated.ratings.mean(dtype=np.float64))  # the chain starts near zero
    targets = places if probit else rated.ratings.astype(np.float64) - center
    samples: list[Sample] = []
    for chain in range(settings.chains):
        event_groups = scales.groups[rated.user_rows] if probit else None
        draw_samples(design, targets, event_groups, settings, seed + chain, samples.append)
    summary = summed_up(samples, design, settings.dimension, settings.day_dimension, np.random.default_rng(seed))
    return answering_side(summary, design, scales, levels, center, probit, log.end)


class ScaleGroups(NamedTuple):
    """Users by how far apart their ratings lie.

    Attributes:
        spread: the variance of ratings around their user's mean.
        edges: float32 (n_groups − 1,), rising: the spread from which the next group begins.
        groups: int32 (n_users,).
    """

    spread: float
    edges: Floats
    groups: Rows


def scale_groups(rated: Log, n_groups: int) -> ScaleGroups:
    """At most so many groups, each with some 2,000 ratings or more; a user's spread is drawn towards the average."""
    counts = np.bincount(rated.user_rows, minlength=rated.n_users)
    ratings = rated.ratings.astype(np.float64)
    means = np.bincount(rated.user_rows, weights=ratings, minlength=rated.n_users) / np.maximum(counts, 1)
    squares = np.square(ratings - means[rated.user_rows])
    average = float(squares.sum() / max(1, len(rated) - np.count_nonzero(counts)))
    sums = np.bincount(rated.user_rows, weights=squares, minlength=rated.n_users)
    spreads = ((sums + SPREAD_COUNT * average) / (counts + SPREAD_COUNT)).astype(np.float32)
    n_groups = max(1, min(n_groups, len(rated) // RATINGS_PER_GROUP))
    ordered = np.sort(spreads[rated.user_rows])
    edges = np.unique(ordered[np.arange(1, n_groups) * len(ordered) // n_groups])
    edges = edges[edges > ordered[0]]
    return ScaleGroups(average, edges, np.searchsorted(edges, spreads, side="right").astype(np.int32))


def answering_side(
    summary: Summary, design: Design, scales: ScaleGroups, levels: Doubles, center: float, probit: bool, end: int
) -> RatingFactorization:
    """The summary with what answers for unknown users, items and days."""
    rated_counts = np.bincount(design.user_rows, minlength=len(summary.users)).astype(np.int32)
    users, items, days = summary.users.copy(), summary.items, summary.days
    users[:, 0] += center
    k = users.shape[1] - days.shape[1]
    seen, rated_items = rated_counts > 0, np.unique(design.item_rows)
    own = users[seen].astype(np.float64) - (design.taken_up @ summary.evidence)[seen]  # without the evidence
    prior = own.mean(axis=0)
    item_moments = _moments(items[:, : 1 + k], bias_is_one=True)
    user_moments = _moments(users[seen, : 1 + k], bias_is_one=True)
    covariance = _moments((own - prior)[:, : 1 + k])
    # The summary is the mean of the posterior, so users differ less in it than they do: its variance is added, in
    # proportion (the law of total variance).
    uncertain = float(summary.user_variances[seen].mean())
    covariance *= 1 + uncertain / max(float(np.sum(covariance * item_moments)), 1e-9)
    covariance += 1e-4 * np.trace(covariance) / (1 + k) * np.eye(1 + k) + 1e-9 * np.eye(1 + k)
    newcomer, new_item = users[seen].mean(axis=0), items[rated_items].mean(axis=0)
    newcomers_vary = np.sum(_moments((users[seen] - newcomer)[:, : 1 + k]) * item_moments)
    new_items_vary = np.sum(_moments((items[rated_items] - new_item)[:, : 1 + k]) * user_moments)
    return RatingFactorization(
        users,
        np.append(items, new_item[None], axis=0),
        days,
        design.day_numbers,
        usual_days(design, days, rated_counts),
        end,
        summary.evidence,
        prior,
        np.asarray(np.linalg.inv(covariance), dtype=np.float64),
        newcomer,
        np.append(summary.user_variances, uncertain + newcomers_vary).astype(np.float32),
        np.append(summary.item_variances, summary.item_variances[rated_items].mean() + new_items_vary).astype(
            np.float32
        ),
        scales.groups,
        scales.edges,
        scales.spread,
        rated_counts,
        levels if probit else levels[[0, -1]],
        np.maximum.accumulate(summary.thresholds, axis=1) if probit else None,
        summary.noise,
    )


def usual_days(design: Design, days: Floats, rated_counts: Rows) -> Floats:
    """float32 (n_users + 1, 1 + d): the mean of the days of each user's events; the last row, also for users without
    any, is the mean over all events."""
    if not len(days):
        return np.zeros((len(rated_counts) + 1, days.shape[1]), dtype=np.float32)
    mean = days[design.day_rows].mean(axis=0, dtype=np.float64)
    places = (np.ones(len(design.day_rows)), (design.user_rows, design.day_rows))
    sums = sp.csr_matrix(places, shape=(len(rated_counts), len(days))) @ days.astype(np.float64)
    own = sums / np.maximum(rated_counts, 1)[:, None]
    usual: Floats = np.append(np.where(rated_counts[:, None] > 0, own, mean), mean[None], axis=0).astype(np.float32)
    return usual


def _moments(rows: NDArray[np.floating], bias_is_one: bool = False) -> Doubles:
    """float64 (n, n): the mean of x xᵀ over the rows (m, n).

    Args:
        bias_is_one: in place of the bias, x has a one: what a bias on the other side is multiplied by.
    """
    sides = rows.astype(np.float64)
    if bias_is_one:
        sides[:, 0] = 1
    moments: Doubles = sides.T @ sides / max(1, len(sides))
    return moments
