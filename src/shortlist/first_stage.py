"""Stage 1: sources, merged, with the features that stage 2 reads from them."""

from dataclasses import dataclass

from shortlist.data.log import Mask
from shortlist.ranking.features import Features
from shortlist.retrieval.merge import retrieve
from shortlist.retrieval.popularity import Popularity
from shortlist.stages import Candidates, Queries, Source


@dataclass(frozen=True)
class FirstStage:
    """Stage 1 with the features that stage 2 reads from it, all fitted on one log.

    Attributes:
        sources: the retrievers, in the order of the candidates' columns.
        fallback: all-time popularity; tops up where the sources have too little evidence.
        features: turns candidates into rows.
        new_share: of the candidates' places, kept for items without events.
    """

    sources: tuple[Source, ...]
    fallback: Popularity
    features: Features
    new_share: float = 0.0

    def retrieve(self, queries: Queries, allowed: Mask, n: int) -> Candidates:
        """n candidates per query, see `shortlist.retrieval.merge.retrieve`."""
        weights = self.features.weights_of(queries)
        return retrieve(self.sources, self.fallback, queries, allowed, n, weights, self.new_share)
