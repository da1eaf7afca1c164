"""``shortlist train --from STORE``: what a server collected, alone or joined to a log."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shortlist.cli.console import column_names, read_data, validated
from shortlist.errors import DataError

if TYPE_CHECKING:
    from shortlist.data.dataset import Dataset


def read_collected(
    address: str,
    data: str | None,
    items: Path | None,
    users: Path | None,
    columns: list[str] | None,
    set_aside: Path,
) -> "tuple[Dataset, dict[str, Any]]":
    """A data set from a store and, where one is named, the log that was there before.

    Returns:
        The data set, and for the model's record how far it knows the store.

    Raises:
        StoreError: there is no store at the address.
        DataError: it holds no events, or they do not go with the log.
    """
    from shortlist.serving.store.dataset import joined, with_items, without_empty
    from shortlist.serving.store.frames import events_frame
    from shortlist.serving.store.opening import open_store

    store = open_store(address, read_only=True)
    try:
        overlays = store.items_since()
        known = {
            "store_id": store.store_id,
            "last_seq": store.counts().last_seq,
            "item_version": overlays[-1].version if overlays else 0,
        }
        if data is not None:
            dataset = joined(read_data(data, items, users, columns, None, set_aside), store)
        else:
            events = events_frame(store).drop("event_id", "request_id")
            if not len(events):
                raise DataError(f"{address} holds no events yet: there is nothing to train on but DATA")
            dataset = validated(without_empty(events), items, users, column_names(columns), set_aside, "store")
            dataset = with_items(dataset, overlays)
    finally:
        store.close()
    return dataset, {"store": known}
