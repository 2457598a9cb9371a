"""The ledger outside the database: exported, and verified offline or in place (A12)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from forestall.domain.errors import InputError
from forestall.domain.events import EMPTY, Entry, Event, EventKind, Flaw, Head, JsonValue, verify
from forestall.store import ledger
from forestall.store.database import Database


@dataclass(frozen=True, slots=True)
class Checked:
    """What a verification found."""

    entries: int
    head: Head
    flaw: Flaw | None


def write_ledger(database: Database, path: Path) -> Head:
    """Write every entry as one line of JSON."""
    last = EMPTY
    with database.begin() as con, path.open("wb") as file:
        for entry in ledger.read_all(con):
            file.write(line_of(entry))
            last = Head(entry.sequence, entry.hash)
    return last


def check_database(database: Database, heads: Sequence[Head]) -> Checked:
    """Verify the ledger where it is."""
    with database.begin() as con:
        return _check(ledger.read_all(con), heads)


def check_file(path: Path, heads: Sequence[Head]) -> Checked:
    """Verify an exported ledger; needs no database and no server.

    Raises:
        InputError: the file cannot be read, or a line of it is no entry.
    """
    return _check(_lines(path), heads)


def read_heads(texts: Iterable[str]) -> list[Head]:
    """Read `NUMBER:HASH`.

    Raises:
        InputError: a text is not of that form.
    """
    heads = []
    for text in texts:
        number, colon, digest = text.partition(":")
        if not colon or not number.isdigit() or len(digest) != 64:
            raise InputError(f"“{text[:80]}” is not NUMBER:HASH, as `forestall ledger verify` prints a head")
        heads.append(Head(int(number), digest))
    return heads


def _check(entries: Iterable[Entry], heads: Sequence[Head]) -> Checked:
    last = EMPTY

    def counted() -> Iterator[Entry]:
        nonlocal last
        for entry in entries:
            last = Head(entry.sequence, entry.hash)
            yield entry

    try:
        flaw = verify(counted(), heads)
    except ledger.UnreadableEntryError as error:
        flaw = Flaw(error.sequence, f"was changed: {error.why}")
    return Checked(last.sequence, last, flaw)


def line_of(entry: Entry) -> bytes:
    """Write an entry as one line of JSON."""
    return msgspec.json.encode(entry) + b"\n"


def entry_of(line: bytes) -> Entry:
    """Read an entry.

    Raises:
        msgspec.DecodeError: the line is none.
    """
    found = _decode(line)
    event = found.event
    body: Mapping[str, JsonValue] | None = event.body
    return Entry(
        found.sequence,
        found.at,
        Event(event.kind, event.actor, event.subject, event.campaign, event.rule, event.paragraph, body),
        found.previous,
        found.hash,
    )


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    kind: EventKind
    actor: str
    subject: str
    campaign: str
    rule: str
    paragraph: str
    body: dict[str, Any] | None


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    sequence: int
    at: datetime
    event: _Event
    previous: str
    hash: str


_decode = msgspec.json.Decoder(_Entry).decode


def _lines(path: Path) -> Iterator[Entry]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield entry_of(line)
                except msgspec.DecodeError as error:
                    raise InputError(f"{path}, line {number}: is not an entry: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
