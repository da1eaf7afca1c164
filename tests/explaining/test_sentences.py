"""Sentences: every language has every template, and they say the facts given and nothing else."""

import string
import tomllib
from dataclasses import fields
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.errors import QueryError
from shortlist.explaining.groups import OF_FEATURE, OF_PREFIX, OF_SOURCE, OTHER, group_of
from shortlist.explaining.sentences import Facts, Language, language_of, languages
from shortlist.training.recipes import RECIPES

FILES = {
    name: tomllib.loads((resources.files("shortlist.explaining") / "templates" / f"{name}.toml").read_text("utf-8"))
    for name in languages()
}


def placeholders(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_there_is_a_second_language():
    assert {"en", "de"} <= set(languages())


@pytest.mark.parametrize("name", FILES)
def test_every_language_has_the_same_templates_with_the_same_places(name):
    english, other = FILES["en"], FILES[name]
    assert set(other) == set(english) == {field.name for field in fields(Language)}
    for table in ("reasons", "groups", "now"):
        assert {"days", "lately"} <= set(other["now"])
        if table != "now":  # which windows have words of their own is a language's choice
            assert set(other[table]) == set(english[table])
        for key, template in other[table].items():
            assert template.strip() == template != ""
            if key in english[table]:
                assert placeholders(template) == placeholders(english[table][key]), key
    assert placeholders(other["item"]) == {"id"}


def test_every_group_has_a_label_that_no_other_has():
    keys = {*OF_SOURCE.values(), *OF_FEATURE.values(), *OF_PREFIX.values(), OTHER}
    for name in FILES:
        labels = language_of(name).groups
        assert set(labels) == keys
        assert len(set(labels.values())) == len(labels)


def test_every_source_that_can_be_trained_has_a_group():
    assert set(OF_SOURCE) == set(RECIPES)
    assert OTHER not in OF_SOURCE.values()
    assert group_of("history_length") == group_of("user_idle") != group_of("history_tower_z")


SAID = {
    "nobody": Facts(has_history=False, n_events=5),
    "not_proposed": Facts(proposed=False),
    "fills": Facts(proposed=False, fallback=True),
    "again": Facts(taken_before=True),
    "lately": Facts(lately=True),
    "profile": Facts(profile=True),
    "liked_1": Facts(named=("A",), liked=True),
    "took_2": Facts(named=("A", "B")),
    "mostly_2": Facts(named=("A", "B"), share=0.1, liked=True),
    "about_1": Facts(named=("A",), by_attributes=True, liked=True, share=0.1),
    "counted_1": Facts(n_events=1),
    "counted_n": Facts(n_events=7),
    "often": Facts(popular=True),
    "new": Facts(n_events=0),
    "predicted": Facts(predicted_rating=4.26),
    "ruled": Facts(rules=("spring", "autumn")),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("key", SAID)
def test_a_fact_is_said_in_its_words(key, name):
    chosen = language_of(name)
    places = {"first": "A", "second": "B", "n": 7, "rating": "4.3", "names": "spring, autumn"}
    assert chosen.reasons[key].format(**places) in chosen.sentence(SAID[key]).split(chosen.separator)


def test_the_sentence_of_the_brief():
    facts = Facts(named=("Fargo (1996)", "Se7en (1995)"), liked=True, popular_now=True, window_days=7)
    assert (
        language_of("en").sentence(facts) == "because you liked Fargo (1996) and Se7en (1995); taken up a lot this week"
    )
    assert language_of("de").sentence(facts) == (
        "weil Ihnen Fargo (1996) und Se7en (1995) gefallen haben; diese Woche viel gewählt"
    )
    assert language_of(True).sentence(Facts(popular_now=True, window_days=11)) == "taken up a lot in the last 11 days"


some_facts = st.builds(
    Facts,
    named=st.lists(st.sampled_from(["{first}", "A {0}", "B%s"]), max_size=2, unique=True).map(tuple),
    liked=st.booleans(),
    share=st.floats(0, 1),
    by_attributes=st.booleans(),
    taken_before=st.booleans(),
    lately=st.booleans(),
    profile=st.booleans(),
    popular_now=st.booleans(),
    window_days=st.none() | st.integers(1, 400),
    popular=st.booleans(),
    n_events=st.sampled_from([0.0, 0.3, 1.0, 12.0]),
    predicted_rating=st.none() | st.floats(-9, 9),
    has_history=st.booleans(),
    proposed=st.booleans(),
    fallback=st.booleans(),
    rules=st.lists(st.sampled_from(["{names}", "spring"]), max_size=2).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(facts=some_facts, name=st.sampled_from(sorted(FILES)))
def test_whatever_the_facts_there_is_a_sentence_with_the_names_as_they_are(facts, name):
    sentence = language_of(name).sentence(facts)
    assert sentence
    for text in (*facts.named, *facts.rules):
        assert text in sentence
    if not facts.liked:
        assert not any(word in sentence for word in ("liked", "gefallen"))


@pytest.mark.parametrize("name", ["fr", "", "../en", 1, 1.0, None, ["en"]])
def test_other_languages_are_refused(name):
    with pytest.raises(QueryError, match=r"expected true or a language \(de, en\)"):
        language_of(name)
