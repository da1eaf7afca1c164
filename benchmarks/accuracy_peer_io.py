"""What the peers' halves of ``accuracy.py`` share. They have no Shortlist, but NumPy, SciPy, pandas and pyarrow.

The folder of a job holds ``train.parquet`` (user_id, item_id, timestamp), ``asked.parquet`` (user_id: known users),
``histories.parquet`` (user_id, item_id: users who are not in training, oldest first) and ``job.json``. Each trial
leaves ``lists_N.parquet`` (user_id, item_id, rank) there; ``result.json`` has what each took.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp


class Job:
    """A job with its rows as numbers.

    Attributes:
        users, items: the ids in training by row number.
        matrix: float32 (n_users, n_items), how often each user took each item.
        asked: ids of the known users to answer.
        asked_rows: their row numbers.
        new_users: ids of the users with a history of their own.
        histories: their rows, like ``matrix``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options: dict[str, Any] = json.loads((folder / "job.json").read_text())
        self.train, asked, histories = (
            pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "asked", "histories")
        )
        self.users, user_rows = np.unique(self.train["user_id"].to_numpy(), return_inverse=True)
        self.items, item_rows = np.unique(self.train["item_id"].to_numpy(), return_inverse=True)
        self.matrix = self.counts(user_rows, item_rows, len(self.users))
        self.asked = asked["user_id"].to_numpy()
        self.asked = self.asked[np.isin(self.asked, self.users)]
        self.asked_rows = np.searchsorted(self.users, self.asked)
        histories = histories[histories["item_id"].isin(self.items)]
        self.new_users, new_rows = np.unique(histories["user_id"].to_numpy(), return_inverse=True)
        taken = np.searchsorted(self.items, histories["item_id"].to_numpy())
        self.histories = self.counts(new_rows, taken, len(self.new_users))

    def counts(self, user_rows: np.ndarray, item_rows: np.ndarray, n_users: int) -> sp.csr_matrix:
        ones = np.ones(len(user_rows), dtype=np.float32)
        return sp.csr_matrix((ones, (user_rows, item_rows)), shape=(n_users, len(self.items)))

    def table(self, users: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
        """Lists as int (n_users, k) item rows, -1 = padding, as a table."""
        places, ranks = np.nonzero(rows >= 0)
        return pd.DataFrame(
            {"user_id": users[places], "item_id": self.items[rows[places, ranks]], "rank": ranks + 1},
        )


def run(models: dict[str, Callable[[Job, dict[str, Any]], pd.DataFrame]], packages: tuple[str, ...]) -> None:
    """Answer the job in the folder named on the command line, once with each of its settings."""
    job = Job(Path(sys.argv[1]))
    model = models[job.options["model"]]
    seconds = []
    for number, settings in enumerate(job.options["settings"]):
        started = time.process_time()
        lists = model(job, settings)
        seconds.append(time.process_time() - started)
        lists.to_parquet(job.folder / f"lists_{number}.parquet", index=False)
        print(f"{job.options['model']} {number}: {settings} {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
    result = {
        "cpu_seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "versions": {name: version(name) for name in packages},
    }
    (job.folder / "result.json").write_text(json.dumps(result))
