"""Recommendations: both stages over the whole catalogue."""

import time

from shortlist.serving.answering import answer_fields
from shortlist.serving.calls import Call
from shortlist.serving.live import Bundle
from shortlist.serving.problems import ProblemError, problem_of
from shortlist.serving.routes import Route
from shortlist.serving.schemas import Answer, Batch, BatchAnswer, Recommend
from shortlist.serving.service import Service


async def recommend(service: Service, call: Call, body: Recommend) -> Answer:
    """Recommend items to a user, known or not, or to whoever has the history given."""
    return await answered(service, call, body, service.bundle)


async def recommend_batch(service: Service, call: Call, body: Batch) -> BatchAnswer:
    """Several requests, one after the other, all by the same model, each with a deadline of its own.

    The request ids of the answers are that of the call with ``/0``, ``/1`` and so on.
    """
    bundle = service.bundle
    answers = []
    for place, query in enumerate(body.queries):
        try:
            began = time.perf_counter()
            answers.append(await answered(service, call, query, bundle, began, f"{call.id}/{place}"))
        except Exception as error:
            problem = problem_of(error)
            if problem is None or problem.kind != "invalid-query":
                raise
            raise ProblemError("invalid-query", f"queries[{place}]: {problem.detail}") from error
    return BatchAnswer(answers)


async def answered(
    service: Service,
    call: Call,
    body: Recommend,
    bundle: Bundle,
    began: float | None = None,
    request_id: str | None = None,
) -> Answer:
    """The answer to one query.

    Args:
        began: see `Service.ask`.
        request_id: that events refer to; ``None`` = the call's.
    """
    job = await service.ask(call, body, bundle, began)
    answer = Answer(**answer_fields(call, job, body.user_id))
    answer.request_id = request_id or call.id
    if answer.returned < answer.k:
        service.metrics.short.inc()
    service.shown(answer.request_id, body.user_id, answer.items, bundle.version)
    return answer


ROUTES = (
    Route(
        "POST",
        "/v1/recommend",
        recommend,
        "Recommend items to a user, or to whoever has a history",
        Answer,
        body=Recommend,
        example={"user_id": 42, "k": 10, "where": "year >= 1995"},
    ),
    Route(
        "POST",
        "/v1/recommend/batch",
        recommend_batch,
        "Several requests at once",
        BatchAnswer,
        body=Batch,
        example={"queries": [{"user_id": 42, "k": 3}, {"history": [50, 181], "k": 3}]},
    ),
)
