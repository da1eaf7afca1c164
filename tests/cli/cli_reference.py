"""The page docs/cli.md, made from the commands themselves: python tests/cli/cli_reference.py > docs/cli.md"""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from shortlist.cli.main import app

HEAD = """# The command line

Made from the commands themselves (`python tests/cli/cli_reference.py > docs/cli.md`); a test compares it with them.
A user's mistake ends in one line on stderr and exit code 1, a wrong call in 2. Results go to stdout, progress to
stderr.
"""


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{path} {name}")
    if not getattr(command, "commands", None):
        yield path, command


def reference() -> str:
    return HEAD + "".join(section(path, command) for path, command in commands(get_command(app), "shortlist"))


def section(path: str, command: Any) -> str:
    lines = [f"\n## {path}\n\n{command.help}\n"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        flags = [*parameter.opts, *parameter.secondary_opts]
        label = ", ".join(flags) if parameter.param_type_name == "option" else (parameter.metavar or parameter.name)
        needed = " Required." if parameter.required else ""
        lines.append(f"- `{label}`: {getattr(parameter, 'help', None) or ''}{needed}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
