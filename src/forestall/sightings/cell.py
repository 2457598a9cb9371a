"""Cells of strangers' tables into values; whatever a cell begins with, it is text and nothing else."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forestall.domain.address import canonical_mac, read_address
from forestall.domain.errors import InputError
from forestall.domain.sighting import Sighting

MOST_BYTES = 200_000_000
MOST_ROWS = 2_000_000
LONGEST_TEXT = 120
LARGEST_CELL = 10_000
SHOWN_REFUSALS = 20

_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]+"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was left out, and why."""

    where: str
    reason: str


@dataclass(slots=True)
class Read:
    """What was in a file. Of refused rows all are counted and the first few kept."""

    sightings: list[Sighting] = field(default_factory=list[Sighting])
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list[Refusal])


def collect(rows: Iterable[tuple[str, Callable[[], Sighting | None]]]) -> Read:
    """Read row after row; a bad one is refused by its place, and the others go on. None is a row about nobody."""
    read = Read()
    for number, (where, make) in enumerate(rows):
        if number >= MOST_ROWS:
            raise InputError(f"more than {MOST_ROWS:,} rows; split the file")
        try:
            sighting = make()
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            read.refused += 1
            if len(read.refusals) < SHOWN_REFUSALS:
                read.refusals.append(Refusal(where, text(str(error))))
            continue
        if sighting is not None:
            read.sightings.append(sighting)
    return read


def decode(data: bytes) -> str:
    """Read UTF-8, with or without its mark at the beginning; what is not UTF-8 shows as such and harms nobody."""
    return data.decode("utf-8-sig", errors="replace")


def csv_rows(data: bytes, wanted: Iterable[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Read a CSV file with a header; column names are compared without case.

    Raises:
        InputError: it has no header with the wanted columns, or cannot be read as CSV.
    """
    lines = io.StringIO(decode(data).replace("\x00", ""), newline="")
    reader = csv.reader(lines)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        missing = sorted(set(wanted) - set(names))
        if missing:
            raise InputError(f"line 1: the header has no column {', '.join(missing)}")
        for cells in reader:
            if cells:
                yield f"line {reader.line_num}", dict(zip(names, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}: not usable as CSV: {error}") from None


def text(cell: object) -> str:
    """Put a cell on one line without anything a terminal would obey, cut off when long."""
    if cell is None:
        return ""
    plain = " ".join(_HOSTILE.sub(" ", str(cell)[:LARGEST_CELL]).split())
    return plain if len(plain) <= LONGEST_TEXT else plain[: LONGEST_TEXT - 1] + "…"


def address(cell: str) -> str:
    """Read an IP address; empty stays empty.

    Raises:
        ValueError: it is none.
    """
    if not cell.strip():
        return ""
    found = read_address(cell.strip())
    if found is None:
        raise ValueError(f"{text(cell)!r} is no IP address")
    return str(found)


def hardware(cell: str) -> str:
    """Read a hardware address in any of its usual forms; empty stays empty.

    Raises:
        ValueError: it is none.
    """
    digits = re.sub(r"\s", "", cell)
    if not digits:
        return ""
    found = canonical_mac(digits)
    if not found:
        raise ValueError(f"{text(cell)!r} is no hardware address")
    return found


def moment(cell: str, now: datetime) -> datetime:
    """Read an instant, ISO 8601 or seconds since 1970; UTC unless it says otherwise.

    Another's clock never makes a sighting fresher than now; an empty cell is now.

    Raises:
        ValueError: it is none.
    """
    cell = cell.strip()
    if not cell:
        return now
    if cell.isdecimal():
        found = datetime.fromtimestamp(int(cell), UTC)
    else:
        found = datetime.fromisoformat(cell)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return min(found, now)
