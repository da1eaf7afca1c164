"""The keys of a rule: which there are, and what may stand in them."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from shortlist.data.where import MAX_LENGTH as MAX_CONDITION
from shortlist.rules.rule import MAX_IDS, MAX_NAME, MAX_PLACE, NEVER, Condition, Kind


class WrongValueError(Exception):
    """A value is not what it should be."""


class Key(NamedTuple):
    """How a key of a rule is read.

    Attributes:
        field: of `Rule`.
        read: the value, or raises `WrongValueError`.
    """

    field: str
    read: Callable[[Any], Any]


def _shown(value: Any) -> str:
    """A value as a message shows it."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    shown = repr(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        raise WrongValueError(f"expected a text of 1 to {MAX_NAME} printable characters, got {_shown(value)}")
    return value


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise WrongValueError(f"expected a whole number from {low:,} to {high:,}, got {_shown(value)}")
        return value

    return read


def _places(value: Any) -> int:
    places = _whole(-MAX_PLACE, MAX_PLACE)(value)
    if places == 0:
        raise WrongValueError("expected how many places up (a negative number goes down), got 0")
    return places


def _condition(value: Any) -> Condition:
    if isinstance(value, str) and value.strip():
        if len(value) > MAX_CONDITION:
            raise WrongValueError(f"{len(value):,} characters; at most {MAX_CONDITION:,} are allowed")
        return value
    if not isinstance(value, list) or not value:
        raise WrongValueError(
            f'expected a condition such as "year >= 1995" or a list of ids, got {_shown(value) or "[]"}'
        )
    kinds = {type(one) for one in value}
    if not (kinds == {int} or kinds == {str}):
        raise WrongValueError("expected ids that are all whole numbers or all texts")
    if len(value) > MAX_IDS:
        raise WrongValueError(f"{len(value):,} ids; at most {MAX_IDS:,} are allowed")
    return tuple(dict.fromkeys(value))


def _attribute(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise WrongValueError(f"expected the name of an attribute, got {_shown(value)}")
    return value


def _moment(value: Any, *, end_of_day: bool) -> int:
    """Unix seconds, rounded up; a date is its midnight, or that of the day after."""
    if not isinstance(value, date):
        raise WrongValueError(
            f"expected a date such as 2026-12-24 or a date and time, without quotes, got {_shown(value)}"
        )
    try:
        if isinstance(value, datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        else:
            moment = datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=end_of_day)
    except OverflowError:
        return NEVER
    return math.ceil((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


COMMON = {
    "name": Key("name", _name),
    "users": Key("users", _condition),
    "from": Key("starts", lambda value: _moment(value, end_of_day=False)),
    "until": Key("ends", lambda value: _moment(value, end_of_day=True)),
}
ITEMS = {"items": Key("items", _condition)}
KINDS: dict[Kind, dict[str, Key]] = {
    "pin": COMMON | ITEMS | {"position": Key("position", _whole(1, MAX_PLACE))},
    "boost": COMMON | ITEMS | {"places": Key("places", _places)},
    "bury": COMMON | ITEMS,
    "exclude": COMMON | ITEMS,
    "cap": COMMON | ITEMS | {"most": Key("most", _whole(1, MAX_PLACE)), "by": Key("by", _attribute)},
}
OPTIONAL = {"users", "from", "until", "by"}
