"""The system on one page: retrieve -> features -> rank -> answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist import answers
from shortlist.config import Config, Target
from shortlist.data.log import DAY, Floats, Log, Mask, Rows
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import QueryError
from shortlist.explaining import asking
from shortlist.explaining.explainer import Explainer
from shortlist.explaining.explanation import Explanation
from shortlist.explaining.sentences import language_of
from shortlist.filters import Filters, allowed_masks
from shortlist.first_stage import FirstStage, Found
from shortlist.predicting import predict_ratings
from shortlist.ranking.caps import Cap, Count, groups_of, parse_caps
from shortlist.ranking.draws import seeds, today
from shortlist.ranking.likeness import likeness_vectors, taken_up_vectors
from shortlist.ranking.rerank import ActingRules, LastWord, More, parse_dial, rerank
from shortlist.requests import Events, History, Request, Users, parse_k, parse_request
from shortlist.retrieval.content import Content
from shortlist.retrieval.merge import Tables
from shortlist.rules.acting import Acting, moment_of
from shortlist.rules.binding import BoundRules, bind
from shortlist.rules.parsing import Rules, to_rules
from shortlist.similarity import similar_items
from shortlist.stages import Candidates, Queries, Ranked, Ranker

MOST_BOUND = 8


class Answer(NamedTuple):
    """What ``recommend(…, details=True)`` returns.

    Attributes:
        table: the recommendations, as without details.
        details: one row per query: ``user_id``, ``asked`` (k), ``returned``, ``allowed`` (items that could have been
            recommended), ``reason`` (why fewer than k, else null), ``degraded``, ``acted`` (which of ``exploration``,
            ``diversity``, ``caps`` and ``rules`` changed the answer; empty = it is in the order of the score),
            ``known_user``, ``history_items``, ``unknown_history_items`` (ignored) and ``notes``.
    """

    table: pl.DataFrame
    details: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Cascade:
    """A fitted two-stage recommender. `shortlist.train` makes one, `shortlist.load` reads one.

    Attributes:
        items: the catalogue with its attributes.
        users: the known users with theirs.
        log: the known events, where stored histories come from.
        first: stage 1.
        ranker: stage 2.
        config: the settings it was trained with.
        target: what it was trained to answer.
        filter_seen: whether an answer leaves out seen items unless told otherwise.
        record: how it came about: settings chosen, validation figures, seconds, notes.
        validation: ``user_id`` and ``ndcg``, the NDCG@10 of each user it was judged by in training, on events that
            nothing was fitted on; ``None`` = it was not judged.
        digest: of the saved artifact; empty until saved or loaded.
    """

    items: pl.DataFrame
    users: pl.DataFrame
    log: Log
    first: FirstStage
    ranker: Ranker
    config: Config
    target: Target
    filter_seen: bool
    record: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    validation: pl.DataFrame | None = None

    def __repr__(self) -> str:
        sources = ", ".join(source.name for source in self.first.sources)
        return (
            f"<Cascade {self.config.preset!r}: {sources} -> {self.config.retrieval.candidates} candidates -> "
            f"{type(self.ranker).__name__.lower()}; {len(self.items):,} items, {len(self.users):,} users, "
            f"target {self.target!r}>"
        )

    @cached_property
    def filters(self) -> Filters:
        """What ``include_items``, ``exclude_items`` and ``where`` leave of the catalogue."""
        return Filters(self.items, self.item_vocabulary)

    @cached_property
    def item_vocabulary(self) -> Vocabulary:
        return Vocabulary(self.items["item_id"])

    @cached_property
    def user_vocabulary(self) -> Vocabulary:
        return Vocabulary(self.users["user_id"])

    def recommend(
        self,
        users: Users = None,
        k: int = 10,
        at: Any = None,
        history: History | None = None,
        filter_seen: bool | None = None,
        include_items: Iterable[Any] | None = None,
        exclude_items: Iterable[Any] | None = None,
        where: str | None = None,
        details: bool = False,
        diversity: float = 0.0,
        caps: Mapping[str, int] | None = None,
        explore: float = 0.0,
        rules: Any = None,
        explain: bool | str = False,
    ) -> Any:
        """Recommend min(k, allowed) items to each user.

        Args:
            users: one id or a list of ids, known or not; ``None`` = somebody unknown.
            k: how many, at least 1. The items beyond the configured number of candidates follow unranked; the first
                ones are the same for every k.
            at: the moment of asking: Unix seconds or a datetime, one for all or one per user. History and item counts
                then use only events strictly before it. ``None`` = after all known events (a model with the target
                ``next`` takes each user at their last event).
            history: replaces the stored history as evidence: item ids, oldest first; a table with ``item_id`` and,
                if known, ``timestamp`` and ``rating``; for several users one list each, a mapping from user to list,
                or a table with ``user_id`` (whom it leaves out is asked with an empty history). A table may also have
                ``weight`` and ``event``; without times its events count as having happened just before the moment of
                asking. Unknown items are ignored and counted in the details.
            filter_seen: leave out what the stored and the given history hold; ``None`` = as the model's data call for.
                It wins over ``include_items``.
            include_items: only these; unknown ids among them are ignored.
            exclude_items: none of these.
            where: a condition on item attributes, for example ``"year >= 1995 and 'Drama' in genres"``.
            details: also return one row per query about the answer.
            diversity: from 0 (the order of the score) to 1 (whatever is most unlike the items before).
            caps: at most so many items of any one value of an item attribute, for example ``{"genres": 3}``; an item
                with a list of values counts for each. Exceeded only where no other allowed item is left.
            explore: the share of places that go to any of the candidates, all equally likely; the draws are the same
                for a user all day (of ``at``; without it, today).
            rules: pins, boosts, burials, exclusions and caps: `Rules`, their TOML text, or the `Path` of a file; see
                docs/last-word.md. Date windows are judged at ``at``; without it, now.
            explain: also say why each item stands where it stands: ``True`` for English, or a language (``"de"``).

        Returns:
            A polars table, best first within each user: ``user_id``, ``item_id``, ``rank`` (from 1), ``score`` (the
            value sorted on, until the arguments from ``diversity`` on act; null below the ranked candidates, where the
            retrieval order goes on), ``retrieval_rank``, ``retrieval_score``, ``sources`` (who proposed the item;
            ``fallback`` = topped up by popularity; empty = others were better, and it came all the same: a rule wanted
            it, or the candidates did not suffice) and ``predicted_rating`` where the model predicts ratings; with
            ``explore`` ``propensity``, how probable the item was at its place, given those before it; with ``rules``
            ``rules``, the names of those that touched the item; with ``explain`` ``explanation``, an `Explanation` as
            a struct. With ``details`` an `Answer` of two tables.

        Raises:
            QueryError: an argument is of a wrong kind, or ``where`` or ``caps`` does not fit the item attributes.
            RulesError: the rules cannot be read, or the model cannot follow one.
        """
        k = parse_k(k)
        if filter_seen not in (None, True, False):
            raise QueryError(f"filter_seen: expected True, False or None, got {filter_seen!r}")
        language = language_of(explain) if explain else None
        request = self.request(users, at, history)
        allowed = self.filters.allowed(include_items, exclude_items, where)
        filter_seen = self.filter_seen if filter_seen is None else filter_seen
        acting = self.acting_rules(rules, request, at)
        word = self.last_word(request, at, diversity=diversity, caps=caps, explore=explore, rules=acting)
        ranked: list[Ranked] = []
        n_allowed: list[int] = []
        for start, queries in request.queries.catalogue_blocks(len(self.items)):
            seen = request.seen.block(start, start + len(queries)) if filter_seen else None
            mask = allowed_masks(allowed, len(queries), seen)
            part = None if word is None else word.block(start, start + len(queries))
            mask = mask if part is None else part.allowed(queries, mask)
            ranked += self.rank(queries, mask, k, part)
            n_allowed += mask.sum(axis=1).tolist()
        ids = answers.id_series("user_id", request.user_ids, self.users["user_id"].dtype)
        table = answers.to_table(ids, ranked, self.items["item_id"], self._source_names, ratings=self.predicts_ratings)
        if language is not None:
            explained = [
                asking.explain_answer(self.explainer, request.queries.block(q, q + 1), one, language)
                for q, one in enumerate(ranked)
            ]
            table = table.with_columns(answers.explanations(explained, self.items["item_id"].dtype))
        if not details:
            return table
        return Answer(table, answers.to_details(request, ids, ranked, k, n_allowed, len(self.items)))

    def explain(
        self,
        user: Any = None,
        items: Iterable[Any] | None = None,
        k: int = 10,
        at: Any = None,
        history: History | None = None,
        filter_seen: bool | None = None,
        language: str = "en",
    ) -> dict[Any, Explanation]:
        """Why items are recommended to a user, or how they would fare if they were not.

        Args:
            user: one id, known or not; ``None`` = somebody unknown.
            items: any of the catalogue, seen ones too; ``None`` = the k that `recommend` answers.
            k, at, history, filter_seen: as for `recommend`.
            language: of the sentences and of the groups' names.

        Returns:
            An `Explanation` per item id, in the order of the answer, or of ``items``.

        Raises:
            QueryError: as for `recommend`; an item is not in the catalogue, or there is no such language.
        """
        words, k = language_of(language), parse_k(k)
        request = self.request([user], at, history)
        seen = request.seen if (self.filter_seen if filter_seen is None else filter_seen) else None
        allowed = allowed_masks(self.filters.allowed(), 1, seen)
        if items is not None:
            item_ids, rows = asking.known_rows(self.item_vocabulary, items)
            found = asking.explain_items(
                self.first, self.config.retrieval.candidates, self.explainer, request.queries, rows, allowed, words
            )
            return dict(zip(item_ids, found, strict=True))
        (ranked,) = self.rank(request.queries, allowed, k)
        found = asking.explain_answer(self.explainer, request.queries, ranked, words)
        return dict(zip(self.items["item_id"][ranked.item_rows].to_list(), found, strict=True))

    @cached_property
    def explainer(self) -> Explainer:
        """Explains answers; see `shortlist.explaining`."""
        return asking.explainer_of(self.items, self.first, self.ranker, self.log)

    def last_word(
        self,
        request: Request,
        at: Any = None,
        *,
        diversity: float = 0.0,
        caps: Mapping[str, int] | None = None,
        explore: float = 0.0,
        rules: ActingRules | None = None,
    ) -> LastWord | None:
        """What is to act after the score on a request's queries, see `recommend`; ``None`` = nothing.

        Args:
            at: as given to `recommend`: a moment's day seeds the draws of exploration; without one, today does.
            rules: bound to this model.

        Raises:
            QueryError: a value is out of its range, or a cap fits no item attribute.
        """
        diversity, explore = parse_dial(diversity, "diversity"), parse_dial(explore, "explore")
        limits = parse_caps(caps, self.items.columns)
        if not diversity and not explore and not limits and rules is None:
            return None
        days: Iterable[int] = [today()] * len(request.queries)
        if at is not None and self.log.in_seconds:
            days = (request.queries.at // DAY).tolist()
        return LastWord(
            diversity,
            self._likeness if diversity else None,
            tuple(Cap(name, limit, *self._groups(name)) for name, limit in limits.items()),
            explore,
            seeds(request.user_ids, request.queries, days, self.config.seed) if explore else None,
            rules,
        )

    def acting_rules(self, rules: Any, request: Request, at: Any = None) -> Acting | None:
        """Rules as `recommend` takes them, ready for `last_word` on a request; ``None`` = there are none.

        Raises:
            RulesError: the rules cannot be read, or the model cannot follow one.
        """
        read = None if rules is None else to_rules(rules)
        if not read:
            return None
        return Acting(self.bound_rules(read).require_all(), moment_of(at, self.log.in_seconds), request.user_ids)

    def bound_rules(self, rules: Rules) -> BoundRules:
        """What rules mean for this model's items and users; the last few are kept."""
        key = rules.version, rules.origin
        bound = self._bound_rules.pop(key, None) or bind(rules, self.items, self.users)
        for oldest in [*self._bound_rules][: 1 - MOST_BOUND]:
            self._bound_rules.pop(oldest, None)
        self._bound_rules[key] = bound
        return bound

    @cached_property
    def _bound_rules(self) -> dict[tuple[str, str], BoundRules]:
        return {}

    @cached_property
    def _likeness(self) -> Floats:
        """By which diversity is measured: attributes, and the first source's vectors, or else the users themselves."""
        sources = [source for source in self.first.sources if not isinstance(source, Content)]
        return likeness_vectors(self.first.features.item_facts.attributes, taken_up_vectors(sources, self.log))

    def _groups(self, attribute: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        if attribute not in self._group_cache:
            self._group_cache[attribute] = groups_of(self.items[attribute])
        return self._group_cache[attribute]

    @cached_property
    def _group_cache(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int32]]]:
        return {}

    def rank(self, queries: Queries, allowed: Mask, k: int, word: LastWord | None = None) -> list[Ranked]:
        """Both stages for one block of queries, in row numbers: exactly min(k, allowed) items each.

        Args:
            queries: some hundred at most; memory grows with queries times catalogue.
            allowed: bool (n_queries, n_items), what `LastWord.allowed` has left.
            word: of this block; ``None`` = the order of the score.
        """
        n = self.config.retrieval.candidates
        return self.order(queries, self.shortlist(queries, allowed, k, n, word), k, n, word, allowed)

    def shortlist(self, queries: Queries, allowed: Mask, k: int, n: int, word: LastWord | None = None) -> Found:
        """Stage 1: the n candidates that will be ranked, then, where k is greater, those that follow unranked.

        With a ``word`` what its rules want besides follows instead; `order` fetches the rest where it has to.
        """
        tables = self.first.tables(queries)
        candidates = self.first.retrieve(queries, allowed, n, tables)
        if word is not None:
            if word.rules is not None:
                candidates = self._with_wanted(queries, allowed, n, Found(candidates, tables), word.rules)
            return Found(candidates, tables)
        length, piece = n, n
        while length < min(k, allowed.shape[1]):  # in pieces that do not depend on k, or the order would
            rest = allowed.copy()
            rest[candidates.query_rows, candidates.item_rows] = False
            candidates = candidates.followed_by(self.first.further(queries, tables, allowed, n, rest, piece))
            length, piece = length + piece, 2 * piece
        return Found(candidates.first(k) if length > k > n else candidates, tables)

    def _with_wanted(self, queries: Queries, allowed: Mask, n: int, found: Found, rules: ActingRules) -> Candidates:
        candidates, tables = found
        missing = np.zeros_like(allowed)
        for q, rows in enumerate(rules.wanted(queries, allowed)):
            missing[q, rows] = True
        missing &= allowed
        missing[candidates.query_rows, candidates.item_rows] = False
        most = int(missing.sum(axis=1).max(initial=0))
        if not most:
            return candidates
        return candidates.followed_by(self.first.further(queries, tables, allowed, n, missing, most))

    def order(
        self,
        queries: Queries,
        found: Found,
        k: int,
        n: int,
        word: LastWord | None = None,
        allowed: Mask | None = None,
    ) -> list[Ranked]:
        """Stage 2: the first k of each query's candidates, of which the first n are ranked; then the last word.

        Args:
            found: by `shortlist`, with the same ``word``.
            allowed: as in `rank`; needed with a ``word``.
        """
        candidates = found.candidates
        places = np.arange(len(candidates)) - candidates.offsets[candidates.query_rows]
        features = self.first.features.build(self._feature_names, queries, candidates)
        wanted = features[:, : len(self.ranker.feature_names)]
        ratings = features[:, self._feature_names.index("predicted_rating")] if self.predicts_ratings else None
        if word is not None and allowed is not None:
            return self._reranked(queries, found, self.ranker.score(wanted), ratings, k, n, allowed, word)
        if k <= n:
            scores = self.ranker.score(wanted)
            order = np.lexsort((candidates.item_rows, -scores, candidates.query_rows))
        else:
            head = places < n
            scores = np.full(len(candidates), np.nan)
            scores[head] = self.ranker.score(wanted[head])  # nan sorts last
            order = np.lexsort((candidates.item_rows, places * ~head, -scores, candidates.query_rows))
        answered = []
        for start, stop in pairwise(candidates.offsets.tolist()):
            best = order[start:stop][:k]
            predicted = None if ratings is None else ratings[best]
            answered.append(Ranked(candidates.item_rows[best], scores[best], best, candidates, predicted))
        return answered

    def _reranked(
        self,
        queries: Queries,
        found: Found,
        scores: NDArray[np.float64],
        ratings: Floats | None,
        k: int,
        n: int,
        allowed: Mask,
        word: LastWord,
    ) -> list[Ranked]:
        answered = []
        for q, (start, stop) in enumerate(pairwise(found.candidates.offsets.tolist())):
            query, own = queries.block(q, q + 1), Found(found.candidates.of_query(q), found.tables.of_query(q))
            n_found = min(n, int(allowed[q].sum()))
            rest = self._rest(query, own.tables, allowed[q : q + 1], n)
            done = rerank(word, queries, q, own.candidates, scores[start:stop], n_found, k, rest)
            known = done.places < stop - start
            shown = np.full(len(known), np.nan)
            shown[known] = scores[start:stop][done.places[known]]
            predicted = None
            if ratings is not None:
                predicted = np.empty(len(known), dtype=np.float32)
                predicted[known] = ratings[start:stop][done.places[known]]
                predicted[~known] = self._ratings(query, done.item_rows[~known])
            answered.append(
                Ranked(
                    done.item_rows,
                    shown,
                    done.places,
                    done.candidates,
                    predicted,
                    done.propensities,
                    done.marks,
                    done.acted,
                    done.notes,
                )
            )
        return answered

    def _ratings(self, query: Queries, item_rows: Rows) -> Floats:
        model = self.first.features.rating_model
        assert model is not None
        return model.predict(query, np.zeros(len(item_rows), dtype=np.int64), item_rows)

    def _rest(self, query: Queries, tables: Tables, allowed: Mask, n: int) -> More:
        """Yields, in growing pieces, what retrieval finds for one query besides what is taken."""
        sizes = (n * 2**doubled for doubled in count())

        def more(taken: Rows, caps: Count | None) -> Candidates | None:
            left = allowed.copy()
            left[0, taken] = False
            if caps is not None:
                left[0] &= ~caps.closed(left.shape[1])
            return self.first.further(query, tables, allowed, n, left, next(sizes)) if left.any() else None

        return more

    def request(
        self, users: Users, at: Any = None, history: History | None = None, added: list[Events] | None = None
    ) -> Request:
        """The queries that `recommend` would ask for these arguments; with ``added`` events besides the log's."""
        return parse_request(
            users,
            at,
            history,
            log=self.log,
            user_vocabulary=self.user_vocabulary,
            item_vocabulary=self.item_vocabulary,
            at_last_event=self.target == "next",
            min_rating=self.config.positive.min_rating,
            events=self.config.positive.events,
            added=added,
        )

    @property
    def predicts_ratings(self) -> bool:
        return self.first.features.rating_model is not None

    @cached_property
    def _feature_names(self) -> tuple[str, ...]:
        """The ranker's features, then the predicted rating for the answer where the ranker does not want it."""
        names = self.ranker.feature_names
        return names if not self.predicts_ratings or "predicted_rating" in names else (*names, "predicted_rating")

    @property
    def _source_names(self) -> tuple[str, ...]:
        return tuple(source.name for source in self.first.sources)

    def similar_items(self, items: Any, k: int = 10) -> pl.DataFrame:
        """The items that most follow from one item, by the model's item-item source, or by its item vectors.

        Args:
            items: one item id or a list of them; an unknown one gets no rows.

        Returns:
            ``item_id``, ``similar_item_id``, ``rank`` (from 1), ``score``; at most k rows per item, never itself.

        Raises:
            QueryError: the model has no source that compares items.
        """
        return similar_items(self.first.sources, self.item_vocabulary, self.items["item_id"], items, k)

    def predict_ratings(self, frame: Any, at_least: float | None = None) -> pl.DataFrame:
        """The table with a column ``predicted_rating`` added (Float32, never null).

        Args:
            frame: ``user_id``, ``item_id`` and, if wanted, ``timestamp`` (in the unit of the log, or datetimes): only
                the user's events strictly before it then count, otherwise all that are known. An unknown user or item
                gets what is predicted for nobody in particular.
            at_least: adds a column ``probability`` too (Float32): how probable a rating of that or more is. Only the
                rating model ``factorization`` can tell.

        Raises:
            DataError: a column is missing.
            QueryError: the model was trained without ratings, a row has no time, or the rating model knows no
                probabilities.
        """
        model = self.first.features.rating_model
        return predict_ratings(model, self.user_vocabulary, self.item_vocabulary, self.log, frame, at_least)

    def save(self, path: str | Path, promote: bool = True) -> Path:
        """Publish the model under a directory.

        Args:
            promote: make it the current version there; otherwise it lies beside those that are kept.

        Returns:
            The folder of the version; its name begins with the artifact's digest.
        """
        from shortlist.saving import save

        return save(self, path, promote)

    @property
    def known_items(self) -> Sequence[Any]:
        """All item ids of the catalogue, in the order of the rows."""
        return self.items["item_id"].to_list()
