"""A query vector against item vectors: two towers of user and item ids, or any factorization."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from shortlist.data.log import Floats, Mask
from shortlist.stages import Queries, Source


@dataclass(frozen=True)
class IdVectors(Source):
    """One vector per known user, one per item; the score is their dot product plus the item's bias.

    Attributes:
        user_vectors: float32 (n_users, d).
        item_vectors: float32 (n_items, d).
        item_biases: float32 (n_items,).
        trained_users: bool (n_users,), users with at least one training event; the others are abstained for.
        trained_items: bool (n_items,), items with at least one training event; the others have no evidence.
    """

    proposes_above: ClassVar[float] = -math.inf

    name: str
    user_vectors: Floats
    item_vectors: Floats
    item_biases: Floats
    trained_users: Mask
    trained_items: Mask

    def score_catalogue(self, queries: Queries) -> Floats:
        scores = np.full((len(queries), len(self.item_vectors)), np.nan, dtype=np.float32)
        for row, user in enumerate(queries.user_rows):
            if user >= 0 and self.trained_users[user]:
                # One matrix-vector product per query, never a block: its bits do not depend on the batch.
                products = self.item_vectors @ self.user_vectors[user]  # (n_items,)
                scores[row] = np.where(self.trained_items, products + self.item_biases, np.nan)
        return scores
