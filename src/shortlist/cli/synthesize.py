"""``shortlist data synthesize``: write a large invented log."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import JsonFlag, say, show, show_json


def synthesize(
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Where the three Parquet files go; made if missing.", autocompletion=completion.files
        ),
    ],
    interactions: Annotated[int, typer.Option(help="Rows of the log, at least two per user.")] = 1_000_000,
    users: Annotated[int, typer.Option(help="Users; each appears.")] = 50_000,
    items: Annotated[int, typer.Option(help="Items in the catalogue.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    repeats: Annotated[float, typer.Option(metavar="SHARE", help="Share of rows that repeat, 0 to 0.95.")] = 0.0,
    as_json: JsonFlag = False,
) -> None:
    """Write an invented log of any size: power-law popularity, tastes, drift, new users and items, repeats."""
    from shortlist.data.power_law import PowerLaw, write_power_law

    law = PowerLaw(n_interactions=interactions, n_users=users, n_items=items, seed=seed, repeats=repeats)
    say(f"writing {interactions:,} interactions of {users:,} users with {items:,} items")
    files = write_power_law(law, out)
    if as_json:
        show_json({"files": [str(file) for file in files], "bytes": [file.stat().st_size for file in files]})
        return
    for file in files:
        show(f"{file}: {file.stat().st_size / 1e6:,.1f} MB")
    show(f"next: shortlist train {files[0]} --items {files[1]} --users {files[2]} --out MODEL")
