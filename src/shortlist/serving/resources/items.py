"""Items: what they are, what is like them, and those that are new or have changed."""

import asyncio
from datetime import date
from typing import Annotated, Any

import polars as pl
from msgspec import Meta, Struct

from shortlist.serving.calls import Call
from shortlist.serving.live import Bundle
from shortlist.serving.overlay import fitted
from shortlist.serving.problems import ProblemError
from shortlist.serving.routes import Route
from shortlist.serving.schemas import MAX_K, CatalogueItem, ItemBody, Items, ItemStored, Lookup, Similar, SimilarItem
from shortlist.serving.service import Service, item_id_of


class SearchQuery(Struct, forbid_unknown_fields=True):
    search: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class SimilarQuery(Struct, forbid_unknown_fields=True):
    k: Annotated[int, Meta(ge=1, le=MAX_K)] = 10


async def items(service: Service, call: Call, query: SearchQuery) -> Items:
    """Items whose title (or, without titles, any text) holds all the words searched for, in any order, and the item
    of that id; in the order of the catalogue.
    """
    bundle = service.bundle
    call.version = bundle.version
    return await asyncio.to_thread(_search, bundle, query)


def _search(bundle: Bundle, query: SearchQuery) -> Items:
    found = bundle.model.items
    words = set(query.search.lower().split())
    if words:
        holds = pl.all_horizontal(bundle.texts.str.contains(word, literal=True) for word in words)
        found = found.filter(holds | (pl.col("item_id").cast(pl.String) == query.search.strip()))
    return Items(bundle.version, len(found), _shown(found.head(query.limit)))


async def items_by_id(service: Service, call: Call, body: Lookup) -> Items:
    """Items by their ids, in the order asked for; those that the catalogue does not have are left out."""
    bundle = service.bundle
    call.version = bundle.version
    rows = bundle.model.item_vocabulary.rows(body.item_ids)
    found = _shown(bundle.model.items[rows[rows >= 0]])
    return Items(bundle.version, len(found), found)


async def item(service: Service, call: Call, item_id: str) -> CatalogueItem:
    """One item with its attributes."""
    bundle = service.bundle
    call.version = bundle.version
    return _shown(bundle.model.items[_row(bundle, item_id) : _row(bundle, item_id) + 1])[0]


async def similar(service: Service, call: Call, item_id: str, query: SimilarQuery) -> Similar:
    """The items that most follow from one, by the model's item-item source, or by its item vectors."""
    bundle = service.bundle
    call.version = bundle.version
    _row(bundle, item_id)
    wanted = item_id_of(bundle, item_id)
    table = await asyncio.to_thread(bundle.model.similar_items, wanted, query.k)
    columns = table["similar_item_id"].to_list(), table["rank"].to_list(), table["score"].to_list()
    return Similar(bundle.version, wanted, [SimilarItem(*row) for row in zip(*columns, strict=True)])


async def put_item(service: Service, call: Call, item_id: str, body: ItemBody) -> ItemStored:
    """Store a new or changed item. It takes part in every answer after this one."""
    store, bundle = service.need_store(), service.bundle
    wanted = item_id_of(bundle, item_id)
    waiting = fitted(body.attributes, bundle.model)
    stored = await asyncio.to_thread(store.put_item, wanted, body.attributes)
    await service.change(service.live.refresh_items)
    call.version = service.bundle.version
    return ItemStored(wanted, stored.version, waiting)


def _row(bundle: Bundle, item_id: str) -> int:
    row = int(bundle.model.item_vocabulary.rows([item_id_of(bundle, item_id)])[0])
    if row < 0:
        raise ProblemError("not-found", "The catalogue has no such item.")
    return row


def _shown(found: pl.DataFrame) -> list[CatalogueItem]:
    rows = found.to_dicts()
    return [CatalogueItem(row.pop("item_id"), {name: plain(value) for name, value in row.items()}) for row in rows]


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


ROUTES = (
    Route("GET", "/v1/items", items, "Search the catalogue", Items, query=SearchQuery),
    Route(
        "POST",
        "/v1/items/lookup",
        items_by_id,
        "Items by their ids",
        Items,
        body=Lookup,
        example={"item_ids": [50, 181]},
    ),
    Route("GET", "/v1/items/{item_id}", item, "One item with its attributes", CatalogueItem),
    Route("GET", "/v1/items/{item_id}/similar", similar, "Items like this one", Similar, query=SimilarQuery),
    Route(
        "PUT",
        "/v1/items/{item_id}",
        put_item,
        "Store a new or changed item",
        ItemStored,
        scope="ingest",
        body=ItemBody,
        example={"attributes": {"title": "Brand New", "year": 1998, "genres": ["Drama"]}},
    ),
)
