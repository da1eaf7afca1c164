"""`implicit` for ``accuracy.py``: ALS and BPR. Runs in the peer's environment (``requirements-implicit.txt``)."""

from typing import Any

import numpy as np
import pandas as pd
from accuracy_peer_io import Job, run
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking


def als(job: Job, settings: dict[str, Any]) -> pd.DataFrame:
    """New users are folded in by ``recalculate_user``."""
    model = AlternatingLeastSquares(**settings, random_state=0, num_threads=1)
    model.fit(job.matrix, show_progress=False)
    known = recommend(job, model, job.asked_rows, job.matrix[job.asked_rows])
    tables = [job.table(job.asked, known)]
    if len(job.new_users):
        new = recommend(job, model, np.arange(len(job.new_users)), job.histories, recalculate_user=True)
        tables.append(job.table(job.new_users, new))
    return pd.concat(tables)


def bpr(job: Job, settings: dict[str, Any]) -> pd.DataFrame:
    """It has no answer for users it was not fitted with."""
    model = BayesianPersonalizedRanking(**settings, random_state=0, num_threads=1)
    model.fit((job.matrix > 0).astype(np.float32), show_progress=False)
    return job.table(job.asked, recommend(job, model, job.asked_rows, job.matrix[job.asked_rows]))


def recommend(job: Job, model: Any, users: np.ndarray, matrix: Any, **options: Any) -> np.ndarray:
    filter_seen = job.options["filter_seen"]
    k = min(job.options["k"], len(job.items))
    rows, scores = model.recommend(users, matrix, N=k, filter_already_liked_items=filter_seen, **options)
    return np.where(scores > -1e30, rows, -1)  # what it filters out stands at the end with the least float


if __name__ == "__main__":
    run({"als": als, "bpr": bpr}, ("implicit", "numpy", "scipy"))
