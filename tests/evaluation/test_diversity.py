"""Item vectors for diversity: by attributes where there are any, else by users."""

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from shortlist.data.split import split
from shortlist.data.synthetic import two_tastes
from shortlist.evaluation.diversity import diversity_vectors
from shortlist.evaluation.metrics import intra_list_diversity
from shortlist.evaluation.protocol import evaluate, make_catalogue


def vectors(dataset):
    catalogue = make_catalogue(dataset, dataset, None)
    found, by = diversity_vectors(dataset, dataset.log(), catalogue)
    return found, by, catalogue


def test_categories_decide_where_there_are_any():
    found, by, catalogue = vectors(two_tastes())
    assert by == "attributes"
    alike, unlike = catalogue.rows([0, 2]), catalogue.rows([0, 1])
    np.testing.assert_allclose(intra_list_diversity(np.stack([alike, unlike]), found), [0, 1], atol=1e-6)


def test_without_attributes_users_decide():
    dataset = two_tastes(n_users=300)
    plain = sl.Dataset.from_frames(dataset.interactions)
    found, by, catalogue = vectors(plain)
    assert by == "users"
    taken = np.zeros((len(catalogue), 300))
    log = plain.log()
    taken[log.item_rows, log.user_rows] = 1
    lists = np.random.default_rng(0).permuted(np.tile(np.arange(len(catalogue)), (200, 1)), axis=1)[:, :10]
    exact, projected = (intra_list_diversity(lists, one) for one in (taken, found))
    assert np.abs(exact - projected).mean() < 0.05
    assert abs(exact.mean() - projected.mean()) < 0.05


def test_an_item_only_the_test_has_is_unlike_all():
    train, test = split(two_tastes(), "time")
    row = {"user_id": [0], "item_id": [77], "timestamp": [test.interactions["timestamp"].max() + 1], "rating": [4.0]}
    extra = pl.DataFrame(row).cast(dict(test.interactions.schema))
    test = test.with_interactions(pl.concat([test.interactions, extra]))
    catalogue = make_catalogue(train, test, None)
    found, _ = diversity_vectors(train, train.log(), catalogue)
    assert len(found) == len(catalogue) == 41
    assert not found[catalogue.rows([77])].any()


@pytest.mark.parametrize(("listed", "expected"), [([0, 2, 4], 0.0), ([0, 1, 2, 3], 2 / 3)])
def test_the_report_has_the_mean(listed, expected):
    train, test = split(two_tastes(), "time")
    report = evaluate(lambda users, k: [listed] * len(users), train, test)
    assert report.result(seen="kept").diversity == pytest.approx(expected, abs=1e-6)
    assert report.data["diversity_by"] == "attributes"
    assert "diversity" in report.table()
