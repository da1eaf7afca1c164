"""Components to JSON and arrays and back."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.errors import ArtifactError
from shortlist.packing import pack, unpack


@dataclass(frozen=True)
class Counts:
    rows: NDArray[np.int32]
    total: int
    cache: dict[str, int] = field(init=False, default_factory=dict)


@dataclass(frozen=True)
class Component:
    name: str
    values: NDArray[np.float32]
    counts: Counts
    names: NDArray[np.str_]
    window: float
    optional: NDArray[np.int64] | None
    settings: dict[str, Any]
    columns: tuple[str, ...]
    pairs: tuple[tuple[int, float], ...]
    layers: tuple[NDArray[np.float32], ...] = ()
    other: Counts | None = None
    flag: bool = True


def component(**changes):
    given: dict[str, Any] = {
        "name": "ease",
        "values": np.ones((2, 3), dtype=np.float32),
        "counts": Counts(np.arange(3, dtype=np.int32), 3),
        "names": np.array(["a", "bc"]),
        "window": math.inf,
        "optional": None,
        "settings": {"a": {"b": [1, None, "x"]}},
        "columns": ("x", "y"),
        "pairs": ((1, 0.5),),
    }
    return Component(**(given | changes))


def test_round_trip_through_json():
    original = component(optional=np.arange(2), other=Counts(np.zeros(0, dtype=np.int32), 0))
    meta, arrays = pack(original)
    assert arrays.keys() == {"values", "counts/rows", "names", "optional", "other/rows"}
    again = unpack(Component, json.loads(json.dumps(meta, allow_nan=False)), arrays)
    np.testing.assert_equal(vars(again.counts), vars(original.counts))
    for name in ("name", "window", "settings", "columns", "pairs", "flag"):
        assert getattr(again, name) == getattr(original, name)
    assert again.values is original.values
    assert again.optional is original.optional
    assert unpack(Component, *pack(component())).optional is None
    assert unpack(Component, *pack(component(window=np.float32(0.5)))).window == 0.5
    assert math.isnan(unpack(Component, *pack(component(window=math.nan))).window)


@pytest.mark.parametrize("n", [0, 1, 12])
def test_round_trip_of_a_tuple_of_arrays(n):
    layers = tuple(np.full((2, place), place, dtype=np.float32) for place in range(n))
    meta, arrays = pack(component(layers=layers))
    assert {name for name in arrays if name.startswith("layers")} == {f"layers/{place}" for place in range(n)}
    again = unpack(Component, json.loads(json.dumps(meta)), dict(sorted(arrays.items())))
    assert isinstance(again.layers, tuple)
    np.testing.assert_equal(again.layers, layers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, arrays: meta.update(layers=3), "layers does not fit"),
        (lambda meta, arrays: meta.update(layers=[]), "layers does not fit"),
        (lambda meta, arrays: arrays.pop("layers/1"), "layers does not fit"),
        (
            lambda meta, arrays: arrays.update({"layers/2": arrays.pop("layers/1")}),
            "layers should be the arrays 0 to 1",
        ),
        (lambda meta, arrays: arrays.update({"layers/1": np.zeros(2, dtype=np.int64)}), "layers/1 does not fit.*int64"),
    ],
)
def test_a_tuple_of_arrays_that_does_not_fit_is_refused(change, message):
    meta, arrays = pack(component(layers=(np.zeros(2, dtype=np.float32), np.zeros(3, dtype=np.float32))))
    change(meta, arrays)
    with pytest.raises(ArtifactError, match=message):
        unpack(Component, meta, arrays)


@pytest.mark.parametrize("value", [(np.zeros(1), 3), [np.zeros(1)]])
def test_arrays_beside_other_values_are_refused(value):
    with pytest.raises(ArtifactError, match=r"Component\.layers"):
        pack(component(layers=value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, arrays: meta.pop("name"), "has the fields"),
        (lambda meta, arrays: meta.update(extra=1), "has the fields"),
        (lambda meta, arrays: meta.update(values=1), "has the fields"),
        (lambda meta, arrays: arrays.pop("values"), "has the fields"),
        (lambda meta, arrays: arrays.pop("counts/rows"), "Counts has the fields"),
        (lambda meta, arrays: arrays.update({"zzz/rows": np.zeros(1)}), "has the fields"),
        (lambda meta, arrays: arrays.update({"name/rows": np.zeros(1)}), "name does not fit"),
        (lambda meta, arrays: arrays.update({"counts/more": np.zeros(1)}), "Counts has the fields"),
        (lambda meta, arrays: arrays.update(values=np.zeros(1, dtype=np.int32)), "values does not fit.*int32"),
        (lambda meta, arrays: arrays.update(names=np.zeros(1)), "names does not fit"),
        (lambda meta, arrays: arrays.update(name=meta.pop("name") and np.zeros(1)), "name does not fit"),
        (lambda meta, arrays: meta.update(name=3), "name does not fit"),
        (lambda meta, arrays: meta.update(window="wide"), "window does not fit"),
        (lambda meta, arrays: meta.update(columns=[1]), "columns does not fit"),
        (lambda meta, arrays: meta.update(counts=3), "counts does not fit"),
        (lambda meta, arrays: meta.update(flag=1), "flag does not fit"),
    ],
)
def test_what_does_not_fit_the_class_is_refused(change, message):
    meta, arrays = pack(component())
    change(meta, arrays)
    with pytest.raises(ArtifactError, match=message):
        unpack(Component, meta, arrays)


@pytest.mark.parametrize("value", [{1: 2}, object(), {"a": [math.nan]}, b"x", {"a": np.zeros(1)}])
def test_what_cannot_be_stored_is_refused(value):
    with pytest.raises(ArtifactError, match=r"Component\.settings"):
        pack(component(settings=value))
