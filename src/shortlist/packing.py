"""A finished component as JSON values and arrays, and back: what `shortlist.artifact` stores.

A component is a frozen dataclass. Its fields are arrays, tuples of arrays, texts, numbers (``inf`` and ``nan`` too),
booleans, ``None``, tuples of these, nested dicts of JSON values, or components. Which class to unpack into is the
caller's knowledge; nothing stored names code.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np

from shortlist.errors import ArtifactError

Array = np.ndarray[Any, np.dtype[Any]]
T = TypeVar("T")

_NOT_FINITE = ("inf", "-inf", "nan")


def pack(component: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """A dataclass as JSON values and arrays, by field; those of a component inside it are ``field/inner_field``.

    A tuple of arrays is its length and the arrays ``field/0``, ``field/1`` and so on. Fields that are not arguments
    (``init=False``) are left out.

    Raises:
        ArtifactError: a field holds what cannot be stored.
    """
    meta: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    for field in _fields(type(component)):
        value = getattr(component, field.name)
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        elif isinstance(value, tuple) and value and all(isinstance(inner, np.ndarray) for inner in value):
            meta[field.name] = len(value)
            arrays |= {f"{field.name}/{place}": inner for place, inner in enumerate(value)}
        elif dataclasses.is_dataclass(value):
            meta[field.name], inner = pack(value)
            arrays |= {f"{field.name}/{name}": array for name, array in inner.items()}
        elif isinstance(value, float) and not math.isfinite(value):
            meta[field.name] = str(value)
        else:
            check_json(value, f"{type(component).__name__}.{field.name}")
            meta[field.name] = json.loads(canonical_json(value))
    return meta, arrays


def unpack(cls: type[T], meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> T:
    """The dataclass that `pack` took apart. A field whose default is ``None`` may be missing: it came later.

    Raises:
        ArtifactError: a field is missing, unknown, or not of the type that the class declares (for arrays the kind
            counts: integer, float, text …).

    >>> @dataclasses.dataclass(frozen=True)
    ... class Scale:
    ...     names: tuple[str, ...]
    ...     values: np.ndarray
    >>> unpack(Scale, *pack(Scale(("a", "b"), np.array([1, 2]))))
    Scale(names=('a', 'b'), values=array([1, 2]))
    """
    fields = {field.name for field in _fields(cls)}
    needed = {field.name for field in _fields(cls) if field.default is not None}
    own = {name: array for name, array in arrays.items() if "/" not in name}
    inside = {name.partition("/")[0] for name in arrays if "/" in name}
    if not needed <= {*meta, *own} <= fields or own.keys() & meta.keys() or not inside <= meta.keys():
        raise ArtifactError(f"{cls.__name__} has the fields {sorted(fields)}, the saved one {sorted([*meta, *arrays])}")
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {name: _array(cls, name, hints[name], array) for name, array in own.items()}
    for name, value in meta.items():
        inner = {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
        values[name] = _value(cls, name, hints[name], value, inner)
    return cls(**values)


def _fields(cls: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.init]


def _value(cls: type, name: str, hint: Any, value: Any, inner: Mapping[str, Array]) -> Any:
    if value is None and type(None) in typing.get_args(hint):
        return None
    component = next((option for option in _options(hint) if dataclasses.is_dataclass(option)), None)
    if component is not None and isinstance(value, dict):
        return unpack(typing.cast("type[Any]", component), value, inner)
    if (of_each := _of_each_array(hint)) is not None and value == len(inner) > 0:
        places = [str(place) for place in range(len(inner))]
        if places != sorted(inner, key=lambda place: (len(place), place)):
            raise ArtifactError(f"{cls.__name__}.{name} should be the arrays 0 to {value - 1}, got {sorted(inner)}")
        return tuple(_array(cls, f"{name}/{place}", of_each, inner[place]) for place in places)
    if inner:
        raise ArtifactError(f"{cls.__name__}.{name} does not fit its type: it is no component, arrays came with it")
    if float in _options(hint) and value in _NOT_FINITE:
        return float(value)
    try:
        return msgspec.convert(value, hint)
    except (msgspec.ValidationError, TypeError) as error:
        raise ArtifactError(f"{cls.__name__}.{name} does not fit its type: {error}") from error


def _of_each_array(hint: Any) -> Any:
    """The declared kind of array in a tuple of any number of arrays; ``None`` = the field is no such tuple."""
    arguments = typing.get_args(hint)
    is_tuple = typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
    return arguments[0] if is_tuple and typing.get_origin(arguments[0]) is np.ndarray else None


def _array(cls: type, name: str, hint: Any, array: Array) -> Array:
    """The array, if the field is declared as one of its kind."""
    for option in _options(hint):
        if option is np.ndarray:
            return array
        if typing.get_origin(option) is np.ndarray:
            (scalar,) = typing.get_args(typing.get_args(option)[1]) or (Any,)
            if not isinstance(scalar, type) or np.issubdtype(array.dtype, scalar):
                return array
            if not scalar.__subclasses__() and np.dtype(scalar).kind == array.dtype.kind:
                return array
    raise ArtifactError(f"{cls.__name__}.{name} does not fit its type: an array of {array.dtype} is saved, not {hint}")


def _options(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def canonical_json(value: Any) -> bytes:
    """One text for one value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def check_json(value: Any, where: str) -> None:
    """Refuse what would not come back from JSON as it went in (tuples, which come back as lists, are let through).

    Args:
        value: anything.
        where: its name in the message.

    Raises:
        ArtifactError: a key that is not a text, ``nan`` or ``inf``, any other type.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ArtifactError(f"{where} has the key {key!r}; keys must be texts")
            check_json(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            check_json(inner, f"{where}[{position}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ArtifactError(f"{where} is {value}, which JSON cannot hold; use None where there is no value")
    elif value is not None and not isinstance(value, str | int | float):
        raise ArtifactError(f"{where} is of type {type(value).__name__}, which JSON cannot hold")
