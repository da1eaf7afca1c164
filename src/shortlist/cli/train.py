"""``shortlist train``: fit both stages and save the model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli import completion
from shortlist.cli.console import (
    ColumnOption,
    ConfigOption,
    ItemsOption,
    JsonFlag,
    SeedOption,
    TargetOption,
    ThreadsOption,
    UsersOption,
    check_model_out,
    read_data,
    say,
    settings,
    show,
    show_json,
)
from shortlist.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from shortlist.cascade import Cascade


def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A .csv, .tsv or .parquet file of interactions, or a MovieLens edition such as ml-100k; may be left "
            "out with --from STORE.",
            autocompletion=completion.data_sets,
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="MODEL", help="The directory to save the model under.", autocompletion=completion.files
        ),
    ],
    items: ItemsOption = None,
    users: UsersOption = None,
    column: ColumnOption = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STORE|FOLDER",
            help="The address of a server's store, such as sqlite:///events.db: train on the events collected there, "
            "after those of DATA. Or, for MovieLens, a local folder or zip instead of fetching.",
            autocompletion=completion.files,
        ),
    ] = None,
    target: TargetOption = None,
    config: ConfigOption = "default",
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Let it take the place of the current version also where it is worse."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Fit both stages on a log of interactions, save the model, and say what each stage did.

    Where MODEL has a current version, the new one takes its place only as `shortlist models promote` would let it.
    """
    from shortlist.cli.collected import read_collected
    from shortlist.data.validation.set_aside import place_beside
    from shortlist.training.schedule import train as train_model

    check_model_out(out, "--out")
    known: dict[str, Any] = {}
    if source is not None and "://" in source:
        dataset, known = read_collected(source, data, items, users, column, place_beside(out))
    elif data is None:
        raise ConfigError("nothing to train on: name a log (DATA), or a store of collected events (--from STORE)")
    else:
        dataset = read_data(data, items, users, column, Path(source) if source else None, place_beside(out))
    for note in dataset.notes:
        say(f"note: {note}")
    model = train_model(dataset, target, settings(config, seed, threads), progress=say)  # type: ignore[arg-type]
    model.record.update(known)
    version = saved(model, out, force)
    if as_json:
        show_json({"model_path": str(out), "version": version.name, "target": model.target, "record": model.record})
        return
    show(summary(model))
    show(f"\nsaved to {out} (version {version.name})")
    show(f"next: shortlist recommend {out} {dataset.users['user_id'][0]}")


def saved(model: "Cascade", out: Path, force: bool) -> Path:
    """The folder of the new version, which is the current one.

    Raises:
        ArtifactError: it lies there, but is not promoted.
    """
    from shortlist import artifact
    from shortlist.serving.promotion import promote

    version = model.save(out, promote=False)
    if artifact.promoted(out) != version.name:
        try:
            done = promote(out, version.name, force)
        except ArtifactError as error:
            raise ArtifactError(
                f"{error}\nIt lies in {out} beside the current version: `shortlist models promote {out} "
                f"{version.name} --force` promotes it all the same"
            ) from error
        for fault in done.faults:
            say(f"in spite of this: {fault}")
    return version


def summary(model: "Cascade") -> str:
    """What each stage did, in a few lines."""
    record = model.record
    lines = [repr(model), f"target: {model.target}; seen items are {'left out' if model.filter_seen else 'kept'}"]
    lines += [f"stage 1, {name}: {values or 'nothing to choose'}" for name, values in record["settings_chosen"].items()]
    if record.get("candidate_recall"):
        recalls = ", ".join(f"{shift} {recall:.3f}" for shift, recall in record["candidate_recall"].items())
        lines.append(
            f"share of what users took up that the {model.config.retrieval.candidates} candidates hold: {recalls}"
        )
    lines += [f"validation NDCG@10, {name}: {figure:.4f}" for name, figure in record.get("validation", {}).items()]
    lines.append(f"stage 2: {_ranker(record)}")
    lines += [f"WARNING: {sentence}" for sentence in record.get("warnings", ())]
    lines.append(f"fitted in {record['fit_seconds']:.1f} s")
    return "\n".join(lines)


def _ranker(record: dict[str, Any]) -> str:
    if record["ranker"] == "trees":
        blends = record["blend"] if isinstance(record["blend"], list) else [record["blend"]]
        scores = [" + ".join(f"{weight:g} x {name}" for name, weight in blend.items()) for blend in blends]
        if len(scores) == 1:
            return f"{record['trees']} trees, score = {scores[0]}"
        return f"{record['trees']} trees; who was away: score = {scores[0]}; who acts now: score = {scores[1]}"
    reason = f" ({record['why']})" if "why" in record else ""
    words = {"fusion": "reciprocal-rank fusion", "rating": "sorted by predicted rating"}
    return words.get(record["ranker"], f"{record['ranker']} alone") + reason
