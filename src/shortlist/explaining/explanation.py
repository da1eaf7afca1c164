"""What an explanation holds; the same objects in the library and over HTTP."""

from msgspec import Struct


class Because(Struct, frozen=True):
    """An item of the history and its share of a source's score; below 0 = it speaks against the item."""

    item_id: int | str
    share: float


class SourceReason(Struct, frozen=True):
    """What one source says of the item.

    ``rank`` counts in the whole catalogue, ``score`` is the source's own (of popularity: how often the item was taken
    up). ``because`` holds the history's items with the largest shares; empty where the score is no sum over them.
    """

    source: str
    rank: int
    score: float
    proposed: bool
    because: list[Because]


class FeatureShare(Struct, frozen=True):
    """``value`` is null where it is not known."""

    feature: str
    value: float | None
    contribution: float


class GroupShare(Struct, frozen=True):
    """What features that belong together add to the score, the largest first."""

    group: str
    contribution: float
    features: list[FeatureShare]


class RatingTerm(Struct, frozen=True):
    """A term of the predicted rating, which is their sum."""

    term: str
    contribution: float


class Explanation(Struct, frozen=True):
    """Why an item stands where it stands.

    ``base`` and the contributions in ``ranking`` sum to ``score``. Without a score (below the ranked candidates)
    ``ranking`` is empty. ``rating`` is null where nothing predicts ratings.
    """

    sentence: str
    sources: list[SourceReason]
    score: float | None
    base: float
    ranking: list[GroupShare]
    rating: list[RatingTerm] | None
