"""``shortlist models``: look after saved models."""

from typing import Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import JsonFlag, ModelArgument, show, show_json
from shortlist.errors import ArtifactError

app = typer.Typer(help="Look after saved models.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def models() -> None:
    """Look after saved models."""


@app.command()
def verify(model: ModelArgument, as_json: JsonFlag = False) -> None:
    """Check every file of the current version against its digest, and that it loads."""
    from shortlist import artifact
    from shortlist.saving import load

    opened = artifact.verify(model)
    loaded = load(model)
    figures = {
        "version": opened.version,
        "digest": opened.digest,
        "files": len(opened.files),
        "target": loaded.target,
        "created_at": opened.volatile.get("created_at"),
    }
    if as_json:
        show_json(figures)
    else:
        show(f"{model}: version {opened.version} is whole: {len(opened.files)} files, digest {opened.digest}")


@app.command(name="list")
def list_versions(model: ModelArgument, as_json: JsonFlag = False) -> None:
    """List the versions that are kept; the current one comes first."""
    from shortlist import artifact

    found = artifact.versions(model)
    if not found:
        raise ArtifactError(f"there is no model in {model}")
    if as_json:
        show_json(found)
        return
    for number, version in enumerate(found):
        show(f"{version}{'  (current)' if number == 0 else ''}")


@app.command()
def promote(
    model: ModelArgument,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION", help="A version that `models list` shows.", autocompletion=completion.versions
        ),
    ],
) -> None:
    """Make a version the current one."""
    from shortlist import artifact

    artifact.promote(model, version)
    show(f"{model}: version {version} is now the current one")


@app.command()
def rollback(model: ModelArgument) -> None:
    """Go back to the version before."""
    from shortlist import artifact

    show(f"{model}: version {artifact.rollback(model)} is now the current one")
