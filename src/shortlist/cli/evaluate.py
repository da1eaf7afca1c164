"""``shortlist evaluate``: how good is it, honestly."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import (
    ColumnOption,
    ConfigOption,
    DataArgument,
    FromOption,
    ItemsOption,
    JsonFlag,
    SeedOption,
    ThreadsOption,
    UsersOption,
    read_data,
    say,
    settings,
    show,
    show_json,
)
from shortlist.errors import ConfigError, DataError

TARGETS = {"time": "window", "next": "next", "random": "random"}


def evaluate(
    data: DataArgument,
    items: ItemsOption = None,
    users: UsersOption = None,
    column: ColumnOption = None,
    folder: FromOption = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="time, next or random; left out: time where there are times.", autocompletion=completion.protocols
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="What to train for; left out: what fits the protocol.", autocompletion=completion.targets),
    ] = None,
    config: ConfigOption = "fast",
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A saved model, trained on just this split's part.",
            autocompletion=completion.files,
        ),
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Length of the lists that are judged.")] = 10,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Split the log, train on one part, and judge every stage on the other, beside the baselines."""
    from shortlist.data.split import split
    from shortlist.evaluation.protocol import evaluate as judge
    from shortlist.saving import load
    from shortlist.training.schedule import train

    dataset = read_data(data, items, users, column, folder)
    protocol = protocol or ("random" if dataset.time_kind == "none" else "time")
    if protocol not in TARGETS:
        raise ConfigError(f"--protocol: expected time, next or random, got {protocol!r}")
    parts = split(dataset, protocol)  # type: ignore[arg-type]
    say(parts.description)
    if model is not None:
        fitted = load(model)
        if fitted.record["data"]["fingerprint"] != parts.train.fingerprint:
            raise DataError(
                f"{model} was not trained on the training part of this split, so it may know the test; leave --model "
                "out to train one here"
            )
    else:
        chosen = settings(config, seed, threads)
        fitted = train(parts.train, target or TARGETS[protocol], chosen, progress=say)  # type: ignore[arg-type]
    report = judge(fitted, parts.train, parts.test, protocol=protocol, k=k)  # type: ignore[arg-type]
    if as_json:
        show_json(report.to_dict())
    else:
        show(report.table())
