"""Answers without scores: the lower rungs of the ladder. Caps, and rules other than exclusions, hold on them too.

They act on the order that a rung has, and what follows it is popularity. Diversity and exploration, which choose by the
score, do not act. Nothing here asks a source but the one of `item_to_item`: a stage that failed is not asked again.
"""

import numpy as np

from shortlist.data.log import Mask, Rows
from shortlist.ranking.caps import Count
from shortlist.ranking.rerank import LastWord, rerank
from shortlist.retrieval.item_item import ItemItem
from shortlist.serving.live import Bundle
from shortlist.serving.questions import Question
from shortlist.stages import Candidates, Ranked
from shortlist.topk import top_k


def in_order(bundle: Bundle, question: Question, candidates: Candidates) -> Ranked:
    """One query's shortlist, as it stands."""
    return _answer(bundle, question, candidates)


def item_to_item(bundle: Bundle, question: Question) -> Ranked | None:
    """The neighbours of the history's items, then the rest by popularity; ``None`` = no neighbours are known."""
    source = next((one for one in bundle.model.first.sources if isinstance(one, ItemItem)), None)
    if source is None:
        return None
    scores = source.score_catalogue(question.request.queries)
    (near,) = top_k(scores, _length(question), question.allowed & (scores > 0))
    return _rows_answer(bundle, question, near) if len(near) else None


def popular(bundle: Bundle, question: Question) -> Ranked:
    """The most popular items that are allowed."""
    return _rows_answer(bundle, question, np.empty(0, dtype=np.int32))


def _rows_answer(bundle: Bundle, question: Question, rows: Rows) -> Ranked:
    """Some items, then popular ones."""
    left = question.allowed[0].copy()
    left[rows] = False
    rows = np.concatenate([rows, _most_popular(bundle, left, _length(question) - len(rows))])
    return _answer(bundle, question, plain(rows, len(bundle.source_names)))


def _answer(bundle: Bundle, question: Question, candidates: Candidates) -> Ranked:
    """Some items in their order, under the question's caps and rules; without these, if they fail."""
    word = question.word or LastWord()
    try:
        return _under(bundle, question, candidates, LastWord(caps=word.caps, rules=word.rules))
    except Exception:  # whatever it is: there has to be an answer
        return _under(bundle, question, candidates, LastWord())


def _under(bundle: Bundle, question: Question, candidates: Candidates, word: LastWord) -> Ranked:
    def more(taken: Rows, caps: Count | None) -> Candidates | None:
        left = question.allowed[0].copy()
        left[taken] = False
        if caps is not None:
            left &= ~caps.closed(len(left))
        rows = _most_popular(bundle, left, _length(question))
        return plain(rows, len(bundle.source_names)) if len(rows) else None

    if word.rules is not None:
        (wanted,) = word.rules.wanted(question.request.queries, question.allowed)
        missing = wanted[~np.isin(wanted, candidates.item_rows)]
        candidates = candidates.followed_by(plain(missing, len(bundle.source_names)))
    n = len(candidates)
    done = rerank(word, question.request.queries, 0, candidates, -np.arange(n, dtype=np.float64), n, question.k, more)
    nothing = np.full(len(done.item_rows), np.nan)
    return Ranked(done.item_rows, nothing, done.places, done.candidates, None, None, done.marks, done.acted, done.notes)


def _length(question: Question) -> int:
    return max(question.k, question.n)


def _most_popular(bundle: Bundle, allowed: Mask, n: int) -> Rows:
    rows: Rows = bundle.popular[allowed[bundle.popular]][: max(n, 0)]
    return rows


def plain(rows: Rows, n_sources: int) -> Candidates:
    """Items in an order that no stage made."""
    n = len(rows)
    scores = np.full((n, n_sources), np.nan, dtype=np.float32)
    nobody = np.zeros((n, n_sources), dtype=bool)
    ranks = np.zeros((n, n_sources), dtype=np.int32)
    return Candidates(np.array([0, n]), rows, np.zeros(n), scores, scores, ranks, nobody)
