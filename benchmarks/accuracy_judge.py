"""One judge for all lists, ours and the peers': the same users, the same relevant items, the metrics of Shortlist."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

import shortlist as sl
from shortlist.config import PositiveSettings
from shortlist.data.dataset import REPEATS
from shortlist.data.log import Mask, Rows
from shortlist.data.split import Protocol, check_leakage
from shortlist.evaluation.answering import read_lists, to_lists, without_seen
from shortlist.evaluation.lists import Relevant
from shortlist.evaluation.protocol import list_metrics, make_catalogue, row_accuracy
from shortlist.evaluation.questions import Questions, make_questions
from shortlist.ranking.linear import FUSION
from shortlist.requests import Request
from shortlist.stages import Queries

DEPTH = 100
QUERIES_AT_ONCE = 128
Lists = dict[str, Rows]
"""By group of users: int32 (n_users, DEPTH), rows of the catalogue, -1 = padding."""


@dataclass(frozen=True, eq=False)
class Group:
    """Users asked alike: ``all``, or ``warm`` and ``fold_in`` under ``time``.

    Attributes:
        seen: what they have had, in rows of the judge's catalogue.
        keep: which labels count: where seen items are removed, those that are new to the user.
    """

    questions: Questions
    seen: Queries
    keep: Mask
    relevant: Relevant


@dataclass(frozen=True)
class Figures:
    """What one system's lists for one group are worth.

    Attributes:
        per_user: by user id, for each metric at k; users without a relevant item are left out.
        top_100: share of the test rows whose item is among their user's first 100.
    """

    per_user: dict[str, dict[Any, float]]
    top_100: float


class Judge:
    """Asks models and judges lists. Seen items are removed unless the data repeat."""

    def __init__(self, train: sl.Dataset, test: sl.Dataset, protocol: Protocol, k: int = 10) -> None:
        check_leakage(train, test, protocol)
        self.k, self.protocol = k, protocol
        self.filter_seen = train.repeat_share < REPEATS
        self.catalogue = make_catalogue(train, test, None)
        asked, _, _ = make_questions(train, test, protocol, self.catalogue, PositiveSettings())
        log = replace(train.log(), n_items=len(self.catalogue))
        self.groups: dict[str, Group] = {}
        for questions in asked:
            seen = questions.request(log, train.user_vocabulary, self.catalogue, None).seen
            everything = np.ones(len(questions.label_items), dtype=bool)
            keep = questions.first_time(seen, len(self.catalogue)) if self.filter_seen else everything
            self.groups[questions.group] = Group(questions, seen, keep, questions.relevant(keep))

    def lists_of_model(self, model: sl.Cascade) -> dict[str, Lists]:
        """By system: each source alone, ``fusion`` (the order of retrieval) and ``cascade``."""
        found: dict[str, Lists] = {}
        for name, group in self.groups.items():
            request = group.questions.request(model.log, model.user_vocabulary, model.item_vocabulary, None)
            rows = self.catalogue.rows(model.items["item_id"])
            for system, answer in answerers(model).items():
                lists = answer_all(request, answer, len(model.items), self.filter_seen)
                found.setdefault(system, {})[name] = to_lists([rows[one] for one in lists], DEPTH)
        return found

    def lists_of_table(self, table: pl.DataFrame) -> Lists:
        """Of ``user_id``, ``item_id`` and ``rank``. A group of whom nobody is in the table is left out."""
        found: Lists = {}
        for name, group in self.groups.items():
            users = pl.Series("user_id", group.questions.user_ids, dtype=table["user_id"].dtype)
            own = table.filter(pl.col("user_id").is_in(users.implode()))
            if len(own):
                lists = read_lists(own, group.questions.user_ids, self.catalogue, DEPTH)
                found[name] = without_seen(lists, group.seen, len(self.catalogue))[0] if self.filter_seen else lists
        return found

    def figures(self, lists: Lists) -> dict[str, Figures]:
        """By group."""
        found = {}
        for name, rows in lists.items():
            group = self.groups[name]
            values = list_metrics(rows[:, : self.k], group.relevant, self.k)
            per_user = {
                metric: {
                    user: value
                    for user, value in zip(group.questions.user_ids, column.tolist(), strict=True)
                    if not np.isnan(value)
                }
                for metric, column in values.items()
            }
            found[name] = Figures(per_user, row_accuracy(rows, group.questions, group.keep)[DEPTH])
        return found


Answerer = Callable[[Queries, Mask], list[Rows]]


def answerers(model: sl.Cascade) -> dict[str, Answerer]:
    """How each system in a model is asked for a block of queries: lists of the model's item rows."""

    def ranked_by(one: sl.Cascade) -> Answerer:
        return lambda queries, allowed: [answer.item_rows for answer in one.rank(queries, allowed, DEPTH)]

    def proposed_by(source: Any) -> Answerer:
        return lambda queries, allowed: source.propose(queries, DEPTH, allowed)

    systems = {source.name: proposed_by(source) for source in model.first.sources}
    return systems | {"fusion": ranked_by(replace(model, ranker=FUSION)), "cascade": ranked_by(model)}


def answer_all(request: Request, answer: Answerer, n_items: int, filter_seen: bool) -> list[Rows]:
    lists: list[Rows] = []
    for start, queries in request.queries.blocks(QUERIES_AT_ONCE):
        allowed = np.ones((len(queries), n_items), dtype=bool)
        if filter_seen:
            seen = request.seen.block(start, start + len(queries))
            allowed[seen.event_queries, seen.item_rows] = False
        lists += answer(queries, allowed)
    return lists
