"""What is fitted, the same for every shift and for the final fit."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from shortlist.config import Config
from shortlist.data.log import Floats
from shortlist.ranking.bias import RatingModel
from shortlist.stages import Source
from shortlist.training.ranking.rating_features import Groups

Settings = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """The parts that follow from the data and the configuration alone, then what validation chose.

    Attributes:
        order: whether what came first is known and may be used.
        seconds: whether the times are seconds, so that days mean something.
        filter_seen: whether an answer leaves out what the user has.
        n_items: size of the catalogue.
        items: the catalogue: ``item_id`` and attributes.
        source_names: the configured sources that these data allow.
        left_out: the others, and why.
        chosen: settings per source name.
        new_share: of what users took up on the shift that settings are chosen by, the part without events before it.
        trials: every setting tried, with its validation figure: for the record.
        frozen: sources that are not fitted again from shift to shift; none in the plan of the final fit.
        frozen_ratings: the rating model, where it is not fitted again from shift to shift.
        user_groups, item_groups: the attributes as the models that learn a vector per value read them.
    """

    config: Config
    order: bool
    seconds: bool
    filter_seen: bool
    attributes: Floats
    numbers: Floats
    number_names: tuple[str, ...]
    n_items: int
    items: pl.DataFrame
    source_names: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, Settings] = field(default_factory=dict)
    new_share: float = 0.0
    trials: list[dict[str, Any]] = field(default_factory=list)
    frozen: dict[str, Source] = field(default_factory=dict)
    frozen_ratings: RatingModel | None = None
    user_groups: Groups = ()
    item_groups: Groups = ()
