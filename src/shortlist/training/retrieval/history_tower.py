"""Two towers fitted with a softmax over the items: the user's history against an item's id, attributes and words."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy.sparse as sp

from shortlist.data.log import Log
from shortlist.errors import require
from shortlist.neural_settings import HistoryTowerSettings
from shortlist.retrieval.encoder import N_GAPS
from shortlist.retrieval.history_tower import HistoryTower

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn.functional import embedding_bag, layer_norm
else:
    torch = require("torch", "train", "Fitting the history tower")
    Tensor = torch.Tensor
    embedding_bag, layer_norm = torch.nn.functional.embedding_bag, torch.nn.functional.layer_norm

from shortlist.training.histories import Batch
from shortlist.training.history_fit import HistoryModel, dropped, fit_history_model

INIT_SCALE = 0.1


def fit_history_tower(
    log: Log,
    settings: HistoryTowerSettings,
    *,
    seed: int,
    item_attributes: sp.csr_matrix | None = None,
    user_attributes: sp.csr_matrix | None = None,
    ordered: bool = True,
    epochs: int | None = None,
    name: str = "history_tower",
) -> tuple[HistoryTower, int]:
    """Fit the two towers: a user is their history, their attributes and, at times, their id.

    Every event is foretold from those before it, or from all the user's others where order means nothing. The softmax
    is over every item up to 30,000 of them; beyond, over some drawn uniformly and those of the batch, each logit less
    the log of its item's probability to be there (`catalogue_softmax`). Ids are left out at random, so that an item
    that nobody touched is answered by its attributes, and a user whom nobody knows by their history.

    Args:
        log: its positives are read, in their order.
        settings: how.
        seed: of the initial weights, windows, batches and dropout.
        item_attributes: (n_items, n_values), how much each value or word says of an item; an item of which nothing is
            said has none.
        user_attributes: likewise (n_users, n_values).
        ordered: whether order, and times where the log has them, mean something.
        epochs: as in `fit_history_model`.
        name: the name of the source.

    Returns:
        The towers and the number of epochs behind them.

    Raises:
        DataError: the log has no positive event.
        ConfigError: the weights went out of all bounds.
    """
    encoder, epochs = fit_history_model(
        lambda positives: Towers(positives, settings, seed, name, item_attributes, user_attributes, ordered),
        log,
        settings,
        seed=seed,
        ordered=ordered,
        epochs=epochs,
    )
    assert isinstance(encoder, HistoryTower)
    return encoder, epochs


class Attributes:
    """What attributes add to the vectors of a table's rows: the weighted sum of a learned vector per value."""

    def __init__(self, matrix: sp.csr_matrix | None, n_rows: int) -> None:
        self.matrix = sp.csr_matrix((n_rows, 0) if matrix is None else matrix, dtype=np.float32)
        self.given = np.diff(self.matrix.indptr) > 0  # (n_rows,)

    def vectors(self, rows: Tensor, values: Tensor) -> Tensor:
        """(n, d) of n rows, from the vectors (n_values, d)."""
        some = self.matrix[rows.numpy()]
        return embedding_bag(
            torch.from_numpy(some.indices.astype(np.int64)),
            values,
            torch.from_numpy(some.indptr[:-1].astype(np.int64)),
            mode="sum",
            per_sample_weights=torch.from_numpy(some.data),
        )


