"""RecTools' two-stage model for ``accuracy.py``. Runs in the peer's environment (``requirements-rectools.txt``).

Candidates of popularity, EASE, item-kNN and ALS, each with its rank and score; CatBoost puts them in order. As RecTools
does it: one cut of the training part gives the ranker its rows, then the first stage is fitted on everything. It has no
answer for users it was not fitted with.
"""

import os
from datetime import timedelta
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pandas as pd
from accuracy_peer_io import Job, run
from catboost import CatBoostClassifier, CatBoostRanker
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from rectools.dataset import Dataset
from rectools.model_selection import LastNSplitter, RandomSplitter, TimeRangeSplitter
from rectools.models import EASEModel, ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel, PopularModel
from rectools.models.ranking import CandidateGenerator, CandidateRankingModel, CatBoostReranker, PerUserNegativeSampler

RANKERS = {"classifier": CatBoostClassifier, "ranker": CatBoostRanker}


def two_stage(job: Job, settings: dict[str, Any]) -> pd.DataFrame:
    filter_seen = job.options["filter_seen"]
    dataset = Dataset.construct(interactions(job))
    model = CandidateRankingModel(
        [
            CandidateGenerator(one, settings["candidates"], keep_ranks=True, keep_scores=True, **missing(settings))
            for one in first_stage(job, settings)
        ],
        splitter(job, filter_seen),
        CatBoostReranker(ranker(settings)),
        PerUserNegativeSampler(settings["negatives"], random_state=0),
    )
    model.fit(dataset)
    k = job.options["k"]
    lists = model.recommend(job.asked, dataset, k, filter_seen, on_unsupported_targets="ignore")
    return lists[["user_id", "item_id", "rank"]]


def missing(settings: dict[str, Any]) -> dict[str, float]:
    """What stands for the rank and score of an item that a generator did not propose."""
    return {"ranks_fillna_value": settings["candidates"] + 1, "scores_fillna_value": 0.0}


def interactions(job: Job) -> pd.DataFrame:
    seconds = job.train["timestamp"] if "timestamp" in job.train else pd.Series(range(len(job.train)))
    return pd.DataFrame(
        {
            "user_id": job.train["user_id"],
            "item_id": job.train["item_id"],
            "weight": 1.0,
            "datetime": pd.to_datetime(seconds.to_numpy(), unit="s"),
        }
    )


def first_stage(job: Job, settings: dict[str, Any]) -> list[Any]:
    als = AlternatingLeastSquares(
        factors=settings["factors"],
        regularization=settings["regularization"],
        alpha=settings["alpha"],
        random_state=0,
        num_threads=1,
    )
    in_days = job.options["days"] > 0
    period = timedelta(days=settings["popular_days"]) if in_days and settings["popular_days"] else None
    return [
        PopularModel(period=period),
        EASEModel(settings["ease"], recommend_n_threads=1, recommend_use_gpu_ranking=False),
        ImplicitItemKNNWrapperModel(CosineRecommender(K=settings["neighbours"], num_threads=1)),
        ImplicitALSWrapperModel(als, recommend_n_threads=1, recommend_use_gpu_ranking=False),
    ]


def splitter(job: Job, filter_seen: bool) -> Any:
    filters = {"filter_already_seen": filter_seen}
    if job.options["protocol"] == "next":
        return LastNSplitter(1, 1, **filters)
    if job.options["protocol"] == "time":
        return TimeRangeSplitter(f"{job.options['days']}D", 1, **filters)
    return RandomSplitter(0.2, 1, random_state=0, **filters)


def ranker(settings: dict[str, Any]) -> Any:
    return RANKERS[settings["head"]](
        iterations=settings["trees"],
        depth=settings["depth"],
        learning_rate=settings["learning_rate"],
        random_seed=0,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    )


if __name__ == "__main__":
    run({"two_stage": two_stage}, ("rectools", "pm-implicit", "catboost", "numpy", "scipy"))
