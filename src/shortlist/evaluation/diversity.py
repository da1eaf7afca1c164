"""Item vectors by which the diversity of a list is measured."""

import polars as pl

from shortlist.data.attributes import encode_attributes
from shortlist.data.dataset import Dataset
from shortlist.data.log import Floats, Log
from shortlist.data.vocabulary import Vocabulary
from shortlist.ranking.likeness import user_vectors


def diversity_vectors(train: Dataset, log: Log, catalogue: Vocabulary) -> tuple[Floats, str]:
    """What makes items alike: their categories; where no item has any, the users who took them up.

    Args:
        log: the training events, items as in the catalogue.

    Returns:
        float32 (n_items, n_values), and ``"attributes"`` or ``"users"``.
    """
    ids = pl.DataFrame({"item_id": catalogue.ids})
    indicators, _, _ = encode_attributes(ids.join(train.items, on="item_id", how="left", maintain_order="left"))
    if indicators.any():
        return indicators, "attributes"
    return user_vectors(log), "users"
