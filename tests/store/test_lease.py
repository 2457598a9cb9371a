"""Who may act: one at a time, and whoever was deposed writes nothing (R12)."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from domain.made import ENFORCING, HOUR, MINUTE, START
from forestall.domain.action import Action
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.errors import StoreError
from forestall.domain.evidence import Status
from forestall.domain.intent import Intent
from forestall.store import campaigns, devices, intents, lease, ledger, records
from forestall.store.database import Database
from forestall.store.intents import LeaseLostError
from forestall.store.lease import Lease


def taken(database: Database, holder: str, at: timedelta = timedelta(), name: str = "decide") -> Lease | None:
    with database.begin() as con:
        return lease.acquire(con, name, holder, START + at, MINUTE)


def test_one_holds_it_until_it_runs_out(database: Database):
    first = taken(database, "first")
    assert first == Lease("decide", "first", 1)
    assert taken(database, "second", MINUTE / 2) is None
    assert taken(database, "second", MINUTE) == Lease("decide", "second", 2)
    assert taken(database, "second", name="other") == Lease("other", "second", 1)


def test_it_is_prolonged_by_its_holder_alone(database: Database):
    first = taken(database, "first")
    assert first is not None
    with database.begin() as con:
        assert lease.renew(con, first, START + MINUTE / 2, MINUTE)
    assert taken(database, "second", MINUTE) is None
    second = taken(database, "second", 2 * MINUTE)
    with database.begin() as con:
        assert not lease.renew(con, first, START + 2 * MINUTE, MINUTE)
        assert second is not None
        assert lease.holds(con, second)
        assert not lease.holds(con, first)


def test_a_holder_that_comes_back_is_a_new_one(database: Database):
    """It was restarted: what its former self had begun is void."""
    first, again = taken(database, "me"), taken(database, "me")
    assert first is not None
    assert again == Lease("decide", "me", 2)
    with database.begin() as con:
        assert not lease.holds(con, first)


def test_one_that_is_given_back_is_free_at_once(database: Database):
    first = taken(database, "first")
    assert first is not None
    with database.begin() as con:
        lease.release(con, first, START + MINUTE / 2)
    assert taken(database, "second", MINUTE / 2) is not None


def test_a_deposed_scheduler_writes_nothing(database: Database):
    with database.begin() as con:
        devices.save(con, [Device(DeviceId("d1"), "d1", SiteId("tokyo"), managed=True)])
        campaigns.save(con, ENFORCING)
        records.enlist(con, ENFORCING.id, {DeviceId("d1"): Status.AFFECTED}, START)
    old = taken(database, "old")
    assert old is not None
    assert taken(database, "new", HOUR) is not None
    intent = Intent(ENFORCING.id, 1, DeviceId("d1"), Action.INSTALL, 0, SiteId("tokyo"), "force", "P5.4")

    def everything() -> tuple[object, ...]:
        with database.begin() as con:
            return (
                ledger.head(con), intents.open_intents(con, START + HOUR), records.gather(con, ENFORCING.id),
                intents.unordered(con, [intent]),
            )  # fmt: skip

    before = everything()
    with pytest.raises(LeaseLostError, match="old no longer holds decide"), database.begin() as con:
        intents.order(con, old, [intent], START + HOUR)
    assert everything() == before


def test_nobody_can_depose_a_scheduler_in_the_middle_of_its_transaction(database: Database):
    """The row is locked until it commits: the new one waits, so no two ever act at once."""
    first = taken(database, "first")
    assert first is not None

    def depose() -> None:
        with database.begin() as con:
            con.execute(text("SET LOCAL lock_timeout = '200ms'"))
            lease.acquire(con, "decide", "second", START + HOUR, MINUTE)

    with database.begin() as con:
        assert lease.holds(con, first)
        with pytest.raises(StoreError, match="lock timeout"):
            depose()
    depose()
    with database.begin() as con:
        assert not lease.holds(con, first)
