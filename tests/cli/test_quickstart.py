import json

import pytest

import shortlist as sl
from shortlist.data.synthetic import two_tastes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An invented log in MovieLens 100K's own layout: 60 users, 40 films."""
    folder = tmp_path_factory.mktemp("ml-100k")
    dataset = two_tastes()
    events = dataset.interactions.select("user_id", "item_id", "rating", "timestamp")
    rows = [f"{user + 1}\t{item + 1}\t{rating:.0f}\t{time}" for user, item, rating, time in events.iter_rows()]
    flags = ["|".join("1" if genre == item % 19 else "0" for genre in range(19)) for item in range(len(dataset.items))]
    films = [f"{i + 1}|Film {i + 1} (1990)|01-Jan-1990||http://film|{flags[i]}" for i in range(len(dataset.items))]
    users = [f"{u + 1}|30|F|writer|12345" for u in range(len(dataset.users))]
    genres = [f"genre{g}|{g}" for g in range(19)]
    for name, lines in (("u.data", rows), ("u.item", films), ("u.user", users), ("u.genre", genres)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")
    return folder


def test_both_systems_from_the_data_to_recommendations(run, folder, tmp_path):
    done = run("quickstart", "--data", folder, "--out", tmp_path / "model", "--json", tmp_path / "figures.json")
    assert done.code == 0, done.err
    for heading in ("favourites", "Stage 1 retrieved ten for user 42", "ten films for user 42", "Next:"):
        assert heading in done.out
    figures = json.loads((tmp_path / "figures.json").read_text())
    tutorial = figures["tutorial"]
    for seen in ("seen_kept", "seen_removed"):
        assert list(tutorial["retrieval"]["top_k_accuracy"][seen]) == ["1", "5", "10", "50", "100"]
    assert tutorial["ranking"]["rmse"] > 0
    assert tutorial["fit_seconds"] > 0
    assert len(tutorial["retrieved"]) == 10
    ranked = tutorial["recommendations"]
    assert sorted(row["title"] for row in ranked) == sorted(tutorial["retrieved"])
    ratings = [row["predicted_rating"] for row in ranked]
    assert ratings == sorted(ratings, reverse=True)
    assert figures["pipeline"]["stages"]
    assert len(figures["pipeline"]["recommendations"]) == 10
    answer = sl.load(figures["model_path"]).recommend(42)
    assert answer["item_id"].to_list() == [row["item_id"] for row in figures["pipeline"]["recommendations"]]


def test_data_without_user_42(run, folder, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for path in folder.iterdir():
        lines = path.read_text(encoding="latin-1").splitlines()
        keep = [line for line in lines if path.name not in ("u.data", "u.user") or not line.startswith("42")]
        (few / path.name).write_text("\n".join(keep) + "\n", encoding="latin-1")
    done = run("quickstart", "--data", few, "--out", tmp_path / "model")
    assert done.code == 1
    assert "user 42" in done.err
