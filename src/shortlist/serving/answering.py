"""A job's reply -> the answer that goes out."""

from typing import Any, cast

import numpy as np

from shortlist.answers import FALLBACK, request_notes, retrieval_ranks, shortage, topped_up
from shortlist.explaining.explanation import Explanation
from shortlist.serving.calls import Call
from shortlist.serving.ladder import Job, Reply
from shortlist.serving.live import Bundle
from shortlist.serving.schemas import AnswerItem


def answer_fields(call: Call, job: Job, user_id: Any) -> dict[str, Any]:
    """The fields of an `Answer`."""
    question, reply = job.question, job.reply
    assert question is not None
    assert reply is not None
    request = question.request
    n_allowed = int(question.allowed.sum())
    return {
        "request_id": call.id,
        "model_version": job.bundle.version,
        "user_id": user_id,
        "k": question.k,
        "returned": len(reply.ranked.item_rows),
        "allowed": n_allowed,
        "reason": shortage(question.k, n_allowed, len(job.bundle.item_ids)) if n_allowed < question.k else None,
        "stages": reply.stages,
        "degraded": reply.degraded,
        "acted": list(reply.ranked.acted),
        "known_user": bool(request.queries.user_rows[0] >= 0),
        "history_items": len(request.queries.item_rows),
        "unknown_history_items": int(request.unknown_items[0]),
        "notes": [*request_notes(request, 0), *reply.ranked.notes],
        "items": answer_items(job.bundle, reply),
    }


def answer_items(bundle: Bundle, reply: Reply) -> list[AnswerItem]:
    """The rows of `Cascade.recommend`'s table, straight from the arrays."""
    ranked, places, n = reply.ranked, reply.ranked.places, len(reply.ranked.places)
    predicted = [None] * n if ranked.predicted_ratings is None else _numbers(ranked.predicted_ratings)
    columns = zip(
        ranked.item_rows.tolist(),
        _numbers(ranked.scores),
        retrieval_ranks(ranked).tolist(),
        _numbers(ranked.candidates.retrieval_scores[places]),
        np.column_stack([ranked.candidates.proposers[places], topped_up(ranked)]).tolist(),
        predicted,
        [()] * n if ranked.marks is None else ranked.marks,
        [None] * n if ranked.propensities is None else ranked.propensities.tolist(),
        cast("list[Explanation | None]", reply.explanations or [None] * n),
        strict=True,
    )
    ids, names = bundle.item_ids, (*bundle.source_names, FALLBACK)
    return [
        AnswerItem(ids[row], rank, score, place, first, _sources(proposers, names), rating, list(rules), *last)
        for rank, (row, score, place, first, proposers, rating, rules, *last) in enumerate(columns, start=1)
    ]


def _sources(proposers: list[bool], names: tuple[str, ...]) -> list[str]:
    return [name for name, proposed in zip(names, proposers, strict=True) if proposed]


def _numbers(values: Any) -> list[float | None]:
    """As Python's numbers; ``nan`` becomes ``None``."""
    numbers: list[float | None] = values.tolist()
    if np.isfinite(values).all():
        return numbers
    return [number if finite else None for number, finite in zip(numbers, np.isfinite(values), strict=True)]
