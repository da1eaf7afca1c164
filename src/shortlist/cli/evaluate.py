"""``shortlist evaluate``: how good is it, honestly, and which of several is better."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli import completion
from shortlist.cli.console import (
    ColumnOption,
    ConfigOption,
    FromOption,
    ItemsOption,
    JsonFlag,
    ProtocolOption,
    SeedOption,
    TargetOption,
    ThreadsOption,
    UsersOption,
    is_data,
    read_data,
    say,
    settings,
    show,
    show_json,
)
from shortlist.errors import ConfigError

if TYPE_CHECKING:
    from shortlist.cascade import Cascade
    from shortlist.data.dataset import Dataset
    from shortlist.evaluation.gate import Verdict
    from shortlist.evaluation.report import Report
    from shortlist.evaluation.rolling import RollingReport

TARGETS = {"time": "window", "next": "next", "random": "random"}


@dataclass(frozen=True)
class Exam:
    """What is asked, and how what is fitted here is fitted.

    Attributes:
        protocol: ``None`` = read off the parts.
        fit: a configuration's name and a training part -> a model.
    """

    protocol: str | None
    k: int
    seed: int | None
    fit: Callable[[str, "Dataset"], "Cascade"]


def evaluate(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL|CONFIG]... [DATA]",
            help="Saved models, presets or TOML files to judge, and the log to split: a .csv, .tsv or .parquet file "
            "or a MovieLens edition. The first of several is what the others are held against.",
            autocompletion=completion.judged,
        ),
    ],
    items: ItemsOption = None,
    users: UsersOption = None,
    column: ColumnOption = None,
    folder: FromOption = None,
    protocol: ProtocolOption = None,
    target: TargetOption = None,
    config: ConfigOption = "default",
    test: Annotated[
        Path | None,
        typer.Option("--test", metavar="FILE", help="A test part instead of a split.", autocompletion=completion.files),
    ] = None,
    windows: Annotated[
        int | None, typer.Option(min=1, help="Fit and judge anew in this many windows of time, the last ends the log.")
    ] = None,
    days: Annotated[float, typer.Option(help="Length of such a window.")] = 30.0,
    k: Annotated[int, typer.Option(min=1, help="Length of the lists that are judged.")] = 10,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with 1 if one is worse than the first for the headline's users.")
    ] = False,
    keep_for: Annotated[
        Path | None,
        typer.Option(
            "--for",
            metavar="MODEL",
            help="Keep the report for the current version of this model: the page of `shortlist serve` shows it.",
            autocompletion=completion.files,
        ),
    ] = None,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Split a log, train on one part and judge every stage on the other; or judge saved models; or compare several."""
    data, systems = sort_out(what, config)
    if keep_for is not None:
        check_keep(keep_for, systems, windows)
    columns = (items, users, column, folder)
    dataset = None if data is None else read_data(data, *columns)

    if dataset is not None and test is None:
        protocol = protocol or ("random" if dataset.time_kind == "none" else "time")
    if protocol is not None and protocol not in TARGETS:
        raise ConfigError(f"--protocol: expected time, next or random, got {protocol!r}")
    target = target or (TARGETS[protocol] if protocol else None)
    exam = Exam(protocol, k, seed, partial(fit, target=target, seed=seed, threads=threads))
    if windows is not None:
        found: Any = roll(systems, dataset, exam, windows, days)
    else:
        parts = cut(systems, dataset, exam, None if test is None else read_data(str(test), None, None, column, None))
        found = judge(systems, *parts, exam)
    verdicts = report(systems, found, as_json)
    if keep_for is not None:
        keep(keep_for, systems[0], found[systems[0]])
    worse = [name for name, one in verdicts.items() if one.word == "worse"]
    if gate and worse:
        raise typer.Exit(1)


def fit(system: str, part: "Dataset", *, target: str | None, seed: int | None, threads: int | None) -> "Cascade":
    """A model of a preset or TOML file."""
    from shortlist.training.schedule import train

    say(f"training {system!r}")
    return train(part, target, settings(system, seed, threads), progress=say)  # type: ignore[arg-type]


