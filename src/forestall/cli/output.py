"""How commands answer: a table for people, JSON for programs; hostile text is made harmless for the terminal."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from forestall.domain.duration import format_duration

Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys instead of a table.")]

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160))}
_CONTROL |= {
    code: f"\\u{code:04x}"
    for code in (*range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def harmless(text: str) -> str:
    """Show control and direction-changing characters as escapes, line ends too: names come from outside."""
    return text.translate(_CONTROL)


def print_json(value: object) -> None:
    """Write one JSON document to standard output: instants ISO 8601, enums by value, dataclasses by field."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")


def print_line(text: str) -> None:
    """Write one line for people."""
    sys.stdout.write(harmless(text) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Write a table for people; `empty` says what to do when there is nothing to show."""
    listed = [[escape(harmless(_cell(value))) for value in row] for row in rows]
    if not listed:
        print_line(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in listed:
        table.add_row(*row)
    Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200).print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case timedelta():
            return format_duration(value)
        case Enum():
            return str(value.value)
        case float():
            return f"{value:.3f}"
        case _:
            return str(value)
