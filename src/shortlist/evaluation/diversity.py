"""Item vectors by which the diversity of a list is measured."""

import numpy as np
import polars as pl
import scipy.sparse as sp

from shortlist.data.attributes import encode_attributes
from shortlist.data.dataset import Dataset
from shortlist.data.log import Floats, Log
from shortlist.data.vocabulary import Vocabulary

N_DIRECTIONS = 64


def diversity_vectors(train: Dataset, log: Log, catalogue: Vocabulary) -> tuple[Floats, str]:
    """What makes items alike: their categories; where no item has any, the users who took them up.

    Users are projected to 64 random directions (Johnson and Lindenstrauss 1984), which keeps the cosine of two items
    within about 0.12.

    Args:
        log: the training events, items as in the catalogue.

    Returns:
        float32 (n_items, n_values), and ``"attributes"`` or ``"users"``.
    """
    ids = pl.DataFrame({"item_id": catalogue.ids})
    indicators, _, _ = encode_attributes(ids.join(train.items, on="item_id", how="left", maintain_order="left"))
    if indicators.any():
        return indicators, "attributes"
    taken = sp.csr_matrix(
        (np.ones(len(log), dtype=np.float32), (log.item_rows, log.user_rows)), shape=(log.n_items, log.n_users)
    )
    taken.data[:] = 1
    directions = np.random.default_rng(0).standard_normal((log.n_users, N_DIRECTIONS), dtype=np.float32)
    projected: Floats = taken @ directions  # (n_items, N_DIRECTIONS)
    return projected, "users"
