"""A check that what a ranker learns from knows only the past."""

from collections.abc import Callable

from shortlist.cascade import FirstStage
from shortlist.data.log import Log
from shortlist.training.ranker import shift_rows
from shortlist.training.shifts import Shift


def leaking_features(
    fit: Callable[[Log, Shift], FirstStage], log: Log, shift: Shift, names: tuple[str, ...], n: int, filter_seen: bool
) -> tuple[str, ...]:
    """The features of a shift that change when everything outside its history is taken out of the log.

    Args:
        fit: how stage 1 is fitted for a shift, with the log at hand.
        log: the whole one.
        names: of the features.
        n: length of the shortlists.

    Returns:
        Their names; ``"candidates"`` where the shortlists themselves change. Empty = only the past is known.
    """
    knowing = shift_rows(fit(log, shift), names, shift, n, filter_seen)
    blind = shift_rows(fit(shift.history, shift), names, shift, n, filter_seen)
    if knowing.features.shape != blind.features.shape or (knowing.item_rows != blind.item_rows).any():
        return ("candidates",)
    pairs = zip(names, knowing.features.T, blind.features.T, strict=True)
    return tuple(name for name, one, other in pairs if one.tobytes() != other.tobytes())
