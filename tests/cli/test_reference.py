"""The page docs/cli.md against what the command itself says when asked for help."""

import re

import pytest
from cli_reference import commands, reference
from typer.main import get_command

from shortlist.cli.main import app


@pytest.fixture(scope="module")
def page(request):
    return (request.config.rootpath / "docs" / "cli.md").read_text(encoding="utf-8")


def sections(page):
    return dict(re.findall(r"^## shortlist ([^\n]*)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))


def named_in_help(run, words=()):
    """The commands that help lists, and those that help on groups of commands lists."""
    text = run(*words, "--help").out
    listed = re.findall(r"^  ([a-z-]+)", text.partition("\nCommands:\n")[2], re.MULTILINE)
    if not listed:
        return [" ".join(words)]
    return [name for one in listed for name in named_in_help(run, (*words, one))]


def test_the_page_is_what_the_commands_say(page):
    assert page == reference(), "run: python tests/cli/cli_reference.py > docs/cli.md"


def test_every_command_that_help_lists_is_on_the_page(run, page):
    found = named_in_help(run)
    assert len(found) > 10
    assert sorted(sections(page)) == sorted(found)


def test_every_option_that_help_lists_is_on_the_page(run, page):
    for name, section in sections(page).items():
        options = set(re.findall(r"^\s+(--[a-z-]+|-[a-z], --[a-z-]+)", run(*name.split(), "--help").out, re.MULTILINE))
        assert options
        for option in {part for one in options for part in one.split(", ")} - {"--help"}:
            assert re.search(rf"^- `[^`]*{option}\b", section, re.MULTILINE), f"{name} {option}"


def test_every_command_and_parameter_says_what_it_is_for():
    for name, command in commands(get_command(app), "shortlist"):
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_defaults_and_values_are_told(page):
    found = sections(page)
    assert "- `--k, -k`: How many items per user. Default: 10." in found["recommend"]
    assert re.search(r"- `--out MODEL`: .* Required\.", found["train"])
    assert re.search(r"- `--history ID,ID`: .* May be given several times\.", found["recommend"])
    assert "- `--filter-seen / --keep-seen`" in found["recommend"]
    assert "`shortlist models promote MODEL VERSION [OPTION]...`" in found["models promote"]