def sort_out(what: list[str], config: str) -> tuple[str | None, list[str]]:
    """The log among the arguments, if any, and what is to be judged: without a model or preset, ``--config``."""
    data = [one for one in what if is_data(one)]
    if len(data) > 1:
        raise ConfigError(f"expected one log to judge on, got {' and '.join(data)}; a test part goes with --test")
    systems = [one for one in what if one not in data] or [config]
    doubled = {name for name in systems if systems.count(name) > 1}
    if doubled:
        raise ConfigError(f"expected each model once, got {min(doubled)!r} twice")
    return (data[0] if data else None), systems


def check_keep(model: Path, systems: list[str], windows: int | None) -> None:
    from shortlist import artifact

    if len(systems) > 1 or windows is not None:
        raise ConfigError("--for keeps one report: name one model or preset, and no --windows")
    if not artifact.versions(model):
        raise ConfigError(f"--for: {model} has no versions; give the directory that `shortlist train --out` wrote")


def keep(model: Path, system: str, found: "Report") -> None:
    """Keep a report for the current version of a model."""
    from shortlist import artifact
    from shortlist.reports import KeptReport, keep_report

    version = artifact.versions(model)[0]
    same = is_model(system) and artifact.open_artifact(system).version == version
    judged = "this version" if same else f"another model ({system}), fitted on the training part of the split alone"
    say(f"kept in {keep_report(model, KeptReport(version, judged, same, found.to_dict()))}")


def is_model(system: str) -> bool:
    return Path(system).is_dir()


def cut(
    systems: list[str], dataset: "Dataset | None", exam: Exam, test: "Dataset | None"
) -> tuple["Dataset", "Dataset"]:
    """Training and test: the log split, or as given; without a log, what the first model was trained on."""
    from shortlist.data.split import split
    from shortlist.evaluation.protocol import own_training
    from shortlist.saving import load

    if test is not None and dataset is not None:
        return dataset, test
    if dataset is not None:
        parts = split(dataset, exam.protocol)  # type: ignore[arg-type]
        say(parts.description)
        return parts.train, parts.test
    if test is None or not is_model(systems[0]):
        raise ConfigError(
            f"nothing to judge {' and '.join(systems)} on: name a log (a .csv, .tsv or .parquet file, or an edition "
            "such as ml-100k), or for saved models --test FILE"
        )
    return own_training(load(systems[0])), test


def judge(systems: list[str], train: "Dataset", test: "Dataset", exam: Exam) -> dict[str, Any]:
    from shortlist.evaluation.protocol import evaluate as evaluate_model
    from shortlist.saving import load

    found = {}
    for system in systems:
        model = load(system) if is_model(system) else exam.fit(system, train)
        say(f"judging {system}")
        found[system] = evaluate_model(model, train, test, protocol=exam.protocol, k=exam.k, seed=exam.seed or 0)  # type: ignore[arg-type]
    return found


def roll(
    systems: list[str], dataset: "Dataset | None", exam: Exam, windows: int, days: float
) -> "dict[str, RollingReport]":
    from shortlist.evaluation.rolling import evaluate_rolling

    saved = [system for system in systems if is_model(system)]
    if saved:
        raise ConfigError(
            f"--windows fits anew before each window; {saved[0]} is already fitted: name a preset or TOML"
        )
    if dataset is None or exam.protocol != "time":
        raise ConfigError("--windows needs a log, and the protocol 'time'")
    return {
        system: evaluate_rolling(
            lambda part, name=system: exam.fit(name, part),  # type: ignore[misc]
            dataset,
            windows=windows,
            days=days,
            k=exam.k,
            seed=exam.seed or 0,
        )
        for system in systems
    }


def report(systems: list[str], found: dict[str, Any], as_json: bool) -> "dict[str, Verdict]":
    """Print what was found; with several, each against the first. Returns the gate's verdicts."""
    from shortlist.evaluation.compare import compare_models
    from shortlist.evaluation.rolling import RollingReport, compare_rolling

    first = found[systems[0]]
    if len(systems) == 1:
        show_json(first.to_dict()) if as_json else show(first.table())
        return {}
    if isinstance(first, RollingReport):
        comparison: Any = compare_rolling(found)
        groups = [comparison]
    else:
        groups = [compare_models(found, users=users) for users in first.groups]
        comparison = groups[0]
    if as_json:
        show_json(comparison.to_dict() | {"other_groups": [one.to_dict(reports=False) for one in groups[1:]]})
    else:
        for system in systems:
            show(f"{system}\n\n{found[system].table()}\n")
        for one in groups:
            show(one.table())
    return dict(comparison.verdicts)
