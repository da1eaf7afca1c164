"""Events, items and exposures as rows of the tables, and what must hold for each."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from shortlist.errors import StoreError
from shortlist.serving.store.contract import (
    MAX_AHEAD_S,
    MAX_ID_LENGTH,
    MAX_ITEM_BYTES,
    MAX_NAME_LENGTH,
    MAX_NUMBER,
    MAX_SHOWN,
    Event,
    Exposure,
    Id,
    IdKind,
    ItemOverlay,
    StoredEvent,
)

LEAST_INTEGER, GREATEST_INTEGER = -(2**63), 2**63 - 1
PLURALS = {"integer": "integers", "string": "text"}


def kind_of(id: Id) -> IdKind:
    return "string" if isinstance(id, str) else "integer"


def read_id(text: str, kind: IdKind | None) -> Id:
    return int(text) if kind == "integer" else text


def event_fault(event: Event, now: int) -> str | None:
    """Why an event can never be stored, in one sentence; ``None`` = it can, if its ids are of the store's kinds."""
    return (
        text_fault("id", event.id)
        or id_fault("user_id", event.user_id)
        or id_fault("item_id", event.item_id)
        or (event.timestamp is not None and _time_fault(event.timestamp, now))
        or (event.event is not None and text_fault("event", event.event, MAX_NAME_LENGTH))
        or (event.rating is not None and _number_fault("rating", event.rating, -MAX_NUMBER, MAX_NUMBER))
        or (event.weight is not None and _number_fault("weight", event.weight, 0, MAX_NUMBER))
        or (event.request_id is not None and text_fault("request_id", event.request_id))
        or None
    )


def text_fault(name: str, value: Any, longest: int = MAX_ID_LENGTH) -> str | None:
    """Why a value is no text of 1 to ``longest`` characters that every database takes."""
    if not isinstance(value, str):
        return f"{name}: expected text, got {_shown(value)}"
    if not 0 < len(value) <= longest:
        return f"{name}: expected 1 to {longest} characters, got {len(value)}"
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        return f"{name}: expected Unicode text, got {_shown(value)}, half of a surrogate pair"
    return f"{name}: expected text without the character NUL, got {_shown(value)}" if "\0" in value else None


def id_fault(name: str, value: Any) -> str | None:
    if type(value) is int:
        inside = LEAST_INTEGER <= value <= GREATEST_INTEGER
        return None if inside else f"{name}: expected an integer of 64 bits, got {_shown(value)}"
    return text_fault(name, value) if isinstance(value, str) else f"{name}: expected an id, got {_shown(value)}"


def kind_fault(name: str, id: Id, kind: IdKind | None) -> str | None:
    if kind is None or kind_of(id) == kind:
        return None
    return f"{name}: the ids of this store are {PLURALS[kind]}, got {_shown(id)}"


def _time_fault(timestamp: Any, now: int) -> str | None:
    if type(timestamp) is not int or timestamp < 0:
        return f"timestamp: expected Unix seconds, a whole number from 0 on, got {_shown(timestamp)}"
    if timestamp > now + MAX_AHEAD_S:
        return f"timestamp: {timestamp} lies more than a day in the future; expected Unix seconds (milliseconds?)"
    return None


def _number_fault(name: str, value: Any, least: float, most: float) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and least <= value <= most:
        return None
    return f"{name}: expected a number from {least:g} to {most:g}, got {_shown(value)}"


