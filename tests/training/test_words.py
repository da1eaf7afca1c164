"""Text attributes as hashed words."""

import zlib

import numpy as np
import polars as pl

from shortlist.training.words import word_groups


def items(titles):
    return pl.DataFrame({"item_id": range(len(titles)), "title": titles, "year": [1990] * len(titles)})


def test_the_same_word_is_the_same_feature():
    titles = ["Toy Story", "toy-box, toy!", "Été à Paris", "Ein anderer Film", None, ""]
    (group,) = word_groups(items(titles), "item_id")
    assert group.shape == (6, 4096)
    shared = (group @ group.T).toarray()
    assert shared[0, 1] == 1
    assert shared.diagonal().tolist() == [2, 2, 3, 3, 0, 0]
    assert group[0, zlib.crc32(b"toy") % 4096] == group[2, zlib.crc32("été".encode()) % 4096] == 1


def test_words_may_share_a_bucket():
    (group,) = word_groups(items(["one two three four five", "six seven", "eight"]), "item_id", n_buckets=2)
    assert set(np.unique(group.toarray())) <= {0, 1}
    assert (group.sum(axis=1) > 0).all()


def test_only_texts_are_read():
    assert (
        word_groups(pl.DataFrame({"item_id": [1, 2, 3], "kind": ["a", "a", "a"], "year": [1, 2, 3]}), "item_id") == ()
    )
    (group,) = word_groups(pl.DataFrame({"item_id": [1, 2, 3], "title": ["?", "!", "…"]}), "item_id")
    assert group.nnz == 0
