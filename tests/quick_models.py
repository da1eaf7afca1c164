"""Small models, fitted in a second."""

from shortlist.config import load_config
from shortlist.data.synthetic import two_tastes
from shortlist.training.schedule import train

SMALL = {
    "preset": "fast",
    "threads": 1,
    "retrieval": {
        "candidates": 15,
        "ease": {"regularisation": [50.0], "decay": [1.0]},
        "covisitation": {"window": [5], "popularity_power": [0.0], "decay": [0.8]},
        "popularity": {"recent": [14], "half_life": [30.0]},
    },
    "ranking": {"shifts": 3, "trees": {"max_trees": 20, "depth": 3, "step": 10}},
}
TUTORIAL = {
    "preset": "tutorial",
    "threads": 1,
    "retrieval": {"two_tower": {"epochs": 1, "dimension": 4}},
    "ranking": {"rating_network": {"epochs": 1, "dimension": 4, "hidden": [8, 4]}},
}


def fit(target="window", dataset=None, **changes):
    return train(dataset or two_tastes(), target, load_config(SMALL | changes))


def with_trees(target="window"):
    """A model whose trees answer, whether they beat fusion on so little data or not."""
    from dataclasses import replace

    from shortlist.ranking.blend import Blend
    from shortlist.training.ranker import Choice, fit_final
    from shortlist.training.schedule import prepare
    from shortlist.training.shifts import make_shifts
    from shortlist.training.sources import make_plan

    dataset, config = two_tastes(), load_config(SMALL)
    plan, log = make_plan(dataset, config, target), dataset.log()
    shifts = make_shifts(log, target, 2, 0, True)
    rows = [prepare(plan, shift, True, str).rows for shift in shifts[1:]]
    model = fit(target, ranking=SMALL["ranking"] | {"ranker": "fusion"})
    ranker = fit_final(rows, Choice((("ease_z", 1.0, 0.1),), 20, {}), config)
    assert isinstance(ranker, Blend)
    return replace(model, ranker=ranker)