def _shown(value: Any) -> str:
    """A value in a message; long ones are cut, and an integer of thousands of digits is not even printed."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def event_row(event: Event, now: int) -> dict[str, Any]:
    """All columns but ``seq``."""
    return {
        "id": event.id,
        "user_id": str(event.user_id),
        "item_id": str(event.item_id),
        "timestamp": now if event.timestamp is None else event.timestamp,
        "event": event.event,
        "rating": None if event.rating is None else float(event.rating),
        "weight": None if event.weight is None else float(event.weight),
        "request_id": event.request_id,
    }


def stored_event(row: Sequence[Any], user_kind: IdKind | None, item_kind: IdKind | None) -> StoredEvent:
    """From all columns of a row, in the table's order."""
    seq, id, user_id, item_id, timestamp, event, rating, weight, request_id = row
    return StoredEvent(
        seq=seq,
        id=id,
        user_id=read_id(user_id, user_kind),
        item_id=read_id(item_id, item_kind),
        timestamp=timestamp,
        event=event,
        rating=rating,
        weight=weight,
        request_id=request_id,
    )


def item_json(attributes: Any) -> str:
    """An item's attributes as JSON.

    Raises:
        StoreError: they are too long, or a value is of none of the kinds allowed.
    """
    if not isinstance(attributes, dict):
        raise StoreError(f"attributes: expected a mapping from name to value, got {_shown(attributes)}")
    for name, value in attributes.items():
        fault = text_fault("name of an attribute", name) or _attribute_fault(name, value)
        if fault:
            raise StoreError(fault)
    text = msgspec.json.encode(attributes)
    if len(text) > MAX_ITEM_BYTES:
        raise StoreError(f"attributes: expected at most {MAX_ITEM_BYTES:,} bytes as JSON, got {len(text):,}")
    return text.decode()


def _attribute_fault(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return id_fault(name, value)
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{name}: expected a finite number, got {value}"
    texts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(text, str) for text in texts):
        return f"{name}: expected text, a number, a truth value, a list of texts or null, got {_shown(value)}"
    return next((fault for text in texts if text and (fault := text_fault(name, text, MAX_ITEM_BYTES))), None)


def item_overlay(row: Sequence[Any], kind: IdKind | None) -> ItemOverlay:
    item_id, attributes, updated_at, version = row
    return ItemOverlay(
        item_id=read_id(item_id, kind),
        attributes=msgspec.json.decode(attributes),
        updated_at=updated_at,
        version=version,
    )


def exposure_fault(exposure: Exposure) -> str | None:
    """Why an exposure can never be stored, if its ids are of the store's kinds."""
    if len(exposure.item_ids) > MAX_SHOWN:
        return f"item_ids: expected at most {MAX_SHOWN:,}, got {len(exposure.item_ids):,}"
    return (
        text_fault("request_id", exposure.request_id)
        or (exposure.user_id is not None and id_fault("user_id", exposure.user_id))
        or next((fault for item in exposure.item_ids if (fault := id_fault("item_ids", item))), None)
        or (None if type(exposure.timestamp) is int and exposure.timestamp >= 0 else "timestamp: expected Unix seconds")
        or (exposure.model_version is not None and text_fault("model_version", exposure.model_version))
        or _propensities_fault(exposure)
        or None
    )


def _propensities_fault(exposure: Exposure) -> str | None:
    given = exposure.propensities
    if given is None or (len(given) == len(exposure.item_ids) and all(0 < one <= 1 for one in given)):
        return None
    return "propensities: expected one number above 0 and at most 1 for each item"


def stored_exposure(row: Any, user_kind: IdKind | None) -> Exposure:
    """From a row."""
    return Exposure(
        request_id=row.request_id,
        item_ids=tuple(msgspec.json.decode(row.item_ids)),
        timestamp=row.timestamp,
        user_id=None if row.user_id is None else read_id(row.user_id, user_kind),
        model_version=row.model_version,
        propensities=None if row.propensities is None else tuple(msgspec.json.decode(row.propensities)),
    )


def exposure_row(exposure: Exposure) -> dict[str, Any]:
    return {
        "request_id": exposure.request_id,
        "user_id": None if exposure.user_id is None else str(exposure.user_id),
        "item_ids": msgspec.json.encode(exposure.item_ids).decode(),
        "timestamp": exposure.timestamp,
        "model_version": exposure.model_version,
        "propensities": None if exposure.propensities is None else msgspec.json.encode(exposure.propensities).decode(),
    }
