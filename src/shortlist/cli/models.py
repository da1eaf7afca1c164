"""``shortlist models``: look after saved models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import JsonFlag, ModelArgument, read_data, say, show, show_json
from shortlist.errors import ArtifactError

if TYPE_CHECKING:
    from shortlist.cascade import Cascade
    from shortlist.serving.promotion import Judge

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
            help="Compare the two versions on these test interactions, not by the figures of their training.",
            autocompletion=completion.files,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote it in spite of what speaks against it; that is recorded.")
    ] = False,
) -> None:
    """Make a version the current one if it can answer and is not worse than the one it replaces.

    Compared are the figures of their training, or with --test those on interactions that neither may know.
    """
    from shortlist.serving import promotion

    judge = promotion.by_validation if test is None else by_test(test)
    done = promotion.promote(model, version, force, judge=judge)
    for fault in done.faults:
        say(f"in spite of this: {fault}")
    if not done.faults:
        say(done.judgement)
    show(f"{model}: version {version} is now the current one")


def by_test(test: Path) -> "Judge":
    """Judges two models on test interactions.

    Raises (the judge):
        LeakageError: one of them was trained on a test event.
    """
    from shortlist.evaluation.compare import compare_models
    from shortlist.evaluation.protocol import evaluate, own_training
    from shortlist.serving.promotion import Judgement

    asked = read_data(str(test), None, None, None, None)

    def judge(new: "Cascade", old: "Cascade") -> Judgement:
        models = {"current": old, "new": new}
        reports = {name: evaluate(one, own_training(one), asked) for name, one in models.items()}
        verdict = compare_models(reports).verdicts["new"]
        return Judgement(verdict.word == "worse", f"on {test.name} it is {verdict.reason}")

    return judge


@app.command()
def prune(
    model: ModelArgument,
    keep: Annotated[int, typer.Option(min=0, help="Keep so many of the others, the newest, as well.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Remove the versions that are neither the current one nor the one before."""
    from shortlist import artifact

    gone = artifact.prune(model, keep)
    if as_json:
        show_json(gone)
    else:
        show(f"removed {', '.join(gone)}" if gone else "there was nothing to remove")


@app.command()
def rollback(model: ModelArgument) -> None:
    """Go back to the version before."""
    from shortlist import artifact

    show(f"{model}: version {artifact.rollback(model)} is now the current one")
