"""`forestall versions`: the order of versions, checked against statements in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from forestall.cli.output import Json, print_json, print_line
from forestall.domain.errors import FeedError, InputError
from forestall.domain.version import Order, compare
from forestall.feeds.document import unpack
from forestall.feeds.packages import MOST_BYTES

app = typer.Typer(help="The order of versions.", no_args_is_help=True)

_HOLDS = {
    Order.LESS: {"lt", "le", "ne", "<", "<=", "!="},
    Order.EQUAL: {"le", "eq", "ge", "<=", "=", ">="},
    Order.GREATER: {"gt", "ge", "ne", ">", ">=", "!="},
}
"""The operators that hold for an order."""

_OPERATORS = sorted(set().union(*_HOLDS.values()))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A statement that does not hold."""

    line: int
    statement: str
    found: Order


@dataclass(frozen=True, slots=True)
class Answer:
    """How many statements were checked; `unknown` ones have a version that dpkg would not read."""

    checked: int
    mismatches: int
    unknown: int
    wrong: list[Mismatch]


@app.callback()
def versions() -> None:
    """Keep `check` a command of its own."""


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="Lines `a op b`; op: lt le eq ne ge gt or < <= = != >= >; # comments.")
    ],
    json: Json = False,
) -> None:
    """Check statements about versions in dpkg's order; exit 1 if one does not hold."""
    answer = _check(_lines(file), str(file))
    if json:
        print_json(answer)
    else:
        for mismatch in answer.wrong:
            print_line(f"line {mismatch.line}: {mismatch.statement}: the first is {mismatch.found}")
        print_line(f"{answer.checked} checked, {answer.mismatches} mismatches, {answer.unknown} unknown")
    if answer.mismatches:
        raise typer.Exit(1)


def _lines(path: Path) -> list[str]:
    try:
        return unpack(path.read_bytes(), MOST_BYTES).decode(errors="replace").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except FeedError as error:
        raise InputError(f"{path}: {error}") from None


def _check(lines: list[str], name: str) -> Answer:
    checked, unknown, wrong = 0, 0, list[Mismatch]()
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 3 or words[1] not in _OPERATORS:
            raise InputError(
                f"{name}: line {number}: expected `version op version` with op in {', '.join(_OPERATORS)}"
            )
        first, operator, second = words
        checked += 1
        order = compare(first, second)
        if order is Order.UNKNOWN:
            unknown += 1
        elif operator not in _HOLDS[order]:
            wrong.append(Mismatch(number, " ".join(words), order))
    return Answer(checked, len(wrong), unknown, wrong)
