"""Events: what users did, stored once, and part of their next answer."""

import asyncio
from collections import Counter

import msgspec
from msgspec.structs import asdict

from shortlist.serving.calls import Call
from shortlist.serving.idempotency import HEADER
from shortlist.serving.routes import Route, WithStatus
from shortlist.serving.schemas import EventBody, EventResult, EventsAnswer, EventsBody
from shortlist.serving.service import Service
from shortlist.serving.store.contract import Event


async def events(service: Service, call: Call, body: EventBody | list[EventBody]) -> WithStatus:
    """Store one event or many. The answer comes after they are on the disk, and says of each what became of it.

    Sent again under the same Idempotency-Key, the call gets the same answer; with another body it is refused.
    """
    sent = body if isinstance(body, list) else [body]
    answer: WithStatus = await service.answered.once(
        call, msgspec.json.encode(body), lambda: _stored(service, call, sent)
    )
    return answer


async def _stored(service: Service, call: Call, sent: list[EventBody]) -> WithStatus:
    store = service.need_store()
    future = store.submit([Event(**asdict(one)) for one in sent])
    service.metrics.queued.set(store.n_queued)
    outcomes = await asyncio.wrap_future(future)
    counts = Counter(outcome.status for outcome in outcomes)
    for status, n in counts.items():
        service.metrics.events.labels(status).inc(n)
    call.log["events"] = dict(counts)
    answer = EventsAnswer(
        counts["stored"],
        counts["duplicate"],
        counts["conflict"],
        counts["rejected"],
        [EventResult(outcome.id, outcome.status, outcome.reason) for outcome in outcomes],
    )
    return WithStatus(207 if answer.conflict or answer.rejected else 200, answer)


ROUTES = (
    Route(
        "POST",
        "/v1/events",
        events,
        "Store one event or several",
        EventsAnswer,
        scope="ingest",
        body=EventsBody,
        statuses=(200, 207),
        headers=(HEADER,),
        example=[{"id": "e-1", "user_id": 42, "item_id": 50, "event": "click"}],
    ),
)
