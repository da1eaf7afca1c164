"""``shortlist data validate``: what is wrong with a log, and what is left of it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from shortlist.cli import completion
from shortlist.cli.console import (
    ColumnOption,
    ItemsOption,
    JsonFlag,
    UsersOption,
    check_file_out,
    column_names,
    err,
    show,
    show_json,
)
from shortlist.errors import ConfigError

SEPARATORS = {"\\t": "\t", "tab": "\t"}


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="The log: a .csv, .tsv or .parquet file, or several with the same columns.",
            autocompletion=completion.files,
        ),
    ],
    items: ItemsOption = None,
    users: UsersOption = None,
    column: ColumnOption = None,
    separator: Annotated[
        str | None,
        typer.Option(metavar="CHARACTER", help="Between CSV columns, e.g. ';' or tab; left out: looked for."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of CSV files, e.g. cp1251; left out: looked for.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the clean interactions to a .parquet or .csv file.",
            autocompletion=completion.files,
        ),
    ] = None,
    set_aside: Annotated[
        Path | None,
        typer.Option(
            "--set-aside",
            metavar="FILE",
            help="Where the rows set aside go, .parquet or .csv; left out: FILE.set-aside.parquet.",
            autocompletion=completion.files,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a log and its tables: what is refused, set aside, converted or strange. Exit code 1 if it is refused."""
    from shortlist.data.validation.set_aside import place_beside, write_set_aside, write_table
    from shortlist.data.validation.validate import validate as check

    inputs = [*files, *(path for path in (items, users) if path is not None)]
    for option, path in (("--out", out), ("--set-aside", set_aside)):
        if path is not None:
            check_file_out(path, option)
            if path.suffix.lower() not in (".parquet", ".csv"):
                raise ConfigError(f"{option}: expected a name ending in .parquet or .csv, got {path}")
            if any(path.absolute() == given.absolute() for given in inputs):
                raise ConfigError(f"{option}: {path} is one of the files to check; give another name")
    between = SEPARATORS.get(separator or "", separator)
    found = check(files, items, users, column_names(column), separator=between, encoding=encoding, name=files[0].stem)
    aside = set_aside or (place_beside(files[0]) if len(found.set_aside) else None)
    if aside is not None:
        write_set_aside(found.set_aside, aside)
    if out is not None and found.usable:
        write_table(found.dataset.interactions, out)
    if as_json:
        places = {"set_aside_file": aside and str(aside), "clean_file": str(out) if out and found.usable else None}
        show_json(found.to_dict() | places)
    else:
        show(found.table())
        if aside is not None:
            show(f"\n{len(found.set_aside):,} rows set aside are in {aside}")
        if out is not None and found.usable:
            show(f"{len(found.dataset):,} clean interactions are in {out}")
    if not found.usable:
        err().print(f"[red]error:[/red] {escape(found.of('refused')[0].message)}", soft_wrap=True)
        raise typer.Exit(1)
