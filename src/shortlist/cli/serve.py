"""``shortlist serve``: answer over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli import completion
from shortlist.cli.console import ModelArgument
from shortlist.errors import require


def serve(
    model: ModelArgument,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; other than this machine only with --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 = any that is free; the log says which.")] = 8000,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Where events go, such as sqlite:///events.db; none = nowhere. Left out: events.db in MODEL.",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="API keys, made by `shortlist keys add`.", autocompletion=completion.files),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file of rules, read again when it changes; see `shortlist rules`.",
            autocompletion=completion.files,
        ),
    ] = None,
    deadline_ms: Annotated[
        float, typer.Option("--deadline-ms", min=1, help="A stage that is not done by then is left out of the answer.")
    ] = 50.0,
    rate: Annotated[float, typer.Option(min=0, help="Requests per second of each key; 0 = no limit.")] = 0.0,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Requests being answered; more get 503.")] = 256,
    drain_s: Annotated[
        float, typer.Option("--drain-s", min=0, help="After SIGTERM go on answering so many seconds, no longer ready.")
    ] = 0.0,
    poll_s: Annotated[
        float, typer.Option("--poll-s", min=0.05, help="How often to look whether another version was promoted.")
    ] = 1.0,
    events_move_counts: Annotated[
        bool,
        typer.Option(
            "--events-move-counts",
            help="Let events move the popularity of items, and the moment taken for now, within seconds.",
        ),
    ] = False,
    log_users: Annotated[bool, typer.Option("--log-users", help="Put user ids into the log.")] = False,
    log_exposures: Annotated[bool, typer.Option("--log-exposures", help="Store what each answer showed.")] = False,
) -> None:
    """Answer over HTTP, by the promoted version of a model, and follow each promotion; the page is at /.

    The log is JSON on stderr.
    """
    for module in ("litestar", "uvicorn", "sqlalchemy", "prometheus_client"):
        require(module, "serve", "Answering over HTTP")
    from shortlist.serving.server import Settings
    from shortlist.serving.server import serve as run

    run(
        Settings(
            model,
            host,
            port,
            store_address(model, store),
            keys,
            deadline_ms,
            rate,
            at_once,
            poll_s=poll_s,
            drain_s=drain_s,
            log_users=log_users,
            log_exposures=log_exposures,
            move_counts=events_move_counts,
            rules=rules,
        )
    )


def store_address(model: Path, store: str | None) -> str | None:
    """The store that --store means."""
    if store == "none":
        return None
    return store or f"sqlite:///{(model.parent if (model / 'manifest.json').is_file() else model) / 'events.db'}"
