"""The ledger's copy outside the database tells that a backup was put back (A12)."""

from pathlib import Path

import pytest
from sqlalchemy import text

from domain.made import DAY, START
from forestall.domain.errors import InputError
from forestall.domain.events import EMPTY, Event, EventKind
from forestall.server.ledger_file import check_file
from forestall.server.watermark import RESTORED, Watermark
from forestall.store import ledger
from forestall.store.database import Database
from server.company import Company


def write(database: Database, count: int = 3, actor: str = "aiko") -> None:
    with database.begin() as con:
        ledger.append(con, [Event(EventKind.RATED, actor, f"x{n}") for n in range(count)], START)


def restored(database: Database, sequence: int) -> None:
    """Put back a backup that was made when the ledger had so many entries."""
    with database.begin() as con:
        con.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        con.execute(text("DELETE FROM ledger WHERE sequence > :n"), {"n": sequence})
        con.execute(text("ALTER TABLE ledger ENABLE TRIGGER ledger_is_append_only"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inner" / "ledger.jsonl"


def test_every_entry_is_outside_too_and_verifies_there(database: Database, path: Path):
    watermark = Watermark(path)
    assert (watermark.head(), watermark.observing(database)) == (EMPTY, "")
    for _ in range(3):
        write(database)
        watermark.ship(database)
        watermark.ship(database)
    with database.begin() as con:
        assert watermark.entries() == ledger.read(con)
        assert watermark.head() == ledger.head(con)
        assert watermark.entries(after=7) == ledger.read(con, 7)
    assert check_file(path, [watermark.head()]).flaw is None
    assert watermark.observing(database) == ""
    assert path.stat().st_mode & 0o777 == 0o600, "it names machines and people"


def test_a_database_ahead_of_its_copy_is_no_restored_one(database: Database, path: Path):
    """Killed between commit and copy: the next turn catches up."""
    write(database)
    Watermark(path).ship(database)
    write(database)
    watermark = Watermark(path)
    assert watermark.observing(database) == ""
    watermark.ship(database)
    assert watermark.head().sequence == 6


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_an_older_backup_is_noticed(database: Database, path: Path, kept: int):
    write(database, 6)
    Watermark(path).ship(database)
    restored(database, kept)
    assert Watermark(path).observing(database) == RESTORED


def test_a_backup_that_has_grown_again_is_noticed(database: Database, path: Path):
    write(database, 6)
    Watermark(path).ship(database)
    restored(database, 3)
    write(database, 9, actor="ben")
    watermark = Watermark(path)
    assert watermark.observing(database) == RESTORED
    before = path.read_bytes()
    watermark.ship(database)
    assert path.read_bytes() == before, "the copy of what was lost is not overwritten"


def test_a_restored_server_only_observes_and_releases(company: Company, path: Path):
    """A11, A12."""
    company.machine()
    company.campaign()
    Watermark(path).ship(company.database)
    with company.database.begin() as con:
        ledger.append(con, [Event(EventKind.RATED, "aiko", "after the backup")], company.now)
    Watermark(path).ship(company.database)
    with company.database.begin() as con:
        backup = ledger.head(con).sequence - 1
    restored(company.database, backup)
    why = Watermark(path).observing(company.database)
    assert company.turn(DAY, observing=why) == {}
    assert company.turn() == {"offer": 1}


@pytest.mark.parametrize("left", [1, 30, 10_000])
def test_a_line_that_a_crash_cut_off_is_written_anew(database: Database, path: Path, left: int):
    write(database, 400)
    Watermark(path).ship(database)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    torn = b"".join(lines[:-100]) + (lines[-100] * 60)[: min(left, len(lines[-100]) - 1)]
    path.write_bytes(torn)
    watermark = Watermark(path)
    assert watermark.head().sequence == 300
    assert watermark.observing(database) == ""
    watermark.ship(database)
    assert path.read_bytes() == whole


def test_a_first_line_that_was_cut_off_is_no_entry(database: Database, path: Path):
    path.parent.mkdir()
    path.write_bytes(b'{"sequence":1,"at":"20' + b"x" * 200_000)
    write(database, 1)
    watermark = Watermark(path)
    watermark.ship(database)
    assert check_file(path, []).entries == 1


def test_a_copy_that_somebody_changed_is_refused_in_a_sentence(database: Database, path: Path):
    path.parent.mkdir()
    path.write_text("{}\n")
    with pytest.raises(InputError, match=r"ledger\.jsonl: a line is no ledger entry: .* Restore the file"):
        Watermark(path).observing(database)
