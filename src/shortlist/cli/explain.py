"""``shortlist explain``: why a saved model recommends items to a user, or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shortlist.cli.console import JsonFlag, ModelArgument, show, show_json
from shortlist.cli.recommend import item_ids, moment, typed_id

if TYPE_CHECKING:
    from shortlist.explaining.explanation import Explanation

MOST_GROUPS = 5


def explain(
    model: ModelArgument,
    user: Annotated[str | None, typer.Argument(metavar="[USER]", help="Left out: somebody unknown.")] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(metavar="ID,ID", help="These items, recommended or not, instead of the recommended ones."),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many recommended items.")] = 10,
    at: Annotated[str | None, typer.Option(help="The moment of asking: Unix seconds or an ISO date.")] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(metavar="ID,ID", help="Item ids, oldest first, instead of the stored history."),
    ] = None,
    language: Annotated[str, typer.Option(help="Of the sentences: en or de.")] = "en",
    as_json: JsonFlag = False,
) -> None:
    """Say why items are recommended to a user: sources, history, features, rating; a sentence for each."""
    import msgspec

    from shortlist.saving import load

    fitted = load(model)
    explained = fitted.explain(
        None if user is None else typed_id(user, fitted.user_vocabulary.kind),
        item_ids(item, fitted.item_vocabulary) if item else None,
        k=k,
        at=None if at is None else moment(at),
        history=item_ids(history, fitted.item_vocabulary) if history else None,
        language=language,
    )
    if as_json:
        told = [{"item_id": item_id, **msgspec.to_builtins(found)} for item_id, found in explained.items()]
        show_json({"explanations": told})
        return
    titles = {}
    if "title" in fitted.items.columns:
        titles = dict(zip(fitted.known_items, fitted.items["title"].to_list(), strict=True))
    for item_id, found in explained.items():
        title = titles.get(item_id)
        show(f"{item_id}  {title}" if title else str(item_id))
        for line in _lines(found, titles):
            show(f"    {line}")


def _lines(found: Explanation, titles: dict[int | str, str]) -> list[str]:
    lines = [found.sentence]
    for source in found.sources:
        because = [f"{titles.get(one.item_id) or one.item_id} {one.share:+.0%}" for one in source.because]
        how = "proposed it" if source.proposed else "did not propose it"
        lines.append(
            f"{source.source} {how}: rank {source.rank:,} of the catalogue"
            + (f"; {', '.join(because)}" * bool(because))
        )
    if found.score is not None:
        shown, rest = found.ranking[:MOST_GROUPS], found.ranking[MOST_GROUPS:]
        parts = [f"{group.contribution:+.3f} {group.group}" for group in shown]
        parts += [f"{sum(group.contribution for group in rest):+.3f} the rest"] if rest else []
        lines.append(f"score {found.score:.3f} = {found.base:.3f} base, {', '.join(parts)}")
    if found.rating is not None:
        rating = sum(term.contribution for term in found.rating)
        terms = ", ".join(f"{term.contribution:+.2f} {term.term}" for term in found.rating)
        lines.append(f"predicted rating {rating:.2f} = {terms}")
    return lines
