"""The command line: ``shortlist COMMAND``."""

import io
import os
import sys

import typer
from rich.markup import escape

from shortlist.cli import (
    data,
    doctor,
    evaluate,
    events,
    explain,
    keys,
    models,
    quickstart,
    recommend,
    rules,
    serve,
    train,
)
from shortlist.cli.console import err, show
from shortlist.errors import ShortlistError

app = typer.Typer(
    name="shortlist",
    help="A log of interactions becomes a two-stage recommender: retrieval makes a shortlist, ranking orders it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("quickstart")(quickstart.quickstart)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("recommend")(recommend.recommend)
app.command("explain")(explain.explain)
app.command("serve")(serve.serve)
app.add_typer(rules.app, name="rules")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")
app.add_typer(events.app, name="events")
app.command("doctor")(doctor.doctor)


@app.callback(invoke_without_command=True)
def version(show_version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    """A log of interactions becomes a two-stage recommender."""
    if show_version:
        from shortlist import __version__

        show(__version__)
        raise typer.Exit


def main() -> None:
    """Run a command; a user's mistake ends in one line on stderr and exit code 1, a wrong call in 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter gets its code
    try:
        app(prog_name="shortlist")
    except ShortlistError as error:
        _stop(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _stop(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), 1)
    except ImportError as error:
        if (error.name or "").startswith("shortlist"):
            raise
        _stop(f"{error}: a package is missing or damaged; shortlist doctor says which", 1)
    except KeyboardInterrupt:
        _stop("interrupted", 130)


def _stop(message: str, code: int) -> None:
    err().print(f"[red]error:[/red] {escape(message)}", soft_wrap=True)
    sys.exit(code)
