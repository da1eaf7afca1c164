"""Ranking alone: the caller's own candidates, put in order."""

from shortlist.serving.answering import answer_fields
from shortlist.serving.calls import Call
from shortlist.serving.routes import Route
from shortlist.serving.schemas import Rank, RankAnswer
from shortlist.serving.service import Service


async def rank(service: Service, call: Call, body: Rank) -> RankAnswer:
    """Score and order the items given; an item's score does not depend on which others are given."""
    bundle = service.bundle
    job = await service.ask(call, body, bundle)
    rows = bundle.model.item_vocabulary.rows(body.items)
    unknown = [item for item, row in zip(body.items, rows.tolist(), strict=True) if row < 0]
    answer = RankAnswer(**answer_fields(call, job, body.user_id), unknown_items=unknown)
    answer.k = len(body.items)
    service.shown(call.id, body.user_id, answer.items, bundle.version)
    return answer


ROUTES = (
    Route(
        "POST",
        "/v1/rank",
        rank,
        "Put the caller's own candidates in order",
        RankAnswer,
        body=Rank,
        example={"user_id": 42, "items": [50, 181, 258]},
    ),
)
