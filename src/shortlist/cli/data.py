"""``shortlist data``: get data sets, look into logs, cut them."""

from typing import Annotated

import typer

from shortlist.cli import completion, describe, split, synthesize, validate
from shortlist.cli.console import FromOption, JsonFlag, download_bar, show, show_json

app = typer.Typer(help="Get data sets, look into logs, cut them.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Get data sets, look into logs, cut them."""


@app.command()
def fetch(
    edition: Annotated[
        str, typer.Argument(metavar="EDITION", help="For example ml-100k.", autocompletion=completion.editions)
    ],
    folder: FromOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch a MovieLens data set into the cache, or check a local copy, and say what is in it."""
    from shortlist.data.movielens import fetch as fetch_movielens
    from shortlist.data.movielens import movielens

    with download_bar(edition) as progress:
        fetched = fetch_movielens(edition, folder, progress=progress)
    dataset = movielens(edition, fetched.folder)
    figures = {
        "edition": edition,
        "folder": str(fetched.folder),
        "origin": fetched.origin,
        "interactions": len(dataset),
        "users": len(dataset.users),
        "items": len(dataset.items),
        "notes": list(fetched.notes),
    }
    if as_json:
        show_json(figures)
        return
    show(f"{edition}: {len(dataset):,} interactions, {len(dataset.users):,} users, {len(dataset.items):,} items")
    show(f"from the {fetched.origin}, in {fetched.folder}")
    for note in fetched.notes:
        show(f"note: {note}")


app.command("describe")(describe.describe)
app.command("split")(split.split)
app.command("synthesize")(synthesize.synthesize)
app.command("validate")(validate.validate)
