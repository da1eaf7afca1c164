"""What goes over the wire: the bodies of requests and answers. `shortlist.serving.openapi` publishes these types."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from shortlist.explaining.explanation import Explanation
from shortlist.serving.store.contract import MAX_ID_LENGTH, MAX_NAME_LENGTH

MAX_K = 1_000
MAX_LIST = 10_000
MAX_EVENTS = 1_000
MAX_QUERIES = 100
MAX_RULES_TEXT = 65_536
INT64 = 2**63

Text = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Id = Annotated[int, Meta(ge=-INT64, le=INT64 - 1)] | Text
Ids = Annotated[list[Id], Meta(max_length=MAX_LIST)]
Moment = Annotated[int, Meta(ge=0, le=INT64 - 1)] | datetime
Dial = Annotated[float, Meta(ge=0, le=1)]
Caps = Annotated[
    dict[Annotated[str, Meta(max_length=MAX_NAME_LENGTH)], Annotated[int, Meta(ge=1, le=INT64 - 1)]],
    Meta(max_length=20),
]
Explain = bool | Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]
"""True, or the language to explain in."""
Stage = Literal["history", "retrieval", "ranking", "explanation"]
Step = Literal["exploration", "diversity", "caps", "rules"]
Attribute = str | int | float | bool | list[str] | None


class HistoryEvent(Struct, forbid_unknown_fields=True):
    """One event of a history given with a request; times for all of its events or for none."""

    item_id: Id
    timestamp: Moment | None = None
    rating: float | None = None
    weight: Annotated[float, Meta(ge=0)] | None = None
    event: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] | None = None


class Asked(Struct, forbid_unknown_fields=True, kw_only=True):
    """Who asks, when and with which history. A given history takes the place of the stored one as evidence."""

    user_id: Id | None = None
    history: Annotated[list[Id | HistoryEvent], Meta(max_length=MAX_LIST)] | None = None
    at: Moment | None = None


class Recommend(Asked, forbid_unknown_fields=True, kw_only=True):
    """See `Cascade.recommend` for what the fields mean.

    ``rules`` is a TOML text that takes the place of the server's rules for this request; empty = none.
    """

    k: Annotated[int, Meta(ge=1, le=MAX_K)] = 10
    filter_seen: bool | None = None
    include_items: Ids | None = None
    exclude_items: Ids | None = None
    where: Annotated[str, Meta(max_length=1_000)] | None = None
    diversity: Dial = 0.0
    caps: Caps | None = None
    explore: Dial = 0.0
    explain: Explain = False
    rules: Annotated[str, Meta(max_length=MAX_RULES_TEXT)] | None = None


class Batch(Struct, forbid_unknown_fields=True):
    """Several requests, each answered for itself."""

    queries: Annotated[list[Recommend], Meta(min_length=1, max_length=MAX_QUERIES)]


class Rank(Asked, forbid_unknown_fields=True, kw_only=True):
    """The caller's own candidates, to be put in order; seen ones stay."""

    items: Annotated[list[Id], Meta(min_length=1, max_length=MAX_K)]
    explain: Explain = False


class AnswerItem(Struct):
    """``score`` is what the order goes by; null where retrieval order goes on. ``sources`` proposed the item:
    ``fallback`` where none has evidence for it, empty where others were better and it came all the same, for a rule or
    to fill up.

    ``rules`` names those that touched the item. ``propensity`` is how probable it was at its place, given the items
    before it; null without exploration. ``explanation`` is null unless it was asked for.
    """

    item_id: Id
    rank: int
    score: float | None
    retrieval_rank: int
    retrieval_score: float | None
    sources: list[str]
    predicted_rating: float | None
    rules: list[str]
    propensity: float | None
    explanation: Explanation | None


class Answer(Struct, kw_only=True):
    """Recommendations, best first: exactly min(k, allowed) of them.

    ``stages`` were run; ``degraded`` names those that failed or were late, or a history that could not be read.
    ``allowed`` counts the items that could have been recommended, ``reason`` says why there are fewer than k.
    ``acted`` changed the answer after the score; empty = the items are in its order.
    """

    request_id: str
    model_version: str
    user_id: Id | None
    k: int
    returned: int
    allowed: int
    reason: str | None
    stages: list[Stage]
    degraded: list[Stage]
    acted: list[Step]
    known_user: bool
    history_items: int
    unknown_history_items: int
    notes: list[str]
    items: list[AnswerItem]


class RankAnswer(Answer, kw_only=True):
    """``unknown_items`` are not in the catalogue."""

    unknown_items: list[Id]


class BatchAnswer(Struct):
    """One answer per query, in their order."""

    answers: list[Answer]


class SimilarItem(Struct):
    item_id: Id
    rank: int
    score: float


class Similar(Struct):
    """What most follows from an item, or lies nearest to it."""

    model_version: str
    item_id: Id
    items: list[SimilarItem]


class CatalogueItem(Struct):
    item_id: Id
    attributes: dict[str, Any]


class Items(Struct):
    """The items found, in the order of the catalogue; ``total`` counts all that match."""

    model_version: str
    total: int
    items: list[CatalogueItem]


