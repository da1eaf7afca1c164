"""One recipe per source: which settings are worth a trial, and how it is fitted by one of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import scipy.sparse as sp

from shortlist.data.log import Log
from shortlist.retrieval.content import AttributeColumns, Content
from shortlist.retrieval.item_item import ItemItem, keep_strongest
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.retrieval.vectors import FoldedVectors
from shortlist.stages import Source
from shortlist.training.plan import Plan, Settings
from shortlist.training.retrieval.als import fit_als
from shortlist.training.retrieval.content import MOST_VALUES, fit_content
from shortlist.training.retrieval.covisitation import count_covisits, fit_covisitation, normalise, strongest_followers
from shortlist.training.retrieval.ease import MAX_ITEMS, ease_weights, fit_ease, gram_matrix, items_to_invert, spread


class Recipe(ABC):
    """How one source is made. A subclass says how it is fitted, and what else it does not share with the others.

    Attributes:
        name: of the source, as the configuration has it.
        frozen: fitted once, on the earliest shift, and not again from shift to shift: only the histories move on.
    """

    name: ClassVar[str]
    frozen: ClassVar[bool] = False

    def refused(self, plan: Plan) -> str | None:
        """Why these data do not allow it; ``None`` = they do."""
        return None

    def grid(self, plan: Plan) -> list[Settings]:
        """The settings to choose from. The first one serves where the log is too small to choose."""
        return [{}]

    @abstractmethod
    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        """The source, fitted on a log and on nothing else, by one of the grid's settings."""

    def variants(self, plan: Plan, log: Log) -> Iterator[tuple[Settings, Source]]:
        """Every setting of the grid with the source fitted by it; a subclass may compute once what they share."""
        for settings in self.grid(plan):
            yield settings, self.fit(plan, log, settings)


def needs_order(plan: Plan) -> str | None:
    return None if plan.order else "the order of events is not known or not used"


class AllTime(Recipe):
    name = "popularity"

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        return Popularity(self.name, ItemCounts.of(log))


class Decayed(Recipe):
    name = "popularity_decayed"

    def refused(self, plan: Plan) -> str | None:
        return needs_order(plan)

    def grid(self, plan: Plan) -> list[Settings]:
        return [{"half_life": half_life} for half_life in plan.config.retrieval.popularity.half_life]

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        return Popularity(self.name, ItemCounts.of(log), half_life=settings["half_life"])


class Recent(Recipe):
    name = "popularity_recent"

    def refused(self, plan: Plan) -> str | None:
        return needs_order(plan)

    def grid(self, plan: Plan) -> list[Settings]:
        return [{"window": window} for window in plan.config.retrieval.popularity.recent]

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        return Popularity(self.name, ItemCounts.of(log), window=settings["window"])


class Ease(Recipe):
    name = "ease"

    def refused(self, plan: Plan) -> str | None:
        return (
            f"{plan.n_items:,} items; its dense matrix has room for {MAX_ITEMS:,}" if plan.n_items > MAX_ITEMS else None
        )

    def grid(self, plan: Plan) -> list[Settings]:
        settings = plan.config.retrieval.ease
        return [
            {"regularisation": regularisation, "decay": decay}
            for regularisation in settings.regularisation
            for decay in (settings.decay if plan.order else (1.0,))
        ]

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        return fit_ease(
            log,
            regularisation=settings["regularisation"],
            decay=settings["decay"],
            neighbours=plan.config.retrieval.ease.neighbours,
        )

    def variants(self, plan: Plan, log: Log) -> Iterator[tuple[Settings, Source]]:
        items = items_to_invert(log.positives())
        gram = gram_matrix(log.positives(), items)
        regularisation, matrix = None, None
        for settings in self.grid(plan):
            if matrix is None or settings["regularisation"] != regularisation:
                regularisation = settings["regularisation"]
                strongest = keep_strongest(ease_weights(gram, regularisation), plan.config.retrieval.ease.neighbours)
                matrix = spread(strongest, items, log.n_items)
            yield settings, ItemItem.of(self.name, matrix, settings["decay"])


class Covisitation(Recipe):
    name = "covisitation"

    def grid(self, plan: Plan) -> list[Settings]:
        settings = plan.config.retrieval.covisitation
        return [
            {"window": window, "popularity_power": power, "decay": decay}
            for window in (settings.window if plan.order else (0,))
            for power in settings.popularity_power
            for decay in (settings.decay if plan.order else (1.0,))
        ]

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        return fit_covisitation(
            log,
            window=int(settings["window"]),
            popularity_power=settings["popularity_power"],
            decay=settings["decay"],
            neighbours=plan.config.retrieval.covisitation.neighbours,
        )

    def variants(self, plan: Plan, log: Log) -> Iterator[tuple[Settings, Source]]:
        neighbours = plan.config.retrieval.covisitation.neighbours
        counts: dict[float, sp.csr_matrix] = {}
        matrices: dict[tuple[float, float], sp.csr_matrix] = {}
        for settings in self.grid(plan):
            window, power = settings["window"], settings["popularity_power"]
            if window not in counts:
                counts = {window: count_covisits(log, int(window))}
            if (window, power) not in matrices:
                matrices = {(window, power): strongest_followers(normalise(counts[window], power), neighbours)}
            yield settings, ItemItem.of(self.name, matrices[window, power], settings["decay"])


