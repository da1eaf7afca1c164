"""``shortlist events``: what a server collected."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import JsonFlag, check_file_out, show, show_json
from shortlist.errors import ConfigError

StoreArgument = Annotated[
    str, typer.Argument(metavar="STORE", help="The store's address, such as sqlite:///events.db.")
]
app = typer.Typer(help="Look after the events that a server collected.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def events() -> None:
    """Look after the events that a server collected."""


@app.command()
def export(
    store: StoreArgument,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="The .parquet file to write.", autocompletion=completion.files),
    ],
    exposures: Annotated[
        bool, typer.Option("--exposures", help="What answers showed (`serve --log-exposures`), a row per item.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write all events into a Parquet file, while the server goes on. The same events give the same file."""
    from shortlist.serving.store.frames import export_events, export_exposures
    from shortlist.serving.store.opening import open_store

    check_file_out(out, "--out")
    if out.suffix.lower() != ".parquet":
        raise ConfigError(f"--out: expected a name ending in .parquet, got {out}")
    opened = open_store(store, read_only=True)
    try:
        n_rows = export_exposures(opened, out) if exposures else export_events(opened, out)
    finally:
        opened.close()
    if as_json:
        show_json({"shown" if exposures else "events": n_rows, "file": str(out)})
    else:
        show(f"{n_rows:,} {'items shown' if exposures else 'events'} are in {out}")
