"""``shortlist quickstart``: both systems on MovieLens 100K, from the data to recommendations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli import completion
from shortlist.cli.console import check_file_out, check_model_out, download_bar, say, show
from shortlist.cli.recommend import as_text
from shortlist.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from shortlist.cascade import Cascade
    from shortlist.data.dataset import Dataset
    from shortlist.evaluation.figures import Result
    from shortlist.evaluation.report import Report

USER = 42
Accuracy = dict[str, dict[str, float]]
LABELS = {
    "tutorial": "the tutorial's two towers",
    "two_tower_done_right": "the two towers done right",
    "pipeline": "our pipeline",
}


def quickstart(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="A local folder or zip of MovieLens 100K.",
            autocompletion=completion.files,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="MODEL", help="Where to save the model.", autocompletion=completion.files),
    ] = Path("models/ml-100k"),
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Also write every figure to a file.", autocompletion=completion.files
        ),
    ] = None,
) -> None:
    """Run the tutorial's two-stage system and this project's own on MovieLens 100K; recommend films to user 42."""
    check_model_out(out, "--out")
    if json_file is not None:
        check_file_out(json_file, "--json")
    from shortlist.data.movielens import movielens
    from shortlist.training.tutorial import beside_it, run_tutorial

    say("fetching MovieLens 100K")
    with download_bar("ml-100k") as progress:
        dataset = movielens("100k", data, progress=progress)
    for note in dataset.notes:
        say(f"note: {note}")
    if USER not in set(dataset.users["user_id"].to_list()):
        raise DataError(f"the data have no user {USER}; the quickstart needs MovieLens 100K")
    show_data(dataset)
    say("the tutorial: two towers and a rating network on 80,000 rows")
    tutorial = run_tutorial(dataset, USER)
    show_tutorial(tutorial)
    say("beside it on the same rows: popularity, EASE, the two towers done right")
    accuracy = {"tutorial": tutorial.accuracy, **beside_it(tutorial)}
    report = judge_pipeline(dataset)
    accuracy["pipeline"] = own_accuracy(report)
    show_stages(report, accuracy)
    model, answer = final_model(dataset, report, out)
    show_pipeline(answer)
    if json_file is not None:
        write_json(json_file, tutorial, report, model, answer, out, accuracy)
    show_next(out)


def show_data(dataset: Dataset) -> None:
    show(
        f"\nMovieLens 100K: {len(dataset):,} ratings, {len(dataset.users):,} users, {len(dataset.items):,} films\n"
        f"\nUser {USER}'s favourites\n"
    )
    own = dataset.interactions.filter(user_id=USER).join(dataset.items, on="item_id", how="left")
    best = own.sort("rating", "timestamp", descending=True).head(5)
    for title, rating in best.select("title", "rating").iter_rows():
        show(f"  {rating:.0f}  {title}")


def show_tutorial(run: Any) -> None:
    kept, removed = (run.accuracy[name]["100"] for name in ("seen_kept", "seen_removed"))
    show(
        f"\nThe tutorial (80,000 rows train, 20,000 test; an item is a title), fitted in {run.fit_seconds:.1f} s\n"
        f"  retrieval: {kept:.3f} of the test rows are among the first 100 titles ({removed:.3f} without seen ones)\n"
        f"  ranking: RMSE {run.rmse:.4f}\n\n"
        f"Stage 1 retrieved ten for user {USER}; stage 2 sorts them by predicted rating\n"
    )
    show("  retrieved  ->  ranked   predicted   title")
    ranks = dict(run.shortlist.select("item_id", "rank").iter_rows())
    for title, rating in run.shortlist.select("item_id", "predicted_rating").iter_rows():
        row = run.shortlist.filter(item_id=title).row(0, named=True)
        show(f"  {row['retrieval_rank']:>9}  ->  {ranks[title]:>6}   {rating:>9.2f}   {title}")


def judge_pipeline(dataset: Dataset) -> Report:
    """Our pipeline on the same kind of split, films by id."""
    from shortlist.data.split import split
    from shortlist.evaluation.protocol import evaluate
    from shortlist.training.schedule import train

    parts = split(dataset, "random")
    say("our pipeline on 80,000 rows of the same kind")
    model = train(parts.train, "random", "fast", progress=say)
    say("judging it on the other 20,000")
    return evaluate(model, parts.train, parts.test, protocol="random")


def show_stages(report: Report, accuracy: dict[str, Accuracy]) -> None:
    headline = report.results[0]
    stages = headline.stages
    assert stages is not None
    show(f"\nOur pipeline, same split by film: what each stage did (seen films left out)\n\n  {report.verdict}\n")
    show(f"  {'stage 1: each source':<28} recall@{stages.n:<6} NDCG@{report.k}")
    for source in stages.sources:
        show(f"  {source.name:<28} {source.recall:<13.3f} {source.ndcg_alone:.3f}")
    show(f"  {'all sources together':<28} {stages.recall_union:.3f}")
    show(f"  {f'the {stages.n} candidates':<28} {stages.recall_candidates:<13.3f} {stages.ndcg_fusion:.3f}  (fused)")
    show(f"  {'stage 2: ranked':<28} {'':<13} {stages.ndcg_ranker:.3f}")
    show(f"  {'a perfect ranker':<28} {'':<13} {stages.ndcg_oracle:.3f}\n")
    show(f"  {'top-100 accuracy per row':<28} seen kept     seen removed")
    for name, of in accuracy.items():
        label = LABELS.get(name, name)
        show(f"  {label:<28} {of['seen_kept']['100']:<13.3f} {of['seen_removed']['100']:.3f}")


def own_accuracy(report: Report) -> Accuracy:
    def figures(result: Result) -> dict[str, float]:
        return {str(k): value for k, value in result.top_k_accuracy.items()}

    return {f"seen_{seen}": figures(report.result(seen=seen)) for seen in ("kept", "removed")}


def final_model(dataset: Dataset, report: Report, out: Path) -> tuple[Cascade, pl.DataFrame]:
    """Our pipeline on all rows, for what users take up next; saved with the report, and asked for ten films."""
    from shortlist.reports import KeptReport, keep_report
    from shortlist.training.schedule import train

    say("our pipeline on all 100,000 rows, for what each user takes up next")
    model = train(dataset, "window", "fast", progress=say)
    version = model.save(out).name
    judged = "another model (fast), fitted on 80,000 of the 100,000 rows, for the target 'random'"
    keep_report(out, KeptReport(version, judged, False, report.to_dict()))
    titles = model.items.select("item_id", "title")
    answer = model.recommend(USER, k=10).join(titles, on="item_id", how="left", maintain_order="left")
    return model, answer


def show_pipeline(answer: pl.DataFrame) -> None:
    show(f"\nOur pipeline on all rows: ten films for user {USER}\n")
    columns = ("rank", "title", "score", "retrieval_rank", "retrieval_score", "predicted_rating")
    names = sorted({name for sources in answer["sources"].to_list() for name in sources})
    marks = [answer["sources"].list.contains(name).replace_strict({True: "x", False: ""}).alias(name) for name in names]
    show(as_text(answer.select(*columns, *marks).rename({"retrieval_rank": "retrieved", "retrieval_score": "fused"})))


def show_next(out: Path) -> None:
    show(
        f"\nSaved to {out}. Next:\n"
        f"  shortlist recommend {out} {USER} --where \"year >= 1995 and 'Drama' in genres\"\n"
        f"  shortlist recommend {out} --history 50,181 --details\n"
        f"  shortlist evaluate ml-100k --protocol next\n"
        f"  shortlist serve {out}    # then open http://127.0.0.1:8000/ : the page that shows all this"
    )


def write_json(
    path: Path,
    tutorial: Any,
    report: Report,
    model: Cascade,
    answer: pl.DataFrame,
    out: Path,
    accuracy: dict[str, Accuracy],
) -> None:
    import json

    headline = report.to_dict()
    ranked = tutorial.shortlist.sort("rank").select("item_id", "rank", "predicted_rating").rename({"item_id": "title"})
    document = {
        "tutorial": {
            "retrieval": {"top_k_accuracy": tutorial.accuracy},
            "ranking": {"rmse": tutorial.rmse},
            "retrieved": tutorial.shortlist["item_id"].to_list(),
            "recommendations": ranked.to_dicts(),
            "fit_seconds": tutorial.fit_seconds,
        },
        "pipeline": {
            "stages": headline["results"][0]["stages"],
            "report": headline,
            "top_k_accuracy": accuracy,
            "record": model.record,
            "recommendations": answer.to_dicts(),
        },
        "model_path": str(out),
    }
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8")
    say(f"every figure is in {path}")
