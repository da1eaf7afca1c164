"""A transformer over histories that foretells each next item (SASRec), fitted with a softmax over the items."""

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from shortlist.data.log import Log
from shortlist.errors import ConfigError, require
from shortlist.neural_settings import SequenceSettings
from shortlist.retrieval.encoder import N_GAPS
from shortlist.retrieval.sequence import SequenceEncoder

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn.functional import layer_norm
else:
    torch = require("torch", "train", "Fitting the sequence model")
    Tensor = torch.Tensor
    layer_norm = torch.nn.functional.layer_norm

from shortlist.training.histories import Batch
from shortlist.training.history_fit import HistoryModel, dropped, fit_history_model

INIT_SCALE = 0.02


def fit_sequence(
    log: Log, settings: SequenceSettings, *, seed: int, epochs: int | None = None, name: str = "sequence"
) -> tuple[SequenceEncoder, int]:
    """Fit the encoder: SASRec with the full softmax of Klenitskiy and Vasilev 2023 (arXiv:2309.07602).

    What differs: relative positions, and times where the log has them (as in HSTU, Zhai et al. 2024,
    arXiv:2402.17152); histories cut into windows anew in each epoch, so that every event is a target;
    item biases that begin as log popularity; where people hardly take up again what they have, the history's items are
    no negatives; and the weights are averaged over the steps.

    Args:
        log: its positives are read, in their order.
        settings: how.
        seed: of the initial weights, windows, batches and dropout.
        epochs: as in `fit_history_model`.
        name: the name of the source.

    Returns:
        The encoder and the number of epochs behind it.

    Raises:
        DataError: the log has no positive event.
        ConfigError: the dimension is no multiple of the heads, or the weights went out of all bounds.
    """
    if settings.dimension % settings.heads:
        raise ConfigError(
            f"sequence: expected a dimension that {settings.heads} heads can share, got {settings.dimension}"
        )
    encoder, epochs = fit_history_model(
        lambda positives: Transformer(positives, settings, seed, name), log, settings, seed=seed, epochs=epochs
    )
    assert isinstance(encoder, SequenceEncoder)
    return encoder, epochs


class Transformer(HistoryModel):
    """The weights of a `SequenceEncoder` while they are being fitted, and the same computation in torch."""

    tables: ClassVar[tuple[str, ...]] = ("item_vectors", "item_biases")

    def __init__(self, log: Log, settings: SequenceSettings, seed: int, name: str) -> None:
        self.settings = settings
        self.name = name
        self.rng = np.random.default_rng(seed)
        counts = np.bincount(log.item_rows, minlength=log.n_items)
        self.known_items = counts > 0
        d, n, h = settings.dimension, settings.blocks, settings.heads
        norm = torch.stack([torch.ones(d), torch.zeros(d)])  # (2, d)
        self.weights = {
            "item_vectors": torch.from_numpy(self.rng.normal(0, INIT_SCALE, (log.n_items, d)).astype(np.float32)),
            "item_biases": torch.from_numpy(np.log((counts + 0.5) / len(log)).astype(np.float32))[:, None],
            "attention_norms": norm.repeat(n, 1, 1),
            "attention_inputs": self._uniform(n, d, 3 * d),
            "attention_outputs": self._uniform(n, d, d),
            "distances": torch.zeros(n, h, settings.max_length),
            "gaps": torch.zeros(n, h, N_GAPS if log.in_seconds else 1),
            "network_norms": norm.repeat(n, 1, 1),
            "network_weights_1": self._uniform(n, d, d),
            "network_biases_1": torch.zeros(n, d),
            "network_weights_2": self._uniform(n, d, d),
            "network_biases_2": torch.zeros(n, d),
            "final_norm": norm.clone(),
        }
        for weight in self.weights.values():
            weight.requires_grad_()

    def _uniform(self, *shape: int) -> Tensor:
        bound = 1 / math.sqrt(shape[-2])
        return torch.from_numpy(self.rng.uniform(-bound, bound, shape).astype(np.float32))

    def items(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows("item_vectors", rows), self.rows("item_biases", rows)[:, 0]

    def encode(self, batch: Batch) -> Tensor:
        x = self.rows("item_vectors", batch.item_rows) * math.sqrt(self.settings.dimension)  # (n, t, d)
        x = self._dropped(x)
        steps = torch.arange(batch.item_rows.shape[1])
        distance = (steps[:, None] - steps).clamp(min=0)  # (t, t)
        gaps = batch.gaps(self.weights["gaps"].shape[2])  # (n, t, t)
        for block in range(self.settings.blocks):
            x = self._block(block, x, distance, gaps, batch.visible)
        return self._normed(x, self.weights["final_norm"])

    def _block(self, block: int, x: Tensor, distance: Tensor, gaps: Tensor | None, visible: Tensor) -> Tensor:
        w = {name: weight[block] for name, weight in self.weights.items() if name not in ("final_norm", *self.tables)}
        n, t, d = x.shape
        h = self.settings.heads
        y = self._normed(x, w["attention_norms"])
        q, k, v = (y @ w["attention_inputs"]).view(n, t, 3, h, d // h).permute(2, 0, 3, 1, 4)  # (n, h, t, d / h)
        shifts = w["distances"][:, distance].masked_fill(~visible, -torch.inf)  # (h, t, t)
        logits = q @ k.mT * (d // h) ** -0.5 + shifts  # (n, h, t, t)
        if gaps is not None:
            logits = logits + w["gaps"][:, gaps].transpose(0, 1)
        shares = self._dropped(torch.softmax(logits, dim=-1))
        attended = (shares @ v).transpose(1, 2).reshape(n, t, d)
        x = x + self._dropped(attended @ w["attention_outputs"])
        y = self._normed(x, w["network_norms"])
        hidden = self._dropped(torch.relu(y @ w["network_weights_1"] + w["network_biases_1"]))
        return x + self._dropped(hidden @ w["network_weights_2"] + w["network_biases_2"])

    def _normed(self, x: Tensor, norm: Tensor) -> Tensor:
        return layer_norm(x, x.shape[-1:], norm[0], norm[1])

    def _dropped(self, x: Tensor) -> Tensor:
        return dropped(x, self.settings.dropout, self.rng)

    def encoder(self, weights: dict[str, Tensor]) -> SequenceEncoder:
        arrays = {name: weight.numpy().copy() for name, weight in weights.items()}
        arrays["item_biases"] = arrays["item_biases"][:, 0]
        return SequenceEncoder(name=self.name, known_items=self.known_items, **arrays)
