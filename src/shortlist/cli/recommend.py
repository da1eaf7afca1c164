"""``shortlist recommend``: ask a saved model, for some users or for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shortlist.cli import completion
from shortlist.cli.console import JsonFlag, ModelArgument, check_file_out, say, show, show_json
from shortlist.errors import ConfigError, QueryError

if TYPE_CHECKING:
    import polars as pl

    from shortlist.cascade import Cascade
    from shortlist.data.vocabulary import Vocabulary

USERS_AT_ONCE = 2_048


def recommend(
    model: ModelArgument,
    users: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[USER]...",
            help="User ids; with --history at most one, who may be unknown or left out.",
            autocompletion=completion.files,
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many items per user.")] = 10,
    at: Annotated[str | None, typer.Option(help="The moment of asking: Unix seconds or an ISO date.")] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID,ID",
            help="Item ids, oldest first, instead of the stored history: --history 50,181 or --history 50 --history "
            "181. A word after a blank is a user.",
        ),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="ID,ID", help="Only these items; written as --history is.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="ID,ID", help="None of these items; likewise.")] = None,
    where: Annotated[str | None, typer.Option(help='A condition on item attributes, e.g. "year >= 1995".')] = None,
    filter_seen: Annotated[
        bool | None, typer.Option("--filter-seen/--keep-seen", help="Leave seen items out, or keep them.")
    ] = None,
    diversity: Annotated[
        float,
        typer.Option(min=0, max=1, help="From 0, the order of the score, to 1: as unlike as can be."),
    ] = 0.0,
    cap: Annotated[
        list[str] | None,
        typer.Option(metavar="ATTRIBUTE=N", help="At most N items of any one value, e.g. genres=3; may be repeated."),
    ] = None,
    explore: Annotated[
        float, typer.Option(min=0, max=1, help="The share of places that any candidate may take, by the user's draw.")
    ] = 0.0,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A TOML file of rules; see `shortlist rules`.", autocompletion=completion.files
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also say why, in a sentence; the numbers with --json or in Parquet.")
    ] = False,
    details: Annotated[bool, typer.Option("--details", help="Also say how each answer came about.")] = False,
    everyone: Annotated[bool, typer.Option("--all", help="Every known user; needs --out.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a .parquet or .csv file instead.", autocompletion=completion.files),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Recommend items to users, known or not, one or all."""
    from shortlist.saving import load

    if everyone and (out is None or users or history):
        raise ConfigError("--all needs --out FILE.parquet and takes neither users nor --history")
    if not everyone and not users and not history:
        raise ConfigError("say which users, or give a --history, or --all")
    if history and len(users or []) > 1:
        raise ConfigError(_stray(users or [], history))
    if out is not None:
        check_table_out(out)
    fitted = load(model)
    items = fitted.item_vocabulary
    asked: dict[str, Any] = {
        "k": k,
        "at": None if at is None else moment(at),
        "history": item_ids(history, items) if history else None,
        "include_items": item_ids(include, items) if include else None,
        "exclude_items": item_ids(exclude, items) if exclude else None,
        "where": where,
        "filter_seen": filter_seen,
        "diversity": diversity,
        "caps": dict(map(_cap, cap)) if cap else None,
        "explore": explore,
        "rules": rules,
        "explain": explain,
    }
    kind = fitted.user_vocabulary.kind
    ids = fitted.users["user_id"].to_list() if everyone else [typed_id(user, kind) for user in users or []]
    if history and ids:
        check_user(ids[0], history, fitted)
    if out is not None:
        rows = write(out, (fitted.recommend(block, **asked) for block in _blocks(ids or [None])), len(ids))
        show_json({"file": str(out), "rows": rows, "users": len(ids)}) if as_json else show(f"{rows:,} rows in {out}")
        return
    answer = fitted.recommend(ids or None, details=True, **asked)
    table = _with_titles(answer.table, fitted)
    if as_json:
        document = {"recommendations": table.to_dicts()}
        show_json(document | ({"details": answer.details.to_dicts()} if details else {}))
        return
    show(as_text(table.drop("explanation", strict=False)))
    for row in table.to_dicts() if explain else []:
        name = row.get("title") or row["item_id"]
        show(f"{row['user_id']}, {row['rank']}. {name}: {row['explanation']['sentence']}")
    for row in answer.details.to_dicts():
        if details or row["reason"] or row["notes"]:
            show(f"user {row['user_id']}: {row['returned']} of {row['asked']}; " + "; ".join(_remarks(row)))


