"""The settings of the neural models. Nothing here imports torch."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
Rate = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, lt=1)]


class TwoTowerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How two towers of user ids and item ids are fitted. The defaults are the tutorial's.

    Attributes:
        dimension: length of a vector.
        epochs: passes over the log, at most.
        batch_size: rows of the log per step; the loss is summed over them.
        optimizer: ``"adagrad"`` or ``"adam"``.
        learning_rate: the step size.
        init_scale: vectors start uniform in ``[-init_scale, init_scale]``.
        loss: ``"in_batch"``, the softmax over the items of the batch, or ``"full"``, over every item with an event.
        logq: subtract the log of each item's sampling probability from its logits, so that in-batch negatives, which
            come by popularity, count as if drawn uniformly. Only for the in-batch loss.
        remove_accidental_hits: a row's own item is no negative where other rows of the batch hold it too. Only for
            the in-batch loss.
        temperature: the scores are divided by it in the loss.
        item_bias: one more number per item, added to its score.
        weight_decay: an L2 penalty of half this, per row of the batch, on its user's and its item's vector.
        dropout: share of the coordinates of each vector set to zero in a step (the others scaled up).
        patience: with a validation log, stop after so many epochs without a better one; ``None`` = run them all.
            The best epoch's vectors are kept.
    """

    dimension: Positive = 32
    epochs: Positive = 10
    batch_size: Positive = 8192
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    learning_rate: Rate = 0.1
    init_scale: Rate = 0.05
    loss: Literal["in_batch", "full"] = "in_batch"
    logq: bool = False
    remove_accidental_hits: bool = False
    temperature: Rate = 1.0
    item_bias: bool = False
    weight_decay: NotNegative = 0.0
    dropout: Share = 0.0
    patience: Positive | None = None


class RatingNetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the rating network is fitted. The defaults are the tutorial's.

    Attributes:
        dimension: length of a user's and of an item's vector.
        hidden: widths of the hidden layers, each followed by a rectifier; at least one.
        epochs: passes over the log, at most.
        batch_size: rows of the log per step; the loss is their mean squared error.
        learning_rate: of Adagrad.
        init_scale: vectors start uniform in ``[-init_scale, init_scale]``.
        weight_decay: an L2 penalty of half this on every vector of the batch and on the layers' weights.
        averaging: the answer uses a moving average of the weights after each epoch: this share of the average so far
            and the rest of the new ones (at first, their plain mean). 0 = the last weights.
        patience: with a validation log, stop after so many epochs without a better one; ``None`` = run them all.
            The best epoch's weights are kept.
    """

    dimension: Positive = 32
    hidden: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (256, 64)
    epochs: Positive = 100
    batch_size: Positive = 8192
    learning_rate: Rate = 0.1
    init_scale: Rate = 0.05
    weight_decay: NotNegative = 0.0
    averaging: Share = 0.0
    patience: Positive | None = None


class HistoryFitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a model that reads histories is fitted.

    Attributes:
        max_length: events of a history that are read, the latest.
        epochs: passes over the log, at most; validation chooses how many.
        cells: what a fit may cost: events foretold × (items compared + 4,000), summed over the epochs; fewer epochs
            where that is more, one at least. A billion take some four CPU seconds with 64 dimensions.
        patience: stop after so many epochs without a better one.
        batch_size: events foretold per step; fewer where the log is small, so that an epoch has some 64 steps.
        learning_rate: of Adam, at its height: it falls evenly until the last of the epochs allowed.
        weight_decay: each step takes this share, times the learning rate, from every weight (Loshchilov and Hutter
            2019, arXiv:1711.05101); of a catalogue that is not compared as a whole, not from the vectors.
        dropout: share of the coordinates set to zero, at random, wherever the model does so.
        averaging: the answer uses a moving average of the weights after each step: this share of the average so far
            and the rest of the new ones. 0 = the last weights.
        negatives: catalogues of more than 30,000 items are not compared as a whole: with so many of them, drawn
            uniformly, and with what the others of the batch took up.
    """

    max_length: Positive = 100
    epochs: Positive = 20
    cells: Positive = 200_000_000_000
    patience: Positive = 4
    batch_size: Positive = 4096
    learning_rate: Rate = 0.002
    weight_decay: NotNegative = 0.0
    dropout: Share = 0.2
    averaging: Share = 0.98
    negatives: Positive = 4096


class SequenceSettings(HistoryFitSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the transformer over histories is fitted; `HistoryFitSettings` and its size.

    Attributes:
        dimension: length of a vector, a multiple of ``heads``.
        blocks: layers of attention.
        heads: of each.
    """

    batch_size: Positive = 2048
    dimension: Positive = 64
    blocks: Positive = 2
    heads: Positive = 2


class HistoryTowerSettings(HistoryFitSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the towers of histories and items are fitted; `HistoryFitSettings` and what is theirs.

    Attributes:
        dimension: length of a vector.
        item_dropout: share of the items whose ids are left out of a step, where they have attributes to go by; the
            same share of the users go without their attributes.
        user_dropout: share of the users whose ids are left out of a step; 1 = a user's id says nothing.
    """

    learning_rate: Rate = 0.005
    weight_decay: NotNegative = 0.5
    max_length: Positive = 200
    dimension: Positive = 64
    item_dropout: Share = 0.1
    user_dropout: Annotated[float, Meta(ge=0, le=1)] = 1.0


# Found by random search (benchmarks/two_tower_search.py: 50 points, logQ throughout) on 8,000 of the 80,000 training
# rows of MovieLens 100K: of the points within one standard error of the best share found with seen titles removed, the
# one that finds most with them kept. The search and its figures are in docs/two-tower.md.
DONE_RIGHT = TwoTowerSettings(
    dimension=32,
    epochs=12,
    batch_size=2048,
    learning_rate=0.135,
    logq=True,
    remove_accidental_hits=True,
    item_bias=True,
    weight_decay=0.0906,
)
"""The two-tower model with the logQ correction and settings found on validation; still a user id and an item id."""