class Towers(HistoryModel):
    """The weights of a `HistoryTower` while they are being fitted, and the same computation in torch.

    A row of ``items`` or of ``item_attributes`` holds the d numbers of a vector and one of a bias.
    """

    tables: ClassVar[tuple[str, ...]] = ("items", "users")

    def __init__(
        self,
        log: Log,
        settings: HistoryTowerSettings,
        seed: int,
        name: str,
        item_attributes: sp.csr_matrix | None,
        user_attributes: sp.csr_matrix | None,
        ordered: bool,
    ) -> None:
        self.settings = settings
        self.name = name
        self.ordered = ordered
        self.rng = np.random.default_rng(seed)
        self.item_attributes = Attributes(item_attributes, log.n_items)
        self.user_attributes = Attributes(user_attributes, log.n_users)
        counts = np.bincount(log.item_rows, minlength=log.n_items)
        self.touched_items = counts > 0
        self.known_items = self.touched_items | self.item_attributes.given
        self.touched_users = np.bincount(log.user_rows, minlength=log.n_users) > 0
        d = settings.dimension
        items = self.rng.normal(0, INIT_SCALE, (log.n_items, d + 1)).astype(np.float32)
        popularity = np.log(counts + 0.5)
        items[:, -1] = popularity - popularity[self.touched_items].mean()
        self.weights = {
            "items": torch.from_numpy(items),
            "item_attributes": torch.zeros(self.item_attributes.matrix.shape[1], d + 1),
            "users": torch.zeros(log.n_users if settings.user_dropout < 1 else 0, d),
            "user_attributes": torch.zeros(self.user_attributes.matrix.shape[1], d),
            "attention": torch.zeros(d),
            "distances": torch.zeros(settings.max_length),
            "gaps": torch.zeros(N_GAPS if ordered and log.in_seconds else 1),
            "projection": torch.eye(d),
            "prior": torch.zeros(d),
            "final_norm": torch.stack([torch.ones(d), torch.zeros(d)]),
        }
        for weight in self.weights.values():
            weight.requires_grad_()

    def items(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        parts = self._item_parts(rows)
        return parts[:, :-1], parts[:, -1]

    def _item_parts(self, rows: Tensor) -> Tensor:
        """(n, d + 1): vectors and biases of distinct items, some of those with attributes without their ids."""
        ids = self.rows("items", rows)
        given = torch.from_numpy(self.item_attributes.given[rows.numpy()])
        hidden = given & self._drawn(len(rows), self.settings.item_dropout)
        return ids * ~hidden[:, None] + self.item_attributes.vectors(rows, self.weights["item_attributes"])

    def _user_vectors(self, rows: Tensor) -> Tensor:
        """(n, d): some users, a part of them without their ids, a part without their attributes."""
        vectors = self.user_attributes.vectors(rows, self.weights["user_attributes"])
        vectors = vectors * ~self._drawn(len(rows), self.settings.item_dropout)[:, None]
        if len(self.weights["users"]):
            vectors = vectors + self.rows("users", rows) * ~self._drawn(len(rows), self.settings.user_dropout)[:, None]
        return vectors

    def _drawn(self, n: int, share: float) -> Tensor:
        return torch.from_numpy(self.rng.random(n) < share)

    def encode(self, batch: Batch) -> Tensor:
        w = self.weights
        n, t = batch.item_rows.shape
        rows, places = torch.unique(batch.item_rows, return_inverse=True)
        y = self._dropped(self._item_parts(rows)[:, :-1][places])  # (n, t, d)
        logits = (y @ w["attention"])[:, None].expand(n, t, t)
        if self.ordered:
            steps = torch.arange(t)
            logits = logits + w["distances"][(steps[:, None] - steps).clamp(min=0)]
        gaps = batch.gaps(len(w["gaps"]))
        if gaps is not None:
            logits = logits + w["gaps"][gaps]
        seen = batch.visible & (batch.weights > 0)[:, None]  # (n, t, t)
        logits = torch.cat([logits.masked_fill(~seen, -torch.inf), torch.zeros(n, t, 1)], dim=2)
        shares = torch.softmax(logits, dim=2)  # (n, t, t + 1)
        turned = (shares[..., :t] @ y) @ w["projection"]  # (n, t, d)
        vectors = turned + shares[..., t:] * w["prior"] + self._user_vectors(batch.user_rows)[:, None]
        return layer_norm(vectors, vectors.shape[-1:], w["final_norm"][0], w["final_norm"][1])

    def _dropped(self, x: Tensor) -> Tensor:
        return dropped(x, self.settings.dropout, self.rng)

    def encoder(self, weights: dict[str, Tensor]) -> HistoryTower:
        """An id without a training event counts for nothing."""
        every_item = torch.arange(len(self.known_items))
        items = weights["items"] * torch.from_numpy(self.touched_items)[:, None]
        items += self.item_attributes.vectors(every_item, weights["item_attributes"])
        users = torch.zeros(0, self.settings.dimension)
        if len(weights["users"]) or self.user_attributes.given.any():
            every_user = torch.arange(len(self.touched_users))
            users = self.user_attributes.vectors(every_user, weights["user_attributes"])
            if len(weights["users"]):
                users += weights["users"] * torch.from_numpy(self.touched_users)[:, None]
        arrays = {name: weight.numpy().copy() for name, weight in weights.items()}
        return HistoryTower(
            name=self.name,
            item_vectors=items[:, :-1].numpy().copy(),
            item_biases=items[:, -1].numpy().copy(),
            known_items=self.known_items,
            user_vectors=torch.cat([users, torch.zeros(1, users.shape[1])]).numpy(),
            **{name: arrays[name] for name in ("attention", "distances", "gaps", "projection", "prior", "final_norm")},
        )
