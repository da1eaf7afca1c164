"""The tables of the newest schema, for queries; `migrations` makes them."""

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, Table, Text

METADATA = MetaData()
_ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

VERSIONS = Table(
    "shortlist_schema",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("applied_at", BigInteger, nullable=False),
)
SETTINGS = Table(
    "shortlist_settings", METADATA, Column("name", Text, primary_key=True), Column("value", Text, nullable=False)
)
"""``store_id``, and once known ``user_id_kind`` and ``item_id_kind``."""
COUNTERS = Table(
    "shortlist_counters", METADATA, Column("name", Text, primary_key=True), Column("value", BigInteger, nullable=False)
)
"""``seq`` of events and deletions, ``item_version``: the last number given."""
EVENTS = Table(
    "shortlist_events",
    METADATA,
    Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("user_id", Text, nullable=False, index=True),
    Column("item_id", Text, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("event", Text),
    Column("rating", Double),
    Column("weight", Double),
    Column("request_id", Text),
)
DELETIONS = Table(
    "shortlist_deletions",
    METADATA,
    Column("user_hash", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("deleted_at", BigInteger, nullable=False),
)
ITEMS = Table(
    "shortlist_items",
    METADATA,
    Column("item_id", Text, primary_key=True),
    Column("attributes", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False, unique=True),
)
EXPOSURES = Table(
    "shortlist_exposures",
    METADATA,
    Column("request_id", Text, primary_key=True),
    Column("user_id", Text, index=True),
    Column("item_ids", Text, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("model_version", Text),
    Column("propensities", Text),
)
