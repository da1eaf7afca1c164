"""``shortlist data split``: a log as a training and a test part, in files."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import (
    ColumnOption,
    DataArgument,
    FromOption,
    ItemsOption,
    JsonFlag,
    ProtocolOption,
    UsersOption,
    read_data,
    show,
    show_json,
)
from shortlist.errors import ConfigError


def split(
    data: DataArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="A new or empty folder.", autocompletion=completion.files)
    ],
    items: ItemsOption = None,
    users: UsersOption = None,
    column: ColumnOption = None,
    folder: FromOption = None,
    protocol: ProtocolOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Cut a log: train.parquet to train models on, test.parquet to judge them by; items and users beside them."""
    from shortlist.data.split import split as cut
    from shortlist.data.validation.set_aside import place_beside

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out: expected a new or empty folder, but {out} has something in it")
    dataset = read_data(data, items, users, column, folder, place_beside(out))
    parts = cut(dataset, protocol or ("random" if dataset.time_kind == "none" else "time"))  # type: ignore[arg-type]
    tables = {"train": parts.train.interactions, "test": parts.test.interactions}
    tables |= {
        name: table
        for name, table in (("items", dataset.given_items), ("users", dataset.given_users))
        if table is not None
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(out / f"{name}.parquet")
    if as_json:
        rows = {name: len(table) for name, table in tables.items()}
        show_json({"protocol": parts.protocol, "rows": rows, "validation": dataset.validation})
        return
    show(parts.description)
    others = " ".join(f"--{name} {out / name}.parquet" for name in tables if name not in ("train", "test"))
    show(f"written to {out}: {', '.join(f'{name}.parquet' for name in tables)}")
    show(f"next: shortlist train {out / 'train.parquet'} {others + ' ' if others else ''}--out models/mine")
    show(f"then: shortlist evaluate models/mine --test {out / 'test.parquet'}")
