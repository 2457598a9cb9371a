"""The ledger's copy outside the database: it survives a restore, and so tells that there was one (A12).

Every entry is appended to one file. A database whose ledger is not the file's was put back from an older backup: the
ledger takes back what the file has, and until two people have replayed what the tables lost, the server only observes
and releases.
"""

import fcntl
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from forestall.domain.errors import InputError
from forestall.domain.events import EMPTY, Entry, Head, verify
from forestall.server.ledger_file import entry_of, line_of
from forestall.store import ledger
from forestall.store.database import Database

FILE = "ledger.jsonl"
RESTORED = "restored-backup"
_FIRST_LOOK = 65_536


@dataclass(frozen=True, slots=True)
class Watermark:
    """One file of entries, one JSON document a line."""

    path: Path

    def observing(self, database: Database) -> str:
        """Say why only harmless things may happen; empty where all is as it should be."""
        with database.begin() as con:
            restored = ledger.unreplayed(con) is not None
        return RESTORED if restored or not self._agrees(database) else ""

    def notice(self, database: Database, now: datetime) -> None:
        """Let a restored database take back its ledger, which from then on says that it was restored.

        Raises:
            InputError: the file is not a ledger that holds; nothing was changed.
        """
        if self._agrees(database):
            return
        outside = self.entries()
        flaw = verify(outside)
        if flaw is not None:
            raise InputError(
                f"{self.path}: entry {flaw.sequence} {flaw.why}. The database's ledger is not this one; restore the "
                "file, or move it away if it belongs to another database."
            )
        with database.begin() as con:
            ledger.adopt(con, outside, "forestall", now)

    def _agrees(self, database: Database) -> bool:
        """Say whether the newest entry outside is an entry of the database, too."""
        outside = self.head()
        if not outside.sequence:
            return True
        with database.begin() as con:
            known = ledger.read(con, outside.sequence - 1, 1)
        return bool(known) and known[0].hash == outside.hash

    def head(self) -> Head:
        """Read the newest entry outside; a line that was cut off by a crash does not count."""
        if not self.path.exists():
            return EMPTY
        with self.path.open("rb") as file:
            return self._head(_tail(file).line)

    def entries(self, after: int = 0) -> list[Entry]:
        """Read the entries outside, from the one behind number `after`."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        return [entry for line in lines[:-1] if line and (entry := self._entry(line)).sequence > after]

    def ship(self, database: Database) -> None:
        """Append what is new, so that it is on disk before this returns; several processes may do so."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            tail = _tail(file)
            after = self._head(tail.line)
            with database.begin() as con:
                new = ledger.read(con, after.sequence, 1_000_000)
            if not new or new[0].previous != after.hash:
                return
            file.truncate(tail.end)
            file.write(b"".join(map(line_of, new)))
            file.flush()
            os.fsync(file.fileno())

    def _head(self, line: bytes) -> Head:
        if not line:
            return EMPTY
        newest = self._entry(line)
        return Head(newest.sequence, newest.hash)

    def _entry(self, line: bytes) -> Entry:
        try:
            return entry_of(line)
        except msgspec.DecodeError as error:
            raise InputError(f"{self.path}: a line is no ledger entry: {error}. Restore the file.") from error


class _Tail(NamedTuple):
    """The last whole line of a file, and where it ends: behind it a crash may have left part of another."""

    line: bytes
    end: int


def _tail(file: BinaryIO) -> _Tail:
    """Find the last whole line from the end, however long the file is."""
    size = file.seek(0, os.SEEK_END)
    length = min(size, _FIRST_LOOK)
    while True:
        file.seek(size - length)
        found = file.read(length)
        end = found.rfind(b"\n")
        begin = found.rfind(b"\n", 0, max(end, 0))
        if (end >= 0 and begin >= 0) or length == size:
            return _Tail(found[begin + 1 : max(end, 0)], size - length + end + 1)
        length = min(size, 2 * length)


def _private(path: str, flags: int) -> int:
    """Open, or make readable by us alone: the file names machines and people."""
    return os.open(path, flags | os.O_CREAT, 0o600)
