"""The ledger's copy outside the database: it survives a restore, and so tells that there was one (A12).

Every entry is appended to one file. A database whose ledger is shorter than that file was put back from an older
backup: until a person has replayed what it lost, the server only observes and releases.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from forestall.domain.errors import InputError
from forestall.domain.events import EMPTY, Entry, Head
from forestall.server.ledger_file import entry_of, line_of
from forestall.store import ledger
from forestall.store.database import Database

RESTORED = "restored-backup"


@dataclass(slots=True)
class Watermark:
    """One file of entries, one JSON document a line."""

    path: Path
    _shipped: Head | None = None

    def observing(self, database: Database) -> str:
        """Say why only harmless things may happen; empty where all is as it should be."""
        outside = self.head()
        with database.begin() as con:
            inside = ledger.head(con)
            if inside.sequence < outside.sequence:
                return RESTORED
            known = ledger.read(con, outside.sequence - 1, 1) if outside.sequence else []
        return "" if not outside.sequence or known[0].hash == outside.hash else RESTORED

    def head(self) -> Head:
        """Read the newest entry outside; a line that was cut off by a crash does not count."""
        if self._shipped is None:
            newest = self.entries()[-1:]
            self._shipped = Head(newest[0].sequence, newest[0].hash) if newest else EMPTY
        return self._shipped

    def entries(self, after: int = 0) -> list[Entry]:
        """Read the entries outside, from the one behind number `after`."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        try:
            found = [entry_of(line) for line in lines[:-1] if line]
        except msgspec.DecodeError as error:
            raise InputError(f"{self.path}: a line is no ledger entry: {error}. Restore the file.") from error
        return [entry for entry in found if entry.sequence > after]

    def ship(self, database: Database) -> None:
        """Append what is new, so that it is on disk before this returns."""
        after = self.head()
        with database.begin() as con:
            if ledger.head(con).sequence <= after.sequence:
                return
            new = ledger.read(con, after.sequence, 1_000_000)
        if new[0].previous != after.hash:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "r+b", opener=_private) as file:
            file.seek(_whole_lines(file))
            file.truncate()
            file.write(b"".join(map(line_of, new)))
            file.flush()
            os.fsync(file.fileno())
        self._shipped = Head(new[-1].sequence, new[-1].hash)


def _private(path: str, flags: int) -> int:
    """Open, or make readable by us alone: the file names machines and people."""
    return os.open(path, flags | os.O_CREAT, 0o600)


def _whole_lines(file: BinaryIO) -> int:
    """Find where the last whole line ends; what a crash cut off after it is written anew."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65_536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
