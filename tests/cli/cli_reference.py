"""The page docs/cli.md, made from the commands themselves: python tests/cli/cli_reference.py > docs/cli.md"""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from shortlist.cli.main import app

HEAD = """# The command line

Made from the commands themselves (`python tests/cli/cli_reference.py > docs/cli.md`); a test compares it with them.
Results go to stdout, progress and messages to stderr.

| exit code | |
|---|---|
| 0 | done |
| 1 | not done; one line on stderr says what was wrong, and where. Or the answer is no, where a command below says so |
| 2 | a wrong call: an unknown option, a missing argument, a value of the wrong kind |
| 130 | interrupted |

`shortlist --install-completion` teaches the shell that it is called from (bash, zsh, fish or PowerShell) what the TAB
key completes, from the shell's next start on; `shortlist --show-completion` prints that instead. Besides commands and
options, values are completed after a blank (`--target n`, not `--target=n`): MovieLens editions and tables for `DATA`,
presets and TOML files for `--config`, targets, protocols, and the model's versions for `models promote`; elsewhere
names of files. `shortlist --version` prints the version; every command has `--help`.
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
    parameters = [parameter for parameter in command.params if parameter.name != "help"]
    arguments = [word(one) for one in parameters if one.param_type_name == "argument"]
    needed = [f"{one.opts[0]} {word(one)}" for one in parameters if one.param_type_name == "option" and one.required]
    call = " ".join([path, *arguments, *needed, "[OPTION]..."])
    lines = [f"\n## {path}\n\n`{call}`\n\n{command.help}\n", *map(entry, parameters)]
    return "\n".join(lines) + "\n"


def word(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def entry(parameter: Any) -> str:
    """One parameter: how it is written, what it is for, and what holds without it."""
    label = word(parameter)
    if parameter.param_type_name == "option":
        value = f" {parameter.metavar}" if parameter.metavar else ""
        label = " / ".join(filter(None, [", ".join(parameter.opts), ", ".join(parameter.secondary_opts)])) + value
    remarks = [parameter.help or ""]
    if parameter.required:
        remarks.append("Required.")
    if parameter.param_type_name == "option" and parameter.multiple:
        remarks.append("May be given several times.")
    if parameter.default not in (None, False, [], ()):
        remarks.append(f"Default: {parameter.default}.")
    return f"- `{label}`: {' '.join(remarks)}"


if __name__ == "__main__":
    print(reference(), end="")
