"""The loops: one server decides at a time, a fault in one turn does not stop the next, an end gives the lease back."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text

from domain.made import HOUR, MINUTE, POLICY, START
from forestall.domain.action import Action
from forestall.domain.intent import Intent
from forestall.domain.record import Outcome, Receipt
from forestall.server.beat import Beat
from forestall.server.catalogue import catalogue
from forestall.server.effects import Effects
from forestall.server.loops import LEASE, LEASE_PERIOD, Clockwork, Outside, Watch
from forestall.server.watermark import Watermark
from forestall.store import campaigns, feeds, lease, ledger, records
from forestall.store.database import Database
from server.company import Company


def clockwork(
    company: Company,
    path: Path,
    effects: Effects | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Clockwork:
    now = clock or (lambda: company.now)
    return Clockwork(company.database, company.policy, Outside(effects or {}), Watermark(path), now)


def offered(company: Company) -> int:
    with company.database.begin() as con:
        return sum(
            record.offered_at is not None
            for campaign in campaigns.everything(con)
            for record in records.gather(con, campaign.id)
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def test_a_turn_decides_and_copies_the_ledger_outside(company: Company, path: Path):
    company.machine()
    company.campaign()
    clockwork(company, path).turn()
    assert offered(company) == 1
    with company.database.begin() as con:
        assert Watermark(path).head() == ledger.head(con)


def test_only_one_server_decides_until_its_lease_runs_out(company: Company, path: Path):
    """R12."""
    first, second = clockwork(company, path), clockwork(company, path)
    first.turn()
    company.machine()
    company.campaign()
    second.turn()
    assert offered(company) == 0
    company.now += LEASE_PERIOD
    second.turn()
    assert offered(company) == 1
    with company.database.begin() as con:
        actors = {entry.event.actor for entry in ledger.read(con) if entry.event.rule == "offer"}
    assert actors == {second._holder}
    first.turn()
    assert first._lease is None, "it knows that it was deposed"


def test_what_is_ordered_is_carried_out_in_the_same_turn(company: Company, path: Path):
    """P6.1: a machine whose owner is known is announced to."""
    done: list[Action] = []

    def remember(wanted: Sequence[Intent], now: datetime) -> list[Receipt]:
        done.extend(each.action for each in wanted)
        return [Receipt(Outcome.DONE, now) for _ in wanted]

    company.machine()
    company.campaign()
    with company.database.begin() as con:
        con.execute(text("UPDATE device SET owner = 'aiko@example.com'"))
    clockwork(company, path, dict.fromkeys(Action, remember)).turn()
    assert done == [Action.ANNOUNCE]


@contextmanager
def going(turn: Callable[[], object], every: float = 3600.0) -> Iterator[Beat]:
    beat = Beat("test", turn, every)
    beat.start()
    try:
        yield beat
    finally:
        beat.stop()


def test_a_server_that_ends_gives_the_lease_back(company: Company, path: Path):
    loop = clockwork(company, path)
    loop.turn()
    loop.end()
    with company.database.begin() as con:
        assert lease.acquire(con, LEASE, "next", company.now, LEASE_PERIOD) is not None


def test_a_fault_in_one_turn_does_not_stop_the_next(company: Company, path: Path):
    """The ledger's table is away for a while."""
    turns = count()

    def clock() -> datetime:
        next(turns)
        return company.now

    company.machine()
    company.campaign()
    rename(company.database, "ledger", "away")
    with going(clockwork(company, path, clock=clock).turn, every=0.01):
        wait_until(lambda: next(turns) > 3)
        assert offered(company) == 0
        rename(company.database, "away", "ledger")
        wait_until(lambda: offered(company) == 1)


def test_a_wake_up_makes_the_next_turn_come_at_once(company: Company, path: Path):
    with going(clockwork(company, path).turn) as beat:
        wait_until(lambda: held(company.database))
        company.machine()
        company.campaign()
        beat.wake()
        wait_until(lambda: offered(company) == 1)


def test_an_end_without_a_database_is_quiet(tmp_path: Path, path: Path):
    """Nothing is thrown."""
    with Database(f"postgresql://u@/x?host={tmp_path}") as gone:
        loop = Clockwork(gone, POLICY, Outside({}), Watermark(path), lambda: START)
        loop._lease = lease.Lease(LEASE, "me", 1)
        loop.end()


def test_the_watch_reads_what_is_configured(company: Company, tmp_path: Path):
    """P1.1: and a broken source holds up nothing else."""
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "advisories.jsonl").write_text("{")
    (tmp_path / "good" / "epss_scores-current.csv").write_text(
        "#model_version:v,score_date:2026-08-07T00:00:00Z\ncve,epss,percentile\nCVE-2026-0001,0.5,0.9\n"
    )
    addresses = [str(tmp_path / name) for name in ("nothing", "bad", "good")]
    with going(Watch(company.database, addresses, lambda: company.now).turn, every=0.01):
        wait_until(lambda: known(company) == 1)
    with company.database.begin() as con:
        errors = {name: state.last_error for name, state in feeds.states(con).items()}
    assert "line 1" in errors[f"debian-advisories {tmp_path / 'bad'}"]
    assert errors[f"epss {tmp_path / 'good'}"] == ""


def known(company: Company) -> int:
    return len(catalogue(company.database).facts)


def held(database: Database) -> bool:
    with database.begin() as con:
        return bool(con.execute(text("SELECT count(*) FROM lease")).scalar())


def rename(database: Database, old: str, new: str) -> None:
    with database.begin() as con:
        con.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def wait_until(so: Callable[[], bool]) -> None:
    """Look again until it is so; a minute is enough for the slowest machine."""
    pause = threading.Event()
    for _ in range(3000):
        if so():
            return
        pause.wait(0.02)
    pytest.fail("it never came to be so")


def test_periods_fit():
    """A lease outlives a few missed turns of the default length."""
    assert timedelta(seconds=10) * 3 <= LEASE_PERIOD <= MINUTE * 2 < HOUR
