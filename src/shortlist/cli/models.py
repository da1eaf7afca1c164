"""``shortlist models``: look after saved models."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import JsonFlag, ModelArgument, read_data, say, show, show_json
from shortlist.errors import ArtifactError, DataError

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
    test: Annotated[
        Path | None,
        typer.Option(
            "--test",
            metavar="FILE",
            help="Refuse it if it is worse than the current version on these test interactions.",
            autocompletion=completion.files,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote it in spite of what speaks against it; that is recorded.")
    ] = False,
) -> None:
    """Make a version the current one if it can answer; with --test only if it is not worse than the one it replaces."""
    from shortlist.serving import soundness

    against = []
    if test is not None:
        try:
            say(not_worse(model, version, test))
        except DataError as error:
            if not force:
                raise
            against.append(str(error))
    for fault in soundness.promote(model, version, force, against=against):
        say(f"in spite of this: {fault}")
    show(f"{model}: version {version} is now the current one")


def not_worse(model: Path, version: str, test: Path) -> str:
    """The gate between a version and the current one, on test interactions that neither may know.

    Raises:
        DataError: the version is worse, with the reason.
        LeakageError: one of them was trained on a test event.
    """
    from shortlist.evaluation.compare import compare_models
    from shortlist.evaluation.protocol import evaluate, own_training
    from shortlist.saving import load

    asked = read_data(str(test), None, None, None, None)
    models = {"current": load(model), version: load(model / version)}
    reports = {name: evaluate(one, own_training(one), asked) for name, one in models.items()}
    verdict = compare_models(reports).verdicts[version]
    if verdict.word == "worse":
        raise DataError(f"version {version} is not promoted: it is {verdict.reason}")
    return verdict.reason


@app.command()
def rollback(model: ModelArgument) -> None:
    """Go back to the version before."""
    from shortlist import artifact

    show(f"{model}: version {artifact.rollback(model)} is now the current one")
