"""What a store holds as tables: for training, and as a Parquet file."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from shortlist.durable import sync_directory
from shortlist.errors import StoreError
from shortlist.serving.store.contract import IdKind, Store

EVENTS_AT_ONCE = 20_000
EXPOSURES_AT_ONCE = 1_000
ROWS_PER_GROUP = 100_000
_TYPES = {"integer": pl.Int64(), "string": pl.String(), None: pl.String()}


def schema(store: Store) -> pl.Schema:
    """The columns of `events_frame`: those of a data set, then the event's and the request's id."""
    users, items = store.id_kinds()
    return pl.Schema(
        {
            "user_id": _id_type(users),
            "item_id": _id_type(items),
            "timestamp": pl.Int64(),
            "rating": pl.Float64(),
            "weight": pl.Float64(),
            "event": pl.String(),
            "event_id": pl.String(),
            "request_id": pl.String(),
        }
    )


def _id_type(kind: IdKind | None) -> pl.DataType:
    return _TYPES[kind]


def events_frame(store: Store) -> pl.DataFrame:
    """All events in order of arrival; ``weight`` is 1 where none was given."""
    return pl.concat([schema(store).to_frame(), *_chunks(store, store.counts().last_seq)])


def _chunks(store: Store, last_seq: int) -> Iterator[pl.DataFrame]:
    """The events up to a place, some at a time."""
    columns = schema(store)
    seq = 0
    while events := [event for event in store.read_events(seq, EVENTS_AT_ONCE) if event.seq <= last_seq]:
        seq = events[-1].seq
        yield pl.DataFrame(
            {
                "user_id": [event.user_id for event in events],
                "item_id": [event.item_id for event in events],
                "timestamp": [event.timestamp for event in events],
                "rating": [event.rating for event in events],
                "weight": [1.0 if event.weight is None else event.weight for event in events],
                "event": [event.event for event in events],
                "event_id": [event.id for event in events],
                "request_id": [event.request_id for event in events],
            },
            schema=columns,
        )


def exposures_schema(store: Store) -> pl.Schema:
    """The columns of exported exposures: one row for each item shown, ``rank`` from 1."""
    users, items = store.id_kinds()
    return pl.Schema(
        {
            "request_id": pl.String(),
            "user_id": _id_type(users),
            "item_id": _id_type(items),
            "rank": pl.Int64(),
            "propensity": pl.Float64(),
            "timestamp": pl.Int64(),
            "model_version": pl.String(),
        }
    )


def _exposure_chunks(store: Store) -> Iterator[pl.DataFrame]:
    columns, last = exposures_schema(store), ""
    while shown := store.read_exposures(last, EXPOSURES_AT_ONCE):
        last = shown[-1].request_id
        rows = [
            (one.request_id, one.user_id, item_id, rank, propensity, one.timestamp, one.model_version)
            for one in shown
            for rank, (item_id, propensity) in enumerate(
                zip(one.item_ids, one.propensities or [None] * len(one.item_ids), strict=True), start=1
            )
        ]
        yield pl.DataFrame(rows, schema=columns, orient="row")


def export_events(store: Store, path: Path) -> int:
    """Write all events into a Parquet file that appears only when it is whole, and return how many there are.

    Memory does not grow with their number, and the same events give the same bytes. Events that arrive meanwhile are
    left out.

    Raises:
        StoreError: the file cannot be written.
    """
    return _write(_chunks(store, store.counts().last_seq), schema(store), path)


def export_exposures(store: Store, path: Path) -> int:
    """Write what was shown into such a file, a row per item, and return how many rows there are.

    Raises:
        StoreError: the file cannot be written.
    """
    return _write(_exposure_chunks(store), exposures_schema(store), path)


def _write(chunks: Iterator[pl.DataFrame], columns: pl.Schema, path: Path) -> int:
    n_rows = 0

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_wanted: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        nonlocal n_rows
        for chunk in chunks:
            n_rows += len(chunk)
            yield chunk

    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            partial = Path(folder) / path.name
            register_io_source(source, schema=columns).sink_parquet(partial, row_group_size=ROWS_PER_GROUP)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        sync_directory(path.parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(f"{path} cannot be written: {error}") from error
    return n_rows
