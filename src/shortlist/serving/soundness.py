"""May this model answer? What is asked of it before it is promoted, and again before it is served."""

import numpy as np

from shortlist.cascade import Cascade
from shortlist.filters import allowed_masks
from shortlist.serving.store.contract import IdKind

QUERIES = 20
Kinds = tuple[IdKind | None, IdKind | None]


def faults(model: Cascade, store_kinds: Kinds = (None, None)) -> list[str]:
    """What speaks against serving a model, one sentence each; empty = nothing.

    Known users, and somebody unknown with and without a history, are asked: each must get all items that were asked
    for, with finite scores that are not all alike.

    Args:
        model: as loaded.
        store_kinds: the kinds of the ids of users and items in the store; ``None`` = not known.
    """
    if not len(model.items):
        return ["the catalogue is empty"]
    found = []
    ours = (model.user_vocabulary.kind, model.item_vocabulary.kind)
    for what, kind, stored in zip(("user", "item"), ours, store_kinds, strict=True):
        if stored is not None and stored != kind:
            found.append(f"its {what} ids are of the kind {kind}, those of the store are of the kind {stored}")
    try:
        return found + _faults_of_answers(model)
    except Exception as error:  # a model that cannot answer, for whatever reason, must not be served
        return [*found, f"it cannot answer: {type(error).__name__}: {error}"]


def _faults_of_answers(model: Cascade) -> list[str]:
    ids = model.users["user_id"].gather_every(max(1, len(model.users) // QUERIES)).to_list()
    n = model.config.retrieval.candidates
    constant, asked = True, 0
    popular = model.items["item_id"][int(np.argmax(model.first.fallback.item_counts.before(0)))]
    for request in (model.request([*ids, None]), model.request([None], history=[popular])):
        queries = request.queries
        allowed = allowed_masks(np.ones(len(model.items), dtype=bool), len(queries), None)
        for one in model.order(queries, model.shortlist(queries, allowed, n, n), n, n):
            asked += 1
            if len(one.item_rows) != min(n, len(model.items)):
                return [f"it returned {len(one.item_rows)} items where {min(n, len(model.items))} were asked for"]
            if not np.isfinite(one.scores).all():
                return [f"{int((~np.isfinite(one.scores)).sum())} of {len(one.scores)} scores are no numbers"]
            constant &= bool(np.ptp(one.scores) == 0)
    return [f"all scores of each of {asked} answers are alike"] if constant and len(model.items) > 1 else []