class Lookup(Struct, forbid_unknown_fields=True):
    """Items asked for by their ids."""

    item_ids: Annotated[list[Id], Meta(max_length=MAX_K)]


class ItemBody(Struct, forbid_unknown_fields=True):
    """All attributes of a new or changed item; those that the model does not have wait for the next one."""

    attributes: Annotated[dict[Annotated[str, Meta(max_length=MAX_NAME_LENGTH)], Attribute], Meta(max_length=200)]


class ItemStored(Struct):
    """``waiting`` attributes are stored, but the model has no such column."""

    item_id: Id
    version: int
    waiting: list[str]


class EventBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Somebody did something to an item. ``id`` is the client's: the event counts once under it, however often sent.

    ``timestamp`` in Unix seconds, left out = now. ``request_id`` names the answer that it came from.
    """

    id: str
    user_id: Id
    item_id: Id
    timestamp: Annotated[int, Meta(ge=-INT64, le=INT64 - 1)] | None = None
    event: str | None = None
    rating: float | None = None
    weight: float | None = None
    request_id: str | None = None


EventsBody = EventBody | Annotated[list[EventBody], Meta(min_length=1, max_length=MAX_EVENTS)]


class EventResult(Struct):
    """``stored`` and ``duplicate`` are on the disk; ``reason`` says what is wrong with the others."""

    id: str
    status: Literal["stored", "duplicate", "conflict", "rejected"]
    reason: str | None


class EventsAnswer(Struct):
    """What became of each event, in their order; status 200 if all are on the disk, else 207."""

    stored: int
    duplicate: int
    conflict: int
    rejected: int
    results: list[EventResult]


class PastEvent(Struct):
    """``known_to_model``: from the log that the model was trained on; the others came by POST /v1/events."""

    item_id: Id
    timestamp: int
    rating: float | None
    weight: float
    event: str | None
    known_to_model: bool


class UserHistory(Struct):
    """What counts as the user's history, oldest first: the latest events; ``total`` counts all."""

    user_id: Id
    known_user: bool
    total: int
    events: list[PastEvent]


class KnownUser(Struct):
    """A user of the model's log."""

    user_id: Id
    events: int
    attributes: dict[str, Any]


class KnownUsers(Struct):
    """Users of the model's log whose id begins with the text searched for; ``total`` counts all that match."""

    model_version: str
    total: int
    users: list[KnownUser]


class Deleted(Struct):
    """How many stored events and exposures were removed."""

    user_id: Id
    removed: int


class Ratings(Struct):
    """The lowest and the highest rating in the model's log."""

    low: float
    high: float


class ModelInfo(Struct):
    """The model that answers. ``record`` is how it came about: settings chosen, figures, notes.

    ``ratings`` is null where the log has none; ``positive_events`` are the names that count, empty = all do.
    """

    version: str
    digest: str
    target: str
    preset: str
    filter_seen: bool
    sources: list[str]
    ranker: str
    candidates: int
    items: int
    users: int
    events: int
    overlay_items: int
    loaded_at: str
    columns: dict[str, str]
    ratings: Ratings | None
    positive_events: list[str]
    record: dict[str, Any]


class Models(Struct):
    """The versions that are kept, the promoted one first. ``refused`` was promoted, but is not served.

    ``previous`` was promoted before: the one to roll back to.
    """

    serving: str
    promoted: str | None
    versions: list[str]
    refused: str | None
    previous: str | None


class Promoted(Struct):
    """``forced`` in spite of its ``faults``; ``judgement`` says how it compares with the version before."""

    version: str
    before: str
    forced: bool
    faults: list[str] = field(default_factory=list)
    judgement: str = ""


class VersionReport(Struct):
    """What an evaluation found about a version. ``judged`` says which model was judged: it itself, or one in its place.

    ``report`` is what `shortlist evaluate --json` prints; null = none was kept, see ``--for`` there.
    """

    version: str
    judged: str
    same_model: bool
    report: dict[str, Any] | None


class RuleInfo(Struct):
    """``state``: it holds now, is to come, is over, or was left out since the model cannot follow it.

    ``items`` is how many items of the catalogue it is about.
    """

    name: str
    kind: Literal["pin", "boost", "bury", "exclude", "cap"]
    line: int
    state: Literal["holds", "to come", "over", "left out"]
    items: int


class RuleFinding(Struct):
    """``line`` of the text; ``rule`` is null where it is not about one. A rule with an error is left out."""

    line: int
    level: Literal["error", "warning"]
    rule: str | None
    message: str


class RulesInfo(Struct):
    """The rules that answers follow, if the server was given a file of them: its text when it was last good.

    ``version`` stands for the text. ``refused`` says what is wrong with the file as it is now; null = it is followed.
    """

    following: bool
    text: str
    version: str
    read_at: str
    rules: list[RuleInfo]
    findings: list[RuleFinding]
    refused: str | None


class Health(Struct):
    """``checks`` that failed are named with their reason."""

    status: Literal["ok", "not ready"]
    checks: dict[str, str] = field(default_factory=dict)


class Problem(Struct, omit_defaults=True, kw_only=True):
    """An error, as RFC 9457 has it; ``type`` is stable, ``detail`` is for people."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str = ""