def _stray(users: list[str], history: list[str]) -> str:
    return (
        f"--history goes with one user at most, but {', '.join(map(repr, users))} are given: a word after a blank is "
        f"a user. For items of the history write --history {','.join([*history, *users[1:]])}"
    )


def check_user(user: int | str, history: list[str], model: Cascade) -> None:
    """Say whose history is replaced; refuse an item after a blank that was taken for the user.

    Raises:
        QueryError: the model knows no such user, but such an item.
    """
    if model.user_vocabulary.rows([user])[0] >= 0:
        say(f"user {user}, with this history in place of the stored one: {', '.join(history)}")
    elif model.item_vocabulary.rows([typed_id(str(user), model.item_vocabulary.kind)])[0] >= 0:
        raise QueryError(
            f"{user!r} was taken for a user, whom the model does not know; it knows such an item. If it belongs to the "
            f"history, write --history {','.join([*history, str(user)])}; for somebody unknown leave the user out"
        )


def check_table_out(path: Path) -> None:
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise ConfigError(f"--out: expected a name ending in .parquet or .csv, got {path}")
    check_file_out(path, "--out")


def _cap(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    if not name or not number.isdecimal():
        raise ConfigError(f"--cap: expected ATTRIBUTE=N, for example genres=3, got {text!r}")
    return name, int(number)


def _remarks(row: dict[str, Any]) -> list[str]:
    known = "known" if row["known_user"] else "unknown"
    acted = f"{' and '.join(row['acted'])} acted" if row["acted"] else None
    told = filter(None, [row["reason"], acted])
    return [f"{known}, {row['history_items']} history items", *told, *row["notes"]]


def _blocks(ids: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(ids), USERS_AT_ONCE):
        if start:
            say(f"{start:,} of {len(ids):,} users done")
        yield ids[start : start + USERS_AT_ONCE]


def write(path: Path, tables: Iterator[pl.DataFrame], n_users: int) -> int:
    """Write blocks of recommendations into one file, which appears only when it is whole; the number of rows.

    Blocks go to files of their own first, so memory stays at one block, whatever the number of users.
    """
    import tempfile

    import polars as pl

    rows = 0
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        parts = []
        for number, table in enumerate(tables):
            parts.append(Path(folder) / f"{number:06}.parquet")
            (table if path.suffix.lower() == ".parquet" else _with_sentences(table)).write_parquet(parts[-1])
            rows += len(table)
        whole = pl.scan_parquet(parts)
        partial = Path(folder) / path.name
        if path.suffix.lower() == ".parquet":
            whole.sink_parquet(partial)
        else:
            whole.with_columns(pl.col(pl.List(pl.String)).list.join("|")).sink_csv(partial)
        os.replace(partial, path)
    return rows


def _with_titles(table: pl.DataFrame, model: Cascade) -> pl.DataFrame:
    if "title" not in model.items.columns:
        return table
    titles = model.items.select("item_id", "title")
    first = ["user_id", "rank", "item_id", "title"]
    rest = [column for column in table.columns if column not in first]
    return table.join(titles, on="item_id", how="left", maintain_order="left").select(*first, *rest)


def _with_sentences(table: pl.DataFrame) -> pl.DataFrame:
    """Explanations, where there are any, as their sentences, for formats that hold no more."""
    import polars as pl

    if "explanation" not in table.columns:
        return table
    return table.with_columns(pl.col("explanation").struct.field("sentence").alias("explanation"))


def as_text(table: pl.DataFrame) -> str:
    """A table for people: one line per row."""
    import polars as pl

    joined = {"sources": " + ", "rules": ", "}
    shown = table.with_columns(pl.col(name).list.join(by) for name, by in joined.items() if name in table.columns)
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        fmt_str_lengths=60,
        tbl_width_chars=200,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="NOTHING",
        float_precision=3,
    ):
        return str(shown)


def moment(text: str) -> int | datetime:
    if text.isdigit():
        return int(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(f"--at: expected Unix seconds or an ISO date such as 1998-04-01, got {text!r}") from error


def typed_id(text: str, kind: str) -> int | str:
    """A text from the command line as an id of the model's kind."""
    if kind == "integer":
        try:
            return int(text)
        except ValueError:
            return text  # of another kind: an unknown id
    return text


def item_ids(texts: list[str], vocabulary: Vocabulary) -> list[int | str]:
    """Item ids from the command line: one text is an item's id, or several with commas between them."""
    ids: list[int | str] = []
    for text in texts:
        whole = typed_id(text, vocabulary.kind)
        if vocabulary.rows([whole])[0] >= 0:
            ids.append(whole)
        else:
            ids += [typed_id(part.strip(), vocabulary.kind) for part in text.split(",") if part.strip()]
    return ids
