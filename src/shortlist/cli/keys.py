"""``shortlist keys``: who may ask a server, and for what."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import JsonFlag, check_file_out, show, show_json

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The file that holds the keys' hashes.", autocompletion=completion.files)
]
app = typer.Typer(help="Make and remove API keys.", no_args_is_help=True, rich_markup_mode=None)


class ScopeName(StrEnum):
    """What a key may do."""

    read = "read"
    ingest = "ingest"
    admin = "admin"


@app.callback()
def keys() -> None:
    """Make and remove API keys."""


@app.command()
def add(
    file: FileArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(help="read = ask; ingest = send events and items; admin = everything. Left out: read."),
    ] = None,
) -> None:
    """Make a key and print it, this once: FILE, read when a server starts and on SIGHUP, keeps only its salted hash."""
    from shortlist.serving.keys import add_key

    check_file_out(file, "FILE")
    show(add_key(file, name, [one.value for one in scope or [ScopeName.read]]))


@app.command(name="list")
def list_keys(file: FileArgument, as_json: JsonFlag = False) -> None:
    """List the keys: id, name and scopes."""
    from shortlist.serving.keys import read_keys

    found = read_keys(file)
    if as_json:
        show_json([{"id": key.id, "name": key.name, "scopes": key.scopes} for key in found])
        return
    for key in found:
        show(f"{key.id}  {', '.join(key.scopes)}  {key.name}")


@app.command()
def remove(
    file: FileArgument,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `keys list` shows.")],
) -> None:
    """Remove a key. A server that is running knows it until it gets SIGHUP or is started again."""
    from shortlist.serving.keys import remove_key

    remove_key(file, key_id)
    show(f"{file}: key {key_id} is removed")
