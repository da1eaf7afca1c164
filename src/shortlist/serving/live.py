"""The model that answers now, and how another one takes its place without a request noticing."""

import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.cascade import Cascade
from shortlist.data.log import Rows
from shortlist.errors import ArtifactError, DataError
from shortlist.explaining.asking import explain_answer
from shortlist.explaining.facts import TITLE_COLUMNS
from shortlist.explaining.sentences import language_of
from shortlist.filters import allowed_masks
from shortlist.saving import load
from shortlist.serving.live_counts import Collected
from shortlist.serving.logs import log_line
from shortlist.serving.metrics import Metrics
from shortlist.serving.overlay import overlaid
from shortlist.serving.promotion import was_forced
from shortlist.serving.rules_file import RulesFile
from shortlist.serving.soundness import Kinds, faults
from shortlist.serving.store.contract import Store

REST = 20
"""After a recount there is none for so many times as long as it took."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything that one answer is made with. It is never changed; another one takes its place.

    Attributes:
        model: with the changed items of the store.
        base: the model as loaded.
        version: its name, 16 hexadecimal digits.
        known_seq: events of the store up to here are in the model's log.
        known_items: changes of items up to here are in the model's catalogue.
        overlay_version: the latest change of an item that is in ``model``.
        loaded_at: Unix seconds.
        collected: events of the store that move the items' counts; ``None`` = they do not.
    """

    model: Cascade
    base: Cascade
    version: str
    known_seq: int
    known_items: int
    overlay_version: int
    loaded_at: float
    collected: Collected | None = None

    @cached_property
    def item_ids(self) -> list[Any]:
        return list(self.model.known_items)

    @cached_property
    def source_names(self) -> tuple[str, ...]:
        return tuple(source.name for source in self.model.first.sources)

    @cached_property
    def events_per_user(self) -> NDArray[np.int64]:
        """int64 (n_users,): events in the model's log."""
        log = self.model.log
        return np.bincount(log.user_rows, minlength=len(self.model.users))

    @cached_property
    def rating_range(self) -> tuple[float, float] | None:
        """The lowest and the highest rating in the model's log; ``None`` = it has none."""
        ratings = self.model.log.ratings
        ratings = ratings[np.isfinite(ratings)]
        return (float(ratings.min()), float(ratings.max())) if len(ratings) else None

    @cached_property
    def popular(self) -> Rows:
        """int32 (n_items,): all items, the most popular first."""
        counts = self.model.first.fallback.item_counts.before(0)
        return np.argsort(-counts, kind="stable").astype(np.int32)

    @cached_property
    def texts(self) -> pl.Series:
        """What a search looks at: the title, or all texts of an item; in small letters."""
        items = self.model.items
        texts = [name for name, kind in items.schema.items() if kind == pl.String]
        names = [name for name in TITLE_COLUMNS if name in texts][:1] or texts or ["item_id"]
        shown = [pl.col(name).cast(pl.String).fill_null("") for name in names]
        return items.select(pl.concat_str(shown, separator="\n").str.to_lowercase()).to_series()

    def warm(self) -> None:
        """Ask once, so that nothing is computed for the first time while somebody waits."""
        n = self.model.config.retrieval.candidates
        queries = self.model.request([None, *self.model.users["user_id"].head(2).to_list()]).queries
        allowed = allowed_masks(np.ones(len(self.model.items), dtype=bool), len(queries), None)
        ranked, *_ = self.model.rank(queries, allowed, n)
        explain_answer(self.model.explainer, queries.block(0, 1), ranked, language_of(True))
        _ = self.item_ids, self.popular, self.texts, self.events_per_user, self.rating_range


