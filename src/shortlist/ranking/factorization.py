"""What a Bayesian factorization machine has learned, summed up and answered in NumPy.

Several hundred samples of the posterior say what a pair's latent value may be. Its mean over the samples is again a sum
of products of vectors, and it is near enough normal, so a few numbers per user, item and day replace the samples.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from shortlist.data.log import Floats, Rows, Times
from shortlist.ranking.bias import Terms
from shortlist.stages import Queries

Doubles = NDArray[np.float64]
DAY_SECONDS = 86_400
ROWS_AT_ONCE = 4096
STEPS = 20
"""Of expectation maximisation, for a user known by a history alone."""
SPREAD_COUNT = 5.0
"""An average user's spread counts like so many ratings of one's own."""


class Askers(NamedTuple):
    """What is known about the user of each query.

    Attributes:
        vectors: float32 (n, 1 + k + d), as `RatingFactorization.users`.
        variances: float32 (n,), of the latent value, as far as it comes from the user.
        groups: int32 (n,): whose thresholds hold.
        days: float32 (n, 1 + d): a usual day of theirs, as `RatingFactorization.days`.
    """

    vectors: Floats
    variances: Floats
    groups: Rows
    days: Floats


@dataclass(frozen=True)
class RatingFactorization:
    """Predicts ratings, and how probable it is that a rating reaches a level.

    The latent value of user u, item i and day t is normal with the mean m = b_u + b_i + b_t + ⟨u, i⟩ + ⟨p_u + p_i, q_t⟩
    and the variance v = v_u + v_i. P(rating above level l) = Φ((m − threshold_l) / √(noise + v)). A user belongs to a
    group, by how far apart their ratings lie, and each group has thresholds of its own.

    Asked after the end of the log, or about a day without ratings, t is a usual day of the user: the mean of the days
    on which they have rated. (What a user is like and what their days were like cannot be told apart, so leaving the
    day out would leave out a part of the user.)

    A user's vectors are the fitted ones, as long as the history at hand holds no more rated events than they were
    fitted on. Beyond that, and for an unknown user, they are computed from the history: what having taken up these
    items says, corrected by how they were rated (the mode of the posterior, by expectation maximisation). Attributes
    of users count only in what was fitted.

    Attributes:
        users: float32 (n_users, 1 + k + d): bias b, vector, and p, side by side.
        items: float32 (n_items + 1, 1 + k + d), likewise; the last row answers for an unknown item.
        days: float32 (n_days, 1 + d): bias b and q.
        day_numbers: int32 (n_days,), rising: days since 1970, UTC.
        usual_days: float32 (n_users + 1, 1 + d): mean of the days of each user's rated events; the last is that of all.
        end: the first moment after every event of the log.
        evidence: float32 (n_items, 1 + k + d): what having taken up an item adds to a user's vectors; for n items their
            sum is divided by √n.
        prior: float64 (1 + k + d,): a user's vectors without that.
        precision: float64 (1 + k, 1 + k): the inverse of the covariance of users around it.
        newcomer: float32 (1 + k + d,): the vectors of somebody without a history.
        user_variances: float32 (n_users + 1,); the last is a newcomer's.
        item_variances: float32 (n_items + 1,).
        user_groups: int32 (n_users,).
        group_edges: float32 (n_groups − 1,), rising: the variance of ratings from which the next group begins.
        spread: the variance of ratings around their user's mean.
        rated_counts: int32 (n_users,): rated events that a user's vectors were fitted on.
        levels: float64 (n_levels,), rising: the ratings there are; without thresholds the lowest and the highest.
        thresholds: float64 (n_groups, n_levels − 1), rising in each row. ``None`` = the latent value is the rating.
        noise: variance of a rating's latent value around m when all else is known.
    """

    users: Floats
    items: Floats
    days: Floats
    day_numbers: Rows
    usual_days: Floats
    end: int
    evidence: Floats
    prior: Doubles
    precision: Doubles
    newcomer: Floats
    user_variances: Floats
    item_variances: Floats
    user_groups: Rows
    group_edges: Floats
    spread: float
    rated_counts: Rows
    levels: Doubles
    thresholds: Doubles | None
    noise: float

    def predict(self, queries: Queries, query_rows: NDArray[np.int64], item_rows: Rows) -> Floats:
        """float32 (n,): the expected rating, between the lowest and the highest level.

        It does not depend, to the bit, on what else is asked with it.
        """
        return self._expected(*self._latent(queries, query_rows, item_rows)).astype(np.float32)

    def _expected(self, means: Doubles, scales: Doubles, groups: Rows) -> Doubles:
        """The expected rating for latent values as `_latent` has them."""
        if self.thresholds is None:
            clipped: Doubles = np.clip(means, self.levels[0], self.levels[-1])
            return clipped
        expected = np.full(len(means), self.levels[0])
        for step, thresholds in zip(np.diff(self.levels), self.thresholds.T, strict=True):
            expected += step * ndtr((means - thresholds[groups]) / scales)
        return expected

    def terms(self, queries: Queries, query_rows: NDArray[np.int64], item_rows: Rows) -> Terms:
        """The terms of the latent value, and last what the map to the scale of ratings adds to their sum.

        What attributes and the items taken up say about a user is part of the user's bias and vectors. ``user``,
        ``item`` and ``day`` are the biases, ``user and item`` is ⟨u, i⟩, ``user and day`` ⟨p_u, q_t⟩ and ``item and
        day`` ⟨p_i, q_t⟩. The map, Σ_l step_l · Φ((m − threshold_l) / √(noise + v)), is rising, but no sum: it has one
        term, ``scale``, without which the sum is the latent value.
        """
        asked, places = np.unique(query_rows, return_inverse=True)
        askers, days = self._asked(queries.take(asked))
        k, n = self._k, len(query_rows)
        u, i, d = (part.astype(np.float64) for part in (askers.vectors[places], self.items[item_rows], days[places]))
        values = np.empty((n, 7))
        values[:, :3] = np.stack([u[:, 0], i[:, 0], d[:, 0]], axis=1)
        values[:, 3] = (u[:, 1 : 1 + k] * i[:, 1 : 1 + k]).sum(axis=1)
        values[:, 4] = (u[:, 1 + k :] * d[:, 1:]).sum(axis=1)
        values[:, 5] = (i[:, 1 + k :] * d[:, 1:]).sum(axis=1)
        expected = self._expected(*self._latent(queries, query_rows, item_rows))
        values[:, 6] = expected - values[:, :6].sum(axis=1)
        return Terms(("user", "item", "day", "user and item", "user and day", "item and day", "scale"), values)

    def probabilities(
        self, queries: Queries, query_rows: NDArray[np.int64], item_rows: Rows, at_least: float
    ) -> Floats:
        """float32 (n,): P(rating ≥ ``at_least``); 1 up to the lowest level, 0 above the highest.

        Without thresholds it is the probability that the latent value is as high.
        """
        means, scales, groups = self._latent(queries, query_rows, item_rows)
        if at_least <= self.levels[0] or at_least > self.levels[-1]:
            return np.full(len(means), float(at_least <= self.levels[0]), dtype=np.float32)
        needed = np.full(len(means), float(at_least))
        if self.thresholds is not None:
            needed = self.thresholds[groups, int(np.searchsorted(self.levels, at_least)) - 1]
        return np.asarray(ndtr((means - needed) / scales), dtype=np.float32)

    def _latent(
        self, queries: Queries, query_rows: NDArray[np.int64], item_rows: Rows
    ) -> tuple[Doubles, Doubles, Rows]:
        """m and √(noise + v) of each pair, and the group whose thresholds hold."""
        asked, places = np.unique(query_rows, return_inverse=True)
        askers, days = self._asked(queries.take(asked))
        means = np.empty(len(query_rows))
        for start in range(0, len(means), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            means[part] = self._sums(askers.vectors[places[part]], self.items[item_rows[part]], days[places[part]])
        variances = self.noise + askers.variances[places].astype(np.float64) + self.item_variances[item_rows]
        return means, np.sqrt(variances), askers.groups[places]

    def _asked(self, queries: Queries) -> tuple[Askers, Floats]:
        """The user of each query, and the day, float32 (n_queries, 1 + d)."""
        askers = self.askers(queries)
        return askers, np.where(queries.at[:, None] < self.end, self._days(queries.at, askers.days), askers.days)

    def _sums(self, users: Floats, items: Floats, days: Floats) -> Doubles:
        """m for rows of vectors. Each row's sums run in the same order in any batch."""
        k = self._k
        biases = users[:, 0].astype(np.float64) + items[:, 0] + days[:, 0]
        interest = np.multiply(users[:, 1 : 1 + k], items[:, 1 : 1 + k], dtype=np.float64).sum(axis=1)
        drift = np.multiply(users[:, 1 + k :] + items[:, 1 + k :], days[:, 1:], dtype=np.float64).sum(axis=1)
        total: Doubles = biases + interest + drift
        return total

    @property
    def _k(self) -> int:
        return int(self.users.shape[1] - self.days.shape[1])

    def _days(self, times: Times, otherwise: Floats) -> Floats:
        """float32 (n, 1 + d): of each time's day, or of the row of ``otherwise`` where that day has no ratings."""
        if not len(self.day_numbers):
            return otherwise
        numbers = times // DAY_SECONDS
        rows = np.minimum(np.searchsorted(self.day_numbers, numbers), len(self.day_numbers) - 1)
        return np.where((self.day_numbers[rows] == numbers)[:, None], self.days[rows], otherwise)

    def askers(self, queries: Queries) -> Askers:
        """Whose vectors count for each query: the fitted ones or, where the history knows more, those it says."""
        fitted = np.where(queries.user_rows >= 0, queries.user_rows, len(self.users))
        n_rated = np.bincount(queries.event_queries[~np.isnan(queries.ratings)], minlength=len(queries))
        counts, usual = self._with_newcomer
        more = (queries.lengths > 0) & (n_rated > counts[fitted])
        vectors, variances = usual.vectors[fitted], usual.variances[fitted]
        groups, days = usual.groups[fitted], usual.days[fitted]
        for q in np.flatnonzero(more).tolist():
            vectors[q], variances[q], groups[q], days[q] = self._from_history(queries.block(q, q + 1))
        return Askers(vectors, variances, groups, days)

    @cached_property
    def _with_newcomer(self) -> tuple[Rows, Askers]:
        """The rated counts and what is known of all users, then, in the last row, of somebody without a history."""
        groups = np.append(self.user_groups, self._group(self.spread)).astype(np.int32)
        vectors = np.append(self.users, self.newcomer[None], axis=0)
        return np.append(self.rated_counts, -1), Askers(vectors, self.user_variances, groups, self.usual_days)

    def _group(self, spread: float) -> int:
        group: int = np.searchsorted(self.group_edges, np.float32(spread), side="right").item()
        return group

    def _from_history(self, query: Queries) -> tuple[Floats, float, int, Floats]:
        """One user's vectors, variance, group and usual day from a history of at least one event."""
        k, taken_up = self._k, np.unique(query.item_rows)
        prior = self.prior + self.evidence[taken_up].sum(axis=0, dtype=np.float64) / np.sqrt(len(taken_up))
        rated = ~np.isnan(query.ratings)
        items, ratings = self.items[query.item_rows[rated]], query.ratings[rated].astype(np.float64)
        squares = np.square(ratings - ratings.mean()).sum() if len(ratings) else 0.0
        group = self._group((squares + SPREAD_COUNT * self.spread) / (len(ratings) + SPREAD_COUNT))
        only_drift = np.zeros((len(items), len(prior)), dtype=np.float32)
        only_drift[:, 1 + k :] = prior[1 + k :]  # of which a history's ratings say too little
        days = self._days(query.timestamps[rated], np.repeat(self.usual_days[-1:], len(items), axis=0))
        known = self._sums(only_drift, items, days)
        sides = np.concatenate([np.ones((len(items), 1)), items[:, 1 : 1 + k]], axis=1)  # (n, 1 + k)
        variances = self.noise + self.item_variances[query.item_rows[rated]].astype(np.float64)
        weighted = sides.T / variances
        factor = cho_factor(self.precision + weighted @ sides)
        own = prior[: 1 + k]
        for _ in range(STEPS if self.thresholds is not None else 1):
            latent = self._latent_given(ratings, known + sides @ own, np.sqrt(variances), group)
            own = cho_solve(factor, self.precision @ prior[: 1 + k] + weighted @ (latent - known))
        variance = float(np.trace(cho_solve(factor, self._item_moments)))
        usual_day = days.mean(axis=0) if len(days) else self.usual_days[-1]
        return np.concatenate([own, prior[1 + k :]]).astype(np.float32), variance, group, usual_day

    def _latent_given(self, ratings: Doubles, means: Doubles, scales: Doubles, group: int) -> Doubles:
        """float64 (n,): the mean of each latent value, given that its rating puts it between two thresholds."""
        if self.thresholds is None:
            return ratings
        borders = np.concatenate([[-np.inf], self.thresholds[group], [np.inf]])
        nearest = np.searchsorted((self.levels[1:] + self.levels[:-1]) / 2, ratings)
        low = np.clip((borders[nearest] - means) / scales, -8, 7.5)
        high = np.clip((borders[nearest + 1] - means) / scales, -7.5, 8)
        densities = np.exp(-np.square(low) / 2) - np.exp(-np.square(high) / 2)
        shares = np.maximum(ndtr(high) - ndtr(low), 1e-300) * np.sqrt(2 * np.pi)
        inside: Doubles = means + scales * np.clip(densities / shares, low, high)
        return inside

    @cached_property
    def _item_moments(self) -> Doubles:
        """float64 (1 + k, 1 + k): the mean of x xᵀ over the items, x = (1, vector)."""
        sides = self.items[:-1, : 1 + self._k].astype(np.float64)
        sides[:, 0] = 1
        moments: Doubles = sides.T @ sides / max(1, len(sides))
        return moments
