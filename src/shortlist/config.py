"""One typed tree of settings, from TOML or Python; the presets.

An unknown key or a value out of range is refused by name.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shortlist.errors import ConfigError
from shortlist.neural_settings import HistoryTowerSettings, RatingNetworkSettings, SequenceSettings, TwoTowerSettings

Target = Literal["window", "next", "random"]
SourceName = Literal[
    "popularity",
    "popularity_decayed",
    "popularity_recent",
    "ease",
    "covisitation",
    "als",
    "content",
    "repeats",
    "two_tower",
    "history_tower",
    "sequence",
]
Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]
Decay = Annotated[float, Meta(gt=0, le=1)]
Power = Annotated[float, Meta(ge=0, le=1)]


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all settings share: immutable, no unknown fields, keywords only."""


class PositiveSettings(Struct, frozen=True):
    """What counts as a positive; an event that does not is still seen.

    Attributes:
        min_rating: the lowest rating that counts; ``None`` = any. Events without a rating count.
        events: the values of ``event`` that count; empty = all.
    """

    min_rating: float | None = None
    events: tuple[str, ...] = ()


class EaseSettings(Struct, frozen=True):
    """Values to choose from on validation inside the training data (a single value is taken as it is).

    Attributes:
        regularisation: λ.
        decay: weight of a history event relative to the next newer one; only 1 is tried where order means nothing.
        neighbours: strongest weights kept per item.
    """

    regularisation: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (100.0, 250.0, 500.0, 1000.0)
    decay: Annotated[tuple[Decay, ...], Meta(min_length=1)] = (1.0, 0.95, 0.9, 0.8)
    neighbours: Count = 1000


class CovisitationSettings(Struct, frozen=True):
    """Values to choose from, as in `EaseSettings`.

    Attributes:
        window: events of distance that still count.
        popularity_power: how far popular targets are held back.
        decay: weight of a history event relative to the next newer one.
        neighbours: strongest followers kept per item.
    """

    window: Annotated[tuple[Count, ...], Meta(min_length=1)] = (5, 20, 1)
    popularity_power: Annotated[tuple[Power, ...], Meta(min_length=1)] = (0.0, 0.25, 0.5)
    decay: Annotated[tuple[Decay, ...], Meta(min_length=1)] = (0.6, 0.7, 0.8, 0.9, 0.3, 0.1)
    neighbours: Count = 512


class AlsSettings(Struct, frozen=True):
    """How ALS is fitted; of regularisation and decay the values to choose from, as in `EaseSettings`.

    Attributes:
        regularisation: relative to what an average user's events weigh; what suits depends little on the data's size.
        decay: weight of a history event relative to the next newer one; only 1 is tried where order means nothing.
        fit_decay: the same in the fit, where all events of all users count.
        unobserved: weight of all pairs as no evidence, relative to that of all positives.
        dimension: length of a vector.
        iterations: times that all users and all items are solved for.
    """

    regularisation: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (0.18, 0.08, 0.03, 0.4)
    decay: Annotated[tuple[Decay, ...], Meta(min_length=1)] = (1.0, 0.95, 0.9, 0.8)
    fit_decay: Annotated[tuple[Decay, ...], Meta(min_length=1)] = (1.0, 0.98)
    unobserved: Positive = 16.0
    dimension: Count = 64
    iterations: Count = 6


class ContentSettings(Struct, frozen=True):
    """How content is fitted.

    Attributes:
        decay: weight of a history event relative to the next newer one; values to choose from, as in `EaseSettings`.
        dimension: length of a vector.
        ridge: how many items have to share a value before half of what they have in common counts.
    """

    decay: Annotated[tuple[Decay, ...], Meta(min_length=1)] = (1.0, 0.9, 0.8)
    dimension: Count = 32
    ridge: Positive = 10.0


class PopularitySettings(Struct, frozen=True):
    """Windows in ticks (days, where times are seconds and the log is longer than two months).

    Attributes:
        recent: the last-N window to choose from.
        half_life: of the decayed list, to choose from.
    """

    recent: Annotated[tuple[Count, ...], Meta(min_length=1)] = (7, 14, 30, 3, 1)
    half_life: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (7.0, 30.0, 90.0, 2.0)


class RepeatsSettings(Struct, frozen=True):
    """Values to choose from, as in `EaseSettings`.

    Attributes:
        decay: weight of a history event relative to the next newer one.
    """

    decay: Annotated[tuple[Decay, ...], Meta(min_length=1)] = (0.98, 0.9, 0.7, 1.0)