class Live:
    """Holds the bundle that answers, and makes the next one.

    Args:
        folder: a directory with versions, or the folder of one version.
        store: the store of events, if there is one.
        move_counts: events move the items' counts too, see `shortlist.serving.live_counts`.

    Attributes:
        rules: those that answers follow; fitted to each model before it answers.

    Raises:
        ArtifactError: the promoted model cannot be loaded, or must not answer.
        StoreError: the store holds ids of another kind.
    """

    def __init__(self, folder: Path, store: Store | None, metrics: Metrics, move_counts: bool = False) -> None:
        self.folder, self.store, self.metrics = folder, store, metrics
        self.move_counts = move_counts and store is not None
        self._recount_at = 0.0
        self.rules: RulesFile | None = None
        self.refused: tuple[str, str] | None = None
        self._beside: Bundle | None = None
        self._lock = threading.Lock()
        self.one_version = (folder / "manifest.json").is_file()
        begin = time.perf_counter()
        self.bundle = self._loaded()
        if store is not None:
            model = self.bundle.model
            store.require_id_kinds(model.user_vocabulary.kind, model.item_vocabulary.kind)
        self._told(time.perf_counter() - begin)

    def promoted(self) -> str | None:
        """The version that CURRENT names now; ``None`` = it cannot be read."""
        return self.bundle.version if self.one_version else self._pointed("CURRENT")

    def previous(self) -> str | None:
        """The version that was promoted before; ``None`` = there is none."""
        return None if self.one_version else self._pointed("PREVIOUS")

    def _pointed(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None

    def beside(self, version: str) -> Bundle:
        """Another version than the one that answers, loaded when it is first asked for.

        One such version is kept in memory: the one asked for last, until another version is promoted.

        Raises:
            ArtifactError: it cannot be loaded, or must not answer.
        """
        with self._lock:
            bundle, beside = self.bundle, self._beside
            if version == bundle.version:
                return bundle
            if beside is None or beside.version != version:
                self._beside = None  # never three in memory
                beside = self._loaded(self.folder / version)
            elif beside.overlay_version < bundle.overlay_version:
                beside = self._overlaid(beside)
            self._beside = beside
            return beside

    def follow(self, again: bool = False) -> bool:
        """Serve the promoted version if another one is served now; whether the model changed.

        A version that cannot be served is refused once, and the one before goes on answering.

        Args:
            again: try also a version that was refused before.
        """
        promoted = self.promoted()
        refused = self.refused[0] if self.refused and not again else None
        if promoted is None or promoted in (self.bundle.version, refused):
            if promoted == self.bundle.version:
                self.refused = None
            return False
        with self._lock:
            begin = time.perf_counter()
            if self.promoted() == self.bundle.version:  # another thread was faster
                return False
            try:
                bundle = self._loaded()
            except (ArtifactError, DataError, OSError) as error:
                self.refused = promoted, str(error)
                self.metrics.swaps.labels("refused").inc()
                log_line("model refused", version=promoted, serving=self.bundle.version, reason=str(error))
                return False
            self.bundle, self.refused, self._beside = bundle, None, None
        self._told(time.perf_counter() - begin)
        return True

    def refresh_items(self) -> None:
        """Let the items that the store has changed since the last time take part in answers."""
        if self.store is None:
            return
        with self._lock:
            bundle = self.bundle
            changes = self.store.items_since(bundle.overlay_version)
            if changes:
                self.bundle = self._overlaid(bundle)

    def recount(self) -> None:
        """Let the events that have come since the last time move the items' counts; large logs wait a little longer."""
        if not self.move_counts or time.monotonic() < self._recount_at:
            return
        with self._lock:
            begin, bundle = time.monotonic(), self.bundle
            if bundle.collected is not None and bundle.collected.read_on():
                made = replace(bundle, model=bundle.collected.counted())
                self._warm(made)
                self.bundle = made
            self._recount_at = time.monotonic() + REST * (time.monotonic() - begin)

    def _loaded(self, folder: Path | None = None) -> Bundle:
        """The promoted version, or the one in a folder."""
        model = load(folder or self.folder)
        version = model.digest[:16]
        found = faults(model, self._store_kinds())
        if found and not was_forced(self.folder, version):
            raise ArtifactError(f"version {version} must not answer: {'; '.join(found)}")
        known = model.record.get("store") or {}
        ours = self.store is not None and known.get("store_id") == self.store.store_id
        seq, items = (int(known["last_seq"]), int(known.get("item_version", 0))) if ours else (0, 0)
        bundle = Bundle(model, model, version, seq, items, items, time.time())
        bundle = self._overlaid(bundle)
        self._warm(bundle)
        return bundle

    def _overlaid(self, bundle: Bundle) -> Bundle:
        """The bundle with all that the store adds to its base."""
        overlays = self.store.items_since(bundle.known_items) if self.store is not None else []
        if not overlays and not self.move_counts:
            return bundle
        model, version = bundle.base, bundle.overlay_version
        if overlays:
            model, version = overlaid(bundle.base, overlays), overlays[-1].version
        collected = None
        if self.move_counts and self.store is not None:
            collected = Collected(self.store, model, bundle.known_seq)
            collected.read_on()
            model = collected.counted()
        made = replace(bundle, model=model, overlay_version=version, collected=collected)
        self._warm(made)
        return made

    def _warm(self, bundle: Bundle) -> None:
        bundle.warm()
        if self.rules is not None:
            self.rules.fit(bundle.model)

    def _store_kinds(self) -> Kinds:
        return (None, None) if self.store is None else self.store.id_kinds()

    def _told(self, seconds: float) -> None:
        self.metrics.swaps.labels("served").inc()
        self.metrics.model_loaded_at.set(self.bundle.loaded_at)
        model = self.bundle.model
        log_line(
            "model loaded",
            version=self.bundle.version,
            items=len(model.items),
            users=len(model.users),
            seconds=round(seconds, 3),
        )