class Als(Recipe):
    name = "als"

    def grid(self, plan: Plan) -> list[Settings]:
        settings = plan.config.retrieval.als
        return [
            {"regularisation": regularisation, "fit_decay": fit_decay, "decay": decay}
            for fit_decay in (settings.fit_decay if plan.order else (1.0,))
            for regularisation in settings.regularisation
            for decay in (settings.decay if plan.order else (1.0,))
        ]

    def fit(self, plan: Plan, log: Log, settings: Settings) -> FoldedVectors:
        fixed = plan.config.retrieval.als
        return fit_als(
            log,
            regularisation=settings["regularisation"],
            unobserved=fixed.unobserved,
            dimension=fixed.dimension,
            iterations=fixed.iterations,
            decay=settings["decay"],
            fit_decay=settings["fit_decay"],
            seed=plan.config.seed,
        )

    def variants(self, plan: Plan, log: Log) -> Iterator[tuple[Settings, Source]]:
        fitted: dict[tuple[float, float], FoldedVectors] = {}
        for settings in self.grid(plan):
            by = settings["regularisation"], settings["fit_decay"]
            if by not in fitted:
                fitted = {by: self.fit(plan, log, settings)}
            yield settings, replace(fitted[by], decay=settings["decay"])


class FromAttributes(Recipe):
    name = "content"

    def refused(self, plan: Plan) -> str | None:
        told_apart = len(AttributeColumns.of(plan.items, MOST_VALUES)) > 0
        return None if told_apart else "the items have no attribute that two of them share"

    def grid(self, plan: Plan) -> list[Settings]:
        return [{"decay": decay} for decay in (plan.config.retrieval.content.decay if plan.order else (1.0,))]

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Content:
        fixed = plan.config.retrieval.content
        return fit_content(
            log,
            plan.items,
            dimension=fixed.dimension,
            ridge=fixed.ridge,
            decay=settings["decay"],
            seed=plan.config.seed,
        )

    def variants(self, plan: Plan, log: Log) -> Iterator[tuple[Settings, Source]]:
        source = self.fit(plan, log, self.grid(plan)[0])
        for settings in self.grid(plan):
            yield settings, replace(source, decay=settings["decay"])


class Repeats(Recipe):
    """What the user has taken up before, the often and the lately taken up first."""

    name = "repeats"

    def refused(self, plan: Plan) -> str | None:
        return "what a user has is not recommended again" if plan.filter_seen else None

    def grid(self, plan: Plan) -> list[Settings]:
        return [{"decay": decay} for decay in (plan.config.retrieval.repeats.decay if plan.order else (1.0,))]

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        return ItemItem.of(self.name, sp.identity(log.n_items, dtype="float32", format="csr"), settings["decay"])


class TwoTower(Recipe):
    name = "two_tower"
    frozen = True

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        from shortlist.training.retrieval.two_tower import fit_two_tower

        return fit_two_tower(log.positives(), plan.config.retrieval.two_tower, seed=plan.config.seed, name=self.name)


class HistoryModelRecipe(Recipe):
    """A model that finds its number of epochs where it is first fitted."""

    frozen = True

    def fit(self, plan: Plan, log: Log, settings: Settings) -> Source:
        return self._fit(plan, log, int(settings["epochs"]) if "epochs" in settings else None)[0]

    def variants(self, plan: Plan, log: Log) -> Iterator[tuple[Settings, Source]]:
        encoder, epochs = self._fit(plan, log, None)
        yield {"epochs": epochs}, encoder

    @abstractmethod
    def _fit(self, plan: Plan, log: Log, epochs: int | None) -> tuple[Source, int]:
        """The source and the number of its epochs, found by validation where ``None`` is given."""


class HistoryTower(HistoryModelRecipe):
    name = "history_tower"

    def refused(self, plan: Plan) -> str | None:
        if plan.order or not {"ease", "als"} & set(plan.config.retrieval.sources):
            return None
        return "with held-out rows it would be fitted anew for each fold, and closed forms are there"

    def _fit(self, plan: Plan, log: Log, epochs: int | None) -> tuple[Source, int]:
        from shortlist.training.retrieval.history_tower import fit_history_tower

        return fit_history_tower(
            log,
            plan.config.retrieval.history_tower,
            seed=plan.config.seed,
            item_attributes=AttributeColumns.of(plan.items, MOST_VALUES).matrix(plan.items),
            user_attributes=sp.hstack(plan.user_groups, format="csr") if plan.user_groups else None,
            ordered=plan.order,
            epochs=epochs,
            name=self.name,
        )


class Sequence(HistoryModelRecipe):
    name = "sequence"

    def refused(self, plan: Plan) -> str | None:
        return needs_order(plan)

    def _fit(self, plan: Plan, log: Log, epochs: int | None) -> tuple[Source, int]:
        from shortlist.training.retrieval.sequence import fit_sequence

        return fit_sequence(log, plan.config.retrieval.sequence, seed=plan.config.seed, epochs=epochs, name=self.name)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        AllTime(),
        Decayed(),
        Recent(),
        Ease(),
        Covisitation(),
        Als(),
        FromAttributes(),
        Repeats(),
        TwoTower(),
        HistoryTower(),
        Sequence(),
    )
}
