import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.data import vocabulary as module
from shortlist.data.vocabulary import Vocabulary

INTEGERS = Vocabulary(pl.Series([30, 10, -20]))
TEXTS = Vocabulary(pl.Series(["b", "a", "30"]))


def test_unknown_ids_and_ids_of_another_kind_are_minus_one():
    assert INTEGERS.rows([10, "10", None, True, 10.0, 99, -20, np.int8(30), np.str_("30")]).tolist() == [
        *(1, -1, -1, -1, -1, -1, 2, 0, -1),
    ]
    assert TEXTS.rows(["a", 30, "30", None, b"a", np.str_("b"), "A"]).tolist() == [1, -1, 2, -1, -1, 0, -1]
    assert (INTEGERS.kind, TEXTS.kind, len(TEXTS)) == ("integer", "string", 3)


def test_nothing_asked():
    assert TEXTS.rows([]).tolist() == []
    assert TEXTS.rows([]).dtype == np.int32


@pytest.mark.parametrize("repeat", [1, 1_000])
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pl.Series([10, None, 7], dtype=pl.Int64), [1, -1, -1]),
        (pl.Series([10, 30, 7], dtype=pl.UInt8), [1, 0, -1]),
        (pl.Series([10, 2**63, 7], dtype=pl.UInt64), [1, -1, -1]),
        (pl.Series([10.0, 30.0, 7.0]), [-1, -1, -1]),
        (pl.Series(["10", "30", "7"]), [-1, -1, -1]),
        (pl.Series([True, False, None]), [-1, -1, -1]),
        (np.array([10, 30, 7], dtype=np.int16), [1, 0, -1]),
        (np.array([10, 30, 7], dtype=object), [1, 0, -1]),
        (np.array([True, False, True]), [-1, -1, -1]),
    ],
)
def test_few_and_many_ids_agree(ids, expected, repeat):
    many = pl.concat([ids] * repeat) if isinstance(ids, pl.Series) else np.tile(ids, repeat)
    rows = INTEGERS.rows(many)
    assert rows.tolist() == expected * repeat
    assert rows.dtype == np.int32


@given(st.lists(st.text(), unique=True, min_size=1), st.data())
def test_rows_of_ids_are_their_positions(ids, data):
    vocabulary = Vocabulary(pl.Series(ids))
    asked = data.draw(st.lists(st.sampled_from(ids) | st.text(), max_size=20))
    expected = [ids.index(value) if value in ids else -1 for value in asked]
    assert vocabulary.rows(asked).tolist() == expected
    bulk, module.BULK = module.BULK, 0
    try:
        assert vocabulary.rows(pl.Series(asked, dtype=pl.String)).tolist() == expected
    finally:
        module.BULK = bulk
