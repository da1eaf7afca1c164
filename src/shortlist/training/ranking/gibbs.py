"""Samples from the posterior of a factorization machine, by Gibbs sampling (Rendle 2012, "libFM"); myFM's sampler.

Features of a user, and of an item, always come together, so each sample is kept as one vector per user, item and day.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.config import RatingFactorizationSettings
from shortlist.data.log import Floats, Rows
from shortlist.errors import require
from shortlist.training.ranking.rating_features import Design

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # myFM 0.4, the last for Python 3.11, reads its version through pkg_resources
    myfm: Any = require("myfm", "train", "Fitting the factorization machine")

Doubles = NDArray[np.float64]
PRIOR_SCALE = 0.01
"""The rate of the gamma prior of each group's precision, as if a weight of square .01 had been seen. With the usual 1
the weights of small groups and high ranks cannot become small: a higher rank then makes predictions worse, not better
(docs/ratings.md)."""
START_SCALE = 0.1


@dataclass(frozen=True)
class Sample:
    """One sample. The latent value of user u, item i and day t is b_u + b_i + b_t + ⟨u, i⟩ + ⟨u + i, t⟩.

    Attributes:
        users, items, days: float32 (n, rank): the vectors; the weights of an entity's features, summed.
        user_biases, item_biases, day_biases: float64 (n,): the linear weights, summed, and what an entity's own
            features say together; the global one is in the users'.
        evidence: float32 (n_items, 1 + rank): bias and vector of "has rated this item".
        thresholds: float64 (n_groups, n_levels − 1), or (1, 0) where the latent value is the rating.
        noise: variance of the latent value.
    """

    users: Floats
    items: Floats
    days: Floats
    user_biases: Doubles
    item_biases: Doubles
    day_biases: Doubles
    evidence: Floats
    thresholds: Doubles
    noise: float

    def latent(self, user_rows: Rows, item_rows: Rows, day_rows: Rows) -> Doubles:
        """float64 (n,): the latent value of each pair; a day of -1 has no effect."""
        users, items = self.users[user_rows].astype(np.float64), self.items[item_rows]
        total: Doubles = self.user_biases[user_rows] + self.item_biases[item_rows] + (users * items).sum(axis=1)
        if len(self.day_biases):
            days = np.where(day_rows[:, None] >= 0, self.days[day_rows], 0)
            total += np.where(day_rows >= 0, self.day_biases[day_rows], 0) + ((users + items) * days).sum(axis=1)
        return total


def draw_samples(
    design: Design,
    targets: NDArray[np.number],
    event_groups: Rows | None,
    settings: RatingFactorizationSettings,
    seed: int,
    keep: Callable[[Sample], None],
) -> None:
    """Run one chain and hand over the samples to keep.

    Args:
        design: the features.
        targets: (n,): levels as whole numbers from 0, or ratings.
        event_groups: int32 (n,): whose thresholds hold for each event; ``None`` = regression, the targets are ratings.
        settings: rank, iterations, burn-in, samples.
        seed: of the chain. The same seed gives the same samples on the same machine.
        keep: called with each sample kept: ``settings.samples`` of them at most, evenly spaced after the burn-in.
    """
    burn_in = min(settings.burn_in, settings.iterations - 1)
    kept = np.linspace(burn_in, settings.iterations - 1, settings.samples).round().astype(int)
    wanted = set(kept.tolist())

    def callback(iteration: int, fm: Any, hyper: Any, history: Any) -> bool:
        if iteration in wanted:
            keep(sample_of(fm, hyper.alpha if event_groups is None else 1.0, design))
        return False

    blocks = [
        myfm.RelationBlock(rows.tolist(), features)
        for rows, features in ((design.user_rows, design.user_features), (design.item_rows, design.item_features))
    ]
    myfm.gibbs.create_train_fm(
        settings.rank,
        START_SCALE,
        design.days,
        blocks,
        targets.astype(np.float64),
        seed,
        _config(design, targets, event_groups, settings),
        callback,
    )


def _config(
    design: Design,
    targets: NDArray[np.number],
    event_groups: Rows | None,
    settings: RatingFactorizationSettings,
) -> Any:
    builder = myfm.gibbs.ConfigBuilder()
    builder.set_alpha_0(1.0)
    builder.set_beta_0(PRIOR_SCALE)
    builder.set_gamma_0(1.0)
    builder.set_mu_0(0.0)
    builder.set_reg_0(1.0)
    builder.set_n_iter(settings.iterations)
    builder.set_n_kept_samples(1)
    builder.set_group_index(np.repeat(np.arange(len(design.group_sizes)), design.group_sizes).tolist())
    if event_groups is None:
        builder.set_task_type(myfm.gibbs.TaskType.REGRESSION)
    else:
        builder.set_task_type(myfm.gibbs.TaskType.ORDERED)
        n_levels = int(targets.max()) + 1
        groups = range(int(event_groups.max()) + 1)
        builder.set_cutpoint_groups([(n_levels, np.flatnonzero(event_groups == g).tolist()) for g in groups])
    return builder.build()


def sample_of(fm: Any, noise_precision: float, design: Design) -> Sample:
    """A factorization machine of myFM (its weights of all features) as one vector and bias per user, item and day."""
    n_days, n_user, n_item = len(design.day_numbers), design.user_features.shape[1], design.item_features.shape[1]
    day_weights, user_weights, item_weights = np.split(np.column_stack([fm.w, fm.V]), [n_days, n_days + n_user])
    assert len(item_weights) == n_item
    user_biases, users = _summed(design.user_features, user_weights)
    item_biases, items = _summed(design.item_features, item_weights)
    thresholds = np.stack(fm.cutpoints) if fm.cutpoints else np.zeros((1, 0))
    n_users, n_items = len(users), len(items)
    return Sample(
        users,
        items,
        day_weights[:, 1:].astype(np.float32),
        user_biases + fm.w0,
        item_biases,
        day_weights[:, 0].copy(),
        user_weights[n_users : n_users + n_items].astype(np.float32),
        thresholds,
        1 / noise_precision,
    )


def _summed(features: sp.csr_matrix, weights: Doubles) -> tuple[Doubles, Floats]:
    """Biases (n,) and vectors (n, rank) of the rows of some features.

    Two features of the same row have their product in the bias: Σ_{j<k} ⟨v_j, v_k⟩ = (‖Σ v‖² − Σ ‖v‖²) / 2.
    """
    sums = features @ weights
    squares = features.multiply(features) @ np.square(weights[:, 1:]).sum(axis=1)
    biases = sums[:, 0] + (np.square(sums[:, 1:]).sum(axis=1) - squares) / 2
    return biases, sums[:, 1:].astype(np.float32)
