"""Writes what the documents take from the program: docs/commands.md, and the tables in docs/process.md."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from forestall.domain.printout import markdown

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ROOT / "docs" / "commands.md"
PROCESS = ROOT / "docs" / "process.md"
PROGRAMS = (("forestall", "forestall.cli.main"), ("forestall-agent", "forestall.agent.main"))
EXIT_CODES = (
    "Every command ends with 0 when it did what was asked, with 1 when it could not or found trouble (one sentence on "
    "standard error), with 2 when it was not understood, with 130 after Ctrl-C."
)
BEGIN, END = "<!-- rules:begin -->", "<!-- rules:end -->"


def commands_page() -> str:
    """Describe every command of both programs, from the programs themselves."""
    parts = [
        "# Commands",
        "Written by `scripts/pages.py` from the programs; do not edit it here.",
        EXIT_CODES,
    ]
    for program, module in PROGRAMS:
        parts += described(program, typer.main.get_command(import_module(module).app))
    return "\n\n".join(parts) + "\n"


def described(name: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - typer does not export its command types
    """Describe a command and all below it; hidden ones are left out."""
    if command.hidden:
        return
    yield f"## {name}"
    yield re.sub(r"\s*\n\s*", " ", (command.help or "").strip())
    rows = [row(each) for each in command.params if not getattr(each, "hidden", False)]
    if rows:
        yield "\n".join(["| | |", "|---|---|", *rows])
    for below, child in getattr(command, "commands", {}).items():
        yield from described(f"{name} {below}", child)


def row(parameter: Any) -> str:  # noqa: ANN401 - as above
    """Describe one argument or option as a row of a table."""
    argument = parameter.param_type_name == "argument"
    names = parameter.name.upper() if argument else ", ".join(parameter.opts + parameter.secondary_opts)
    text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    return f"| `{names}` | {text}{'' if argument or not parameter.required else ' (required)'} |"


def process_page() -> str:
    """Put the tables of today into the process document."""
    before, rest = PROCESS.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}\n{markdown()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PROCESS.write_text(process_page(), encoding="utf-8")
    COMMANDS.write_text(commands_page(), encoding="utf-8")