class RetrievalSettings(Struct, frozen=True):
    """Stage 1.

    Attributes:
        sources: which ones; left out, with the reason in the record, are those that the data do not allow.
        candidates: length of the shortlist.
    """

    sources: Annotated[tuple[SourceName, ...], Meta(min_length=1)] = (
        "popularity",
        "popularity_decayed",
        "popularity_recent",
        "ease",
        "covisitation",
        "als",
        "content",
        "repeats",
        "history_tower",
    )
    candidates: Count = 200
    popularity: PopularitySettings = PopularitySettings()
    ease: EaseSettings = EaseSettings()
    covisitation: CovisitationSettings = CovisitationSettings()
    als: AlsSettings = AlsSettings()
    content: ContentSettings = ContentSettings()
    repeats: RepeatsSettings = RepeatsSettings()
    two_tower: TwoTowerSettings = TwoTowerSettings()
    history_tower: HistoryTowerSettings = HistoryTowerSettings(cells=40_000_000_000)
    sequence: SequenceSettings = SequenceSettings()


class TreesSettings(Struct, frozen=True):
    """Boosted symmetric trees.

    Attributes:
        max_trees: at most; validation chooses how many.
        depth: questions per tree.
        learning_rate: shrinkage.
        negatives: unlabelled candidates per query in training, drawn at random; 0 = all.
        most_rows: of unlabelled candidates in all; where there are more queries, each has fewer of them.
        step: sizes are tried in steps of so many trees.
    """

    max_trees: Count = 240
    depth: Annotated[int, Meta(ge=1, le=10)] = 6
    learning_rate: Positive = 0.05
    negatives: Annotated[int, Meta(ge=0)] = 100
    most_rows: Count = 800_000
    step: Count = 40


QUICK_TREES = TreesSettings(max_trees=120, learning_rate=0.1, negatives=40, step=20)


class RatingFactorizationSettings(Struct, frozen=True):
    """How the Bayesian factorization machine is fitted. CPU time grows with ratings, chains, iterations and rank.

    Attributes:
        most_ratings: in a log with more, biases predict instead, so that a fit stays within minutes.
        rank: dimensions of each feature's vector.
        chains: independent runs of the sampler, averaged.
        iterations: of each chain.
        burn_in: first iterations that do not count.
        samples: kept of each chain, evenly spaced, at most.
        head: ``probit``: a rating is a level; ``regression``: it is a number (also where there are over 20 levels).
        threshold_groups: groups of users, by how far apart their ratings lie, with thresholds of their own; as many as
            have 2,000 ratings each, at most.
        dimension: numbers kept per user and item of all samples' vectors.
        day_dimension: likewise, for what changes with the day.
    """

    most_ratings: Count = 2_000_000
    rank: Count = 8
    chains: Count = 1
    iterations: Count = 100
    burn_in: Annotated[int, Meta(ge=0)] = 20
    samples: Count = 80
    head: Literal["probit", "regression"] = "probit"
    threshold_groups: Count = 32
    dimension: Count = 64
    day_dimension: Count = 32


class RankingSettings(Struct, frozen=True):
    """Stage 2.

    Attributes:
        ranker: ``trees``; ``fusion`` (no training); ``rating`` = sort by predicted rating, as the tutorial does.
        rating_model: what predicts ratings, where there are any.
        shifts: how many training moments (windows, held-out positions or folds) the ranker sees, the validating one
            included.
    """

    ranker: Literal["trees", "fusion", "rating"] = "trees"
    rating_model: Literal["bias", "network", "factorization", "none"] = "factorization"
    shifts: Annotated[int, Meta(ge=2, le=20)] = 4
    trees: TreesSettings = TreesSettings()
    rating_network: RatingNetworkSettings = RatingNetworkSettings()
    rating_factorization: RatingFactorizationSettings = RatingFactorizationSettings()


class Config(Struct, frozen=True):
    """All settings of a run.

    Attributes:
        preset: where the values came from.
        seed: of every random choice.
        threads: of the trees' trainer; one gives the same artifact digest twice.
        filter_seen: whether an answer leaves out what the user has; ``None`` = unless the data repeat.
        positive: what counts as positive.
    """

    preset: str = "default"
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    threads: Count = 2
    filter_seen: bool | None = None
    positive: PositiveSettings = PositiveSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    ranking: RankingSettings = RankingSettings()


