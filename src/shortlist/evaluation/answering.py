"""The lists that a model answers, and what each of its stages did for them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.columns import to_polars
from shortlist.data.log import Rows
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import DataError
from shortlist.evaluation.baselines import allowed_items
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.metrics import PerUser, divide, ndcg_at_k, recall_all_at_k
from shortlist.requests import Request
from shortlist.stages import Candidates, Queries

DEPTH = 100
"""How long the lists are that row-level accuracy is read from."""
Model = Any  # a Cascade (modules of evaluation do not import it), or a callable (user_ids, k) -> lists


@dataclass(eq=False)
class Answers:
    """What a model answered to one group of users.

    Attributes:
        ranked: int32 (n_users, k), rows of the evaluation's catalogue, -1 = padding.
        deep: int32 (n_users, max(k, 100)), the longer lists.
        stages: values per user and stage; see `stage_values`. Empty for a callable.
        shortlists: int32 (n_users, n), the candidates as retrieved, where the stages were measured.
        seconds: how long the model took.
    """

    ranked: Rows
    deep: Rows
    stages: dict[str, PerUser] = field(default_factory=dict)
    shortlists: Rows | None = None
    seconds: float = 0.0


def answer_cascade(
    model: Model,
    request: Request,
    catalogue_rows: Rows,
    k: int,
    *,
    filter_seen: bool,
    relevant: Relevant | None = None,
) -> Answers:
    """Ask a cascade everything, in blocks.

    Args:
        request: in the model's row numbers.
        catalogue_rows: int32 (n_model_items,), where the model's items stand in the evaluation's catalogue.
        relevant: where given, the stages are measured too.
    """
    n, depth = model.config.retrieval.candidates, max(k, DEPTH)
    first = depth if n >= depth else k  # a longer list from a shorter shortlist would have other candidates
    answers = Answers(_empty(len(request.queries), k), _empty(len(request.queries), depth))
    stages: list[dict[str, PerUser]] = []
    shortlists: list[Rows] = []
    for start, queries in request.queries.catalogue_blocks(len(model.items)):
        stop = start + len(queries)
        allowed = allowed_items(request.seen if filter_seen else None, start, stop, len(model.items))
        started = time.perf_counter()
        ranked = model.rank(queries, allowed, first)
        deep = ranked if first == depth else model.rank(queries, allowed, depth)
        answers.seconds += time.perf_counter() - started
        for q in range(len(queries)):
            top, long = ranked[q].item_rows[:k], deep[q].item_rows
            answers.ranked[start + q, : len(top)] = catalogue_rows[top]
            answers.deep[start + q, : len(long)] = catalogue_rows[long]
        if relevant is not None:
            proposals = [source.propose(queries, n, allowed) for source in model.first.sources]
            names = [source.name for source in model.first.sources]
            wanted = relevant_of(relevant, start, stop)
            candidates = ranked[0].candidates.first(n)  # a long answer has a longer shortlist
            rows = catalogue_rows[candidates.item_rows]
            shortlists.append(_sorted_lists(candidates, rows, np.zeros(len(rows)), n))
            stages.append(stage_values(names, candidates, proposals, wanted, catalogue_rows, n=n, k=k))
    if stages:
        answers.shortlists = np.concatenate(shortlists)
        answers.stages = {name: np.concatenate([block[name] for block in stages]) for name in stages[0]}
    return answers


def stage_values(
    names: Sequence[str],
    candidates: Candidates,
    proposals: Sequence[Sequence[Rows]],
    relevant: Relevant,
    catalogue_rows: Rows,
    *,
    n: int,
    k: int,
) -> dict[str, PerUser]:
    """What the first stage found for one block of queries; float64 (n_queries,) each, ``nan`` without relevant items.

    Args:
        candidates: the shortlists.
        proposals: per source and query, its own best n.

    Returns:
        - ``recall:NAME``: relevant items among the source's own n proposals, divided by all relevant ones;
          ``recall:union`` = among the proposals of all sources; ``recall:candidates`` = among the n candidates.
        - ``alone:NAME``: NDCG@k of the source's own list from the full catalogue.
        - ``order:NAME``: NDCG@k of the n candidates sorted by that source's score; ``order:fusion`` = as retrieved;
          ``order:oracle`` = relevant ones first.
    """
    values: dict[str, PerUser] = {}
    union = np.zeros((len(relevant), int(max(catalogue_rows.max(), relevant.item_rows.max(initial=0))) + 1), dtype=bool)
    label_queries = np.repeat(np.arange(len(relevant)), relevant.counts)
    for name, lists in zip(names, proposals, strict=True):
        own = to_lists([catalogue_rows[items] for items in lists], n)
        union[np.nonzero(own >= 0)[0], own[own >= 0]] = True
        values[f"recall:{name}"] = recall_all_at_k(own, relevant, n)
        values[f"alone:{name}"] = ndcg_at_k(own, relevant, k)
    found = np.bincount(label_queries, union[label_queries, relevant.item_rows], len(relevant))
    values["recall:union"] = divide(found, relevant.counts)
    rows = catalogue_rows[candidates.item_rows]
    fusion = _sorted_lists(candidates, rows, np.zeros(len(rows)), n)
    values["recall:candidates"] = recall_all_at_k(fusion, relevant, n)
    values["order:fusion"] = ndcg_at_k(fusion, relevant, k)
    base = union.shape[1]
    wanted = label_queries * base + relevant.item_rows
    is_relevant = np.isin(candidates.query_rows * base + rows, wanted)
    values["order:oracle"] = ndcg_at_k(_sorted_lists(candidates, rows, is_relevant.astype(float), k), relevant, k)
    for column, name in enumerate(names):
        by_source = np.nan_to_num(candidates.scores[:, column].astype(float), nan=-np.inf)
        values[f"order:{name}"] = ndcg_at_k(_sorted_lists(candidates, rows, by_source, k), relevant, k)
    return values


def _sorted_lists(candidates: Candidates, rows: Rows, scores: NDArray[np.float64], k: int) -> Rows:
    """int32 (n_queries, k): the candidates by falling score, ties as retrieved."""
    order = np.lexsort((-scores, candidates.query_rows))
    places = np.arange(len(rows)) - candidates.offsets[candidates.query_rows]  # the same sorted or not
    lists = _empty(len(candidates.offsets) - 1, k)
    near = places < k
    lists[candidates.query_rows[near], places[near]] = rows[order][near]
    return lists


def relevant_of(relevant: Relevant, start: int, stop: int) -> Relevant:
    """The relevant items of users ``start`` to ``stop - 1``."""
    offsets = relevant.offsets[start : stop + 1]
    return Relevant(offsets - offsets[0], relevant.item_rows[offsets[0] : offsets[-1]])


def to_lists(lists: Sequence[Rows], k: int) -> Rows:
    """int32 (n_users, k): lists of any length, cut or padded with -1."""
    table = _empty(len(lists), k)
    for q, items in enumerate(lists):
        table[q, : len(items[:k])] = items[:k]
    return table


def _empty(n: int, k: int) -> Rows:
    return np.full((n, k), -1, dtype=np.int32)


# Callables ------------------------------------------------------------------------------------------------------------


def answer_callable(model: Callable[[list[Any], int], Any], user_ids: list[Any], catalogue: Vocabulary, k: int) -> Rows:
    """int32 (n_users, max(k, 100)): the lists of a callable, which is asked once for all users.

    Raises:
        DataError: see `read_lists`.
    """
    depth = max(k, DEPTH)
    return read_lists(model(list(user_ids), depth), user_ids, catalogue, depth)


def read_lists(answer: Any, user_ids: list[Any], catalogue: Vocabulary, k: int) -> Rows:
    """int32 (n_users, k): lists of item ids as rows of the catalogue.

    Args:
        answer: a table with ``user_id``, ``item_id`` and, if not already best first, ``rank``; a mapping from user to
            item ids; or one list of item ids per user, in the order of ``user_ids``. Longer lists are cut, shorter or
            missing ones padded.

    Raises:
        DataError: a user who was not asked, an item outside the catalogue, an item twice in one list, or another shape.

    >>> catalogue = Vocabulary(pl.Series(["a", "b"]))
    >>> read_lists({7: ["b", "a"]}, [7, 8], catalogue, 3)
    array([[ 1,  0, -1],
           [-1, -1, -1]], dtype=int32)
    """
    users, items = _pairs(answer, user_ids)
    rows = catalogue.rows(items)
    unknown = np.flatnonzero(rows < 0)
    if len(unknown):
        raise DataError(
            f"the model recommends {list(items)[unknown[0]]!r} to user {user_ids[users[unknown[0]]]!r}, but the "
            f"catalogue has no such item ({len(unknown)} such); its ids are of the kind {catalogue.kind}, for example "
            f"{catalogue.ids[0]!r}"
        )
    pairs = users * len(catalogue) + rows
    first = np.unique(pairs, return_index=True)[1]
    if len(first) < len(pairs):
        again = int(np.setdiff1d(np.arange(len(pairs)), first)[0])
        raise DataError(
            f"the model recommends {list(items)[again]!r} to user {user_ids[users[again]]!r} more than once; its hit "
            "would count twice"
        )
    order = np.argsort(users, kind="stable")
    users, rows = users[order], rows[order]
    places = np.arange(len(users)) - np.searchsorted(users, users)
    lists = _empty(len(user_ids), k)
    lists[users[places < k], places[places < k]] = rows[places < k]
    return lists


def _pairs(answer: Any, user_ids: list[Any]) -> tuple[NDArray[np.int64], Any]:
    """Position of the user in ``user_ids`` and item id of every recommendation, best first within a user."""
    is_table = hasattr(answer, "columns") or hasattr(answer, "__arrow_c_stream__")
    if is_table or (isinstance(answer, Mapping) and {"user_id", "item_id"} <= set(answer)):
        table = to_polars(answer, "the model's answer")
        missing = [name for name in ("user_id", "item_id") if name not in table.columns]
        if missing:
            raise DataError(
                f"the model's answer: expected the columns 'user_id' and 'item_id', got {', '.join(table.columns)}"
            )
        if "rank" in table.columns:
            table = table.sort("rank", maintain_order=True)
        return _positions(table["user_id"], user_ids), table["item_id"]
    if isinstance(answer, Mapping):
        given, lists = _positions(list(answer), user_ids), [list(items) for items in answer.values()]
    else:
        if isinstance(answer, str) or not hasattr(answer, "__len__"):
            raise DataError(
                "the model's answer: expected a table with 'user_id' and 'item_id', a mapping from user to item ids, "
                f"or one list per user; got {type(answer).__name__}"
            )
        if len(answer) != len(user_ids):
            raise DataError(f"the model was asked for {len(user_ids)} users and answered {len(answer)} lists")
        given, lists = np.arange(len(user_ids)), [list(items) for items in answer]
    return np.repeat(given, [len(items) for items in lists]), [item for items in lists for item in items]


def _positions(answered: Any, user_ids: list[Any]) -> NDArray[np.int64]:
    positions = Vocabulary(pl.Series(user_ids)).rows(answered).astype(np.int64)
    strangers = np.flatnonzero(positions < 0)
    if len(strangers):
        raise DataError(
            f"the model recommends to user {list(answered)[strangers[0]]!r}, who was not asked ({len(strangers)} rows)"
        )
    return positions


def without_seen(lists: Rows, seen: Queries, n_items: int) -> tuple[Rows, int]:
    """The lists without what each user has seen, moved up; and how many items that struck out."""
    users, places = np.nonzero(lists >= 0)
    rows = lists[users, places].astype(np.int64)
    keep = ~np.isin(users * n_items + rows, seen.event_queries * n_items + seen.item_rows)
    users, rows = users[keep], rows[keep]
    left = _empty(*lists.shape)
    left[users, np.arange(len(users)) - np.searchsorted(users, users)] = rows
    return left, int((~keep).sum())


def latency_ms(model: Model, user_ids: list[Any], k: int, n: int = 50) -> dict[str, Any]:
    """Milliseconds of single ``recommend`` calls for at most n users, spread over the list, after one to warm up."""
    chosen = [user_ids[i] for i in np.unique(np.linspace(0, len(user_ids) - 1, n).astype(int))]
    model.recommend(chosen[0], k=k)
    taken = []
    for user in chosen:
        started = time.perf_counter()
        model.recommend(user, k=k)
        taken.append(1000 * (time.perf_counter() - started))
    p50, p95 = np.percentile(taken, [50, 95]).round(3).tolist()
    return {"p50": p50, "p95": p95, "calls": len(chosen), "k": k, "volatile": True}
