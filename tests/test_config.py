"""Settings: what is refused, and by which name."""

import msgspec
import pytest

from shortlist.config import PRESETS, Config, load_config
from shortlist.errors import ConfigError


def refused(config, *words):
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_round_trip(name):
    config = load_config(name)
    assert config.preset == name
    assert msgspec.convert(msgspec.to_builtins(config), Config) == config
    assert msgspec.json.decode(msgspec.json.encode(config), type=Config) == config
    assert load_config({"preset": name}) == config
    assert load_config(config) is config


def test_the_default_is_the_default():
    assert load_config() == load_config("default") == load_config({})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"retreival": {}}, ["'retreival'", "'retrieval'"]),
        ({"retrieval": {"candidate": 5}}, ["'retrieval.candidate'", "'candidates'"]),
        ({"retrieval": {"ease": {"lambda": [1.0]}}}, ["'retrieval.ease.lambda'", "regularisation"]),
        ({"ranking": {"trees": {"dept": 3}}}, ["'ranking.trees.dept'", "'depth'"]),
        ({"retrieval": {"two_tower": {"epoch": 3}}}, ["'retrieval.two_tower.epoch'", "'epochs'"]),
        ({7: 1}, ["'7'"]),
    ],
)
def test_unknown_settings(config, words):
    refused(config, "unknown setting", *words)


@pytest.mark.parametrize(
    ("config", "setting"),
    [
        ({"retrieval": {"candidates": 0}}, "retrieval.candidates"),
        ({"retrieval": {"candidates": "many"}}, "retrieval.candidates"),
        ({"retrieval": {"candidates": 5.5}}, "retrieval.candidates"),
        ({"retrieval": {"sources": []}}, "retrieval.sources"),
        ({"retrieval": {"sources": ["svd"]}}, "retrieval.sources"),
        ({"retrieval": {"ease": {"decay": [1.5]}}}, "retrieval.ease.decay"),
        ({"retrieval": {"ease": {"regularisation": []}}}, "retrieval.ease.regularisation"),
        ({"retrieval": {"ease": {"regularisation": [-1.0]}}}, "retrieval.ease.regularisation"),
        ({"retrieval": {"ease": 3}}, "retrieval.ease"),
        ({"ranking": {"ranker": "forest"}}, "ranking.ranker"),
        ({"ranking": {"shifts": 1}}, "ranking.shifts"),
        ({"ranking": {"trees": {"depth": 11}}}, "ranking.trees.depth"),
        ({"ranking": {"rating_network": {"hidden": []}}}, "ranking.rating_network.hidden"),
        ({"positive": {"min_rating": "4"}}, "positive.min_rating"),
        ({"seed": -1}, "seed"),
        ({"threads": 0}, "threads"),
        ({"filter_seen": "yes"}, "filter_seen"),
    ],
)
def test_bad_values(config, setting):
    refused(config, f"'{setting}")


def test_unknown_presets():
    refused("fats", "'fats'", "fast", "tutorial")
    refused({"preset": "fats"}, "'fats'")
    refused({"preset": 3}, "3")
    refused(3, "int")


def test_a_file(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('preset = "tutorial"\nseed = 3\n[retrieval]\ncandidates = 50\n')
    for given in (path, str(path)):
        config = load_config(given)
        assert (config.preset, config.seed, config.retrieval.candidates) == ("tutorial", 3, 50)
        assert config.retrieval.sources == ("two_tower",)
    path.write_text("[retrieval]\ncandidates = -1\n")
    refused(path, "retrieval.candidates")


def test_bad_files(tmp_path):
    path = tmp_path / "settings.toml"
    refused(path, "settings.toml", "not readable")
    path.write_text("[retrieval\n")
    refused(path, "settings.toml", "not valid TOML")
    path.write_bytes(b'preset = "\xff"\n')
    refused(path, "settings.toml")