LONG_RATINGS = RatingFactorizationSettings(
    most_ratings=30_000_000, rank=32, chains=2, iterations=500, burn_in=50, samples=200
)
PRESETS: dict[str, Config] = {
    "default": Config(),
    "best": Config(
        preset="best",
        retrieval=RetrievalSettings(
            sources=(*RetrievalSettings().sources, "sequence"),
            history_tower=HistoryTowerSettings(cells=60_000_000_000),
            sequence=SequenceSettings(),
        ),
        ranking=RankingSettings(
            rating_factorization=RatingFactorizationSettings(
                most_ratings=5_000_000, rank=16, chains=2, iterations=150, burn_in=30, samples=120
            )
        ),
    ),
    "fast": Config(
        preset="fast",
        retrieval=RetrievalSettings(
            sources=("popularity", "popularity_decayed", "popularity_recent", "ease", "covisitation", "repeats")
        ),
        ranking=RankingSettings(rating_model="bias", trees=QUICK_TREES),
    ),
    "tutorial": Config(
        preset="tutorial",
        filter_seen=False,
        retrieval=RetrievalSettings(sources=("two_tower",), candidates=10),
        ranking=RankingSettings(
            ranker="rating", rating_model="network", rating_network=RatingNetworkSettings(averaging=0.9)
        ),
    ),
    "ratings": Config(
        preset="ratings",
        retrieval=RetrievalSettings(sources=("popularity", "ease", "covisitation")),
        ranking=RankingSettings(ranker="rating", rating_model="factorization", rating_factorization=LONG_RATINGS),
    ),
}
"""``default``: every source but the transformer, trees and a short rating model: minutes.

``best``: the transformer as well, and two chains of the rating model.

``fast``: closed forms, trees and rating biases: seconds.

``ratings``: all effort on the error of predicted ratings (docs/ratings.md); the shortlist is sorted by them.

``tutorial``: the well-known tutorial as it is: two towers of ids retrieve ten, a rating network sorts them, seen items
stay. One thing is added: the network answers with a moving average of its weights, which takes away the luck of the
last epoch (chosen on validation, docs/two-tower.md)."""


def load_config(config: "Config | str | Path | dict[str, Any] | None" = None) -> Config:
    """Settings from a preset's name, a TOML file, a dictionary, or as they are.

    A file or dictionary may name a ``preset``, whose values it then changes.

    Raises:
        ConfigError: a key is unknown or a value is not allowed; the message says which.

    >>> load_config({"preset": "fast", "retrieval": {"candidates": 50}}).retrieval.candidates
    50
    >>> load_config({"retrieval": {"candidate": 50}})
    Traceback (most recent call last):
      ...
    shortlist.errors.ConfigError: unknown setting 'retrieval.candidate'; did you mean 'candidates'?
    """
    if config is None:
        return PRESETS["default"]
    if isinstance(config, Config):
        return config
    if isinstance(config, str) and not config.endswith(".toml"):
        return preset(config)
    if isinstance(config, str | Path):
        config = _read_toml(Path(config))
    if not isinstance(config, dict):
        raise ConfigError(f"expected a preset, a TOML file, a dictionary or a Config, got {type(config).__name__}")
    base = msgspec.to_builtins(preset(config.get("preset", "default")))
    return _convert(_merged(base, config))


def preset(name: str) -> Config:
    """The settings of a preset, by name."""
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ConfigError(f"{path}: not readable: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return read


def _merged(base: dict[str, Any], changes: dict[str, Any], path: str = "") -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if key not in base:
            close = difflib.get_close_matches(str(key), base, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(base)}"
            raise ConfigError(f"unknown setting {path + str(key)!r}; {hint}")
        nested = isinstance(base[key], dict) and isinstance(value, dict)
        merged[key] = _merged(base[key], value, f"{path}{key}.") if nested else value
    return merged


def _convert(values: dict[str, Any]) -> Config:
    try:
        return msgspec.convert(values, Config, strict=True)
    except msgspec.ValidationError as error:
        message = str(error)
        where = re.search(r" - at `\$\.?(.*)`$", message)
        setting = where.group(1) if where else "the configuration"
        raise ConfigError(f"setting {setting!r}: {message.partition(' - at ')[0]}") from error
