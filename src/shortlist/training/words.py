"""The words of text attributes, hashed into a fixed number of features."""

import zlib

import numpy as np
import polars as pl
import scipy.sparse as sp

from shortlist.data.dataset import attribute_kind
from shortlist.training.ranking.rating_features import Groups

N_BUCKETS = 4096


def word_groups(table: pl.DataFrame, id_column: str, n_buckets: int = N_BUCKETS) -> Groups:
    """The words of each text attribute of users or items, a group each (n_rows, n_buckets).

    Words are runs of letters, digits and underscores in lower case. A word has the bucket of its CRC-32, so that no
    vocabulary needs to be kept; two words may share one.

    >>> table = pl.DataFrame({"item_id": [1, 2, 3], "title": ["Toy Story", "A toy, a toy!", None]})
    >>> [group] = word_groups(table, "item_id")
    >>> (group @ group.T).toarray()  # words in common
    array([[2., 1., 0.],
           [1., 2., 0.],
           [0., 0., 0.]])
    """
    texts = [series for series in table.drop(id_column) if attribute_kind(series) == "text"]
    return tuple(_group(series.cast(pl.String), n_buckets) for series in texts)


def _group(texts: pl.Series, n_buckets: int) -> sp.csr_matrix:
    words = pl.DataFrame({"row": np.arange(len(texts)), "word": texts.str.to_lowercase().str.extract_all(r"\w+")})
    pairs = words.explode("word").drop_nulls().unique(maintain_order=True)
    distinct = pairs["word"].unique().sort()
    buckets = np.array([zlib.crc32(word.encode()) % n_buckets for word in distinct.to_list()], dtype=np.int64)
    columns = buckets[distinct.search_sorted(pairs["word"]).to_numpy()] if len(pairs) else buckets
    group = sp.csr_matrix((np.ones(len(pairs)), (pairs["row"].to_numpy(), columns)), shape=(len(texts), n_buckets))
    group.data[:] = 1
    return group
