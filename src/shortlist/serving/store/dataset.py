"""A data set from a store, alone or joined to the log that was there before."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from shortlist.data.columns import STANDARD
from shortlist.data.dataset import Dataset
from shortlist.errors import DataError
from shortlist.serving.store.contract import ItemOverlay, Store
from shortlist.serving.store.frames import events_frame

EVENT = ["user_id", "item_id", "timestamp", "event"]


def joined(base: Dataset, store: Store) -> Dataset:
    """A log, then the events of a store that are not in it, with the items as the store has them.

    An event of the store is in the log if the log has a column ``event_id`` (as `events_frame` does) with its id, or a
    row with the same user, item, time and kind; of several such events in the store itself the last one stays. Rows of
    the log about users whose data were deleted are left out, as far as they are older than the deletion.

    Raises:
        DataError: the ids are of different kinds, or the log's times are not Unix seconds, so that nothing would say
            what came first.
    """
    events = events_frame(store)
    if len(events):
        _require_same_kinds(base, events)
    else:  # a store without events does not know of which kind its ids are
        events = events.cast({name: base.interactions.schema[name] for name in ("user_id", "item_id")})
    log = _without_deleted(base, store)
    new = _not_in(log, events).select(STANDARD)
    log = log.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in new.schema.items() if name not in log.columns
    ).with_columns(pl.col("weight").cast(pl.Float64).fill_null(1.0))
    both = without_empty(pl.concat([log, new], how="diagonal"))
    if not len(both):
        raise DataError("the log and the store together hold no event: all users of the log were deleted")
    notes = (*base.notes, *_notes(len(base), len(log), len(events), len(new)))
    whole = Dataset.assemble(both, base.given_items, _users_left(base, both), notes=notes, name=base.name)
    return with_items(replace(whole, validation=base.validation), store.items_since())


def without_empty(log: pl.DataFrame) -> pl.DataFrame:
    """Without the ratings, or kinds of events, that no event has."""
    return log.drop(name for name in ("rating", "event") if log[name].null_count() == len(log))


def _require_same_kinds(base: Dataset, events: pl.DataFrame) -> None:
    for name in ("user_id", "item_id"):
        ours, theirs = base.interactions[name], events[name]
        if ours.dtype != theirs.dtype:
            raise DataError(
                f"column {name!r}: the log has {ours.dtype} ({ours[0]!r}), the store {theirs.dtype} ({theirs[0]!r}): "
                "ids of different kinds are different users and items"
            )
    if base.time_kind != "seconds":
        what = {"none": "no usable times", "order": "times that are only an order"}[base.time_kind]
        raise DataError(
            f"the store's events have Unix seconds, the log {base.name!r} has {what}: nothing says what came first; "
            "train on the store alone, or give the log times"
        )


def _without_deleted(base: Dataset, store: Store) -> pl.DataFrame:
    times = store.deletion_times(base.interactions["user_id"].unique().to_list())
    if not times:
        return base.interactions
    kind = base.interactions["user_id"].dtype
    deleted = pl.DataFrame(
        {"user_id": list(times), "deleted_at": list(times.values())}, schema_overrides={"user_id": kind}
    )
    log = base.interactions.join(deleted, on="user_id", how="left", maintain_order="left")
    older = pl.col("timestamp") <= pl.col("deleted_at") if base.time_kind == "seconds" else pl.lit(True)
    return log.filter(pl.col("deleted_at").is_null() | ~older).drop("deleted_at")


def _not_in(log: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    if not len(events):
        return events
    if "event_id" in log.columns and log["event_id"].dtype == pl.String:
        events = events.join(log.select("event_id"), on="event_id", how="anti", maintain_order="left")
    key = [name for name in EVENT if name in log.columns]
    new = events.join(log.select(key), on=key, how="anti", nulls_equal=True, maintain_order="left")
    return new.unique(EVENT, keep="last", maintain_order=True)


def _notes(n_base: int, n_log: int, n_events: int, n_new: int) -> list[str]:
    others = "; the others are there already" if n_new < n_events else ""
    notes = [f"{n_new:,} of the store's {n_events:,} events were added to the log{others}"]
    if n_log < n_base:
        notes.append(f"{n_base - n_log:,} rows of the log were left out: the data of their users were deleted")
    return notes


def _users_left(base: Dataset, both: pl.DataFrame) -> pl.DataFrame | None:
    """The user table without those whose data were deleted, if they have not come back."""
    if base.given_users is None:
        return None
    gone = base.interactions.select("user_id").unique().join(both, on="user_id", how="anti")
    return base.given_users.join(gone, on="user_id", how="anti", maintain_order="left")


def with_items(dataset: Dataset, overlays: Sequence[ItemOverlay]) -> Dataset:
    """A data set whose item table has the items of a store in place of, or after, its own.

    Raises:
        DataError: an attribute is of another kind than the item table's column.
    """
    if not overlays:
        return dataset
    given = dataset.given_items
    key = dataset.interactions.schema["item_id"]
    have = pl.Schema({"item_id": key}) if given is None else given.schema
    names = dict.fromkeys([*have, *(name for overlay in overlays for name in overlay.attributes)])
    rows = {"item_id": [overlay.item_id for overlay in overlays]}
    try:
        made = [pl.Series("item_id", rows["item_id"], dtype=key)]
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"the store's item {rows['item_id'][0]!r} is of another kind than the log's ids, {key}"
        ) from error
    for name in names:
        if name != "item_id":
            values = [overlay.attributes.get(name) for overlay in overlays]
            made.append(_column(name, values, have.get(name), rows["item_id"]))
    changed = pl.DataFrame(made)
    kept = changed.clear() if given is None else given.join(changed, on="item_id", how="anti", maintain_order="left")
    items = pl.concat([kept, changed], how="diagonal")
    whole = Dataset.assemble(dataset.interactions, items, dataset.given_users, notes=dataset.notes, name=dataset.name)
    return replace(whole, validation=dataset.validation, whole_time_kind=dataset.whole_time_kind)


def _column(name: str, values: list[Any], kind: pl.DataType | None, item_ids: list[Any]) -> pl.Series:
    """An attribute in the type of the item table, or in the narrowest one that takes all values."""
    kind = kind or _narrowest([value for value in values if value is not None])
    made = [pl.Series(name, [], dtype=kind)]
    for item_id, value in zip(item_ids, values, strict=True):
        try:
            if isinstance(value, float) and kind.is_integer() and not value.is_integer():
                raise TypeError("a fraction")
            made.append(pl.Series(name, [_fitted(value, kind)]).cast(kind))
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"the store's item {item_id!r}, attribute {name!r}: got {value!r}, expected {kind} as in the item table"
            ) from error
    return pl.concat(made)


def _fitted(value: Any, kind: pl.DataType) -> Any:
    """A single text becomes a list where the column holds lists, and anything becomes text where it holds texts."""
    if value is None:
        return None
    if isinstance(kind, pl.List):
        return value if isinstance(value, list) else [str(value)]
    if kind == pl.String:
        return "|".join(value) if isinstance(value, list) else str(value)
    return value


def _narrowest(values: list[Any]) -> pl.DataType:
    types = {type(value) for value in values}
    if list in types:
        return pl.List(pl.String())
    if types == {bool}:
        return pl.Boolean()
    if types == {int}:
        return pl.Int64()
    return pl.Float64() if types and types <= {int, float} else pl.String()
