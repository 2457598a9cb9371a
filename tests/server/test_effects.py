"""What is done to the world outside: guarded again right before, answered by a receipt (A12)."""

# ruff: noqa: E501 - a table reads best one row a line

from collections.abc import Sequence
from datetime import datetime

import pytest
from sqlalchemy import text

from domain.made import DAY, DEADLINE, ENFORCING, MINUTE, POLICY, START, TOLD, vulnerable
from forestall.domain.action import Action
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.events import EventKind
from forestall.domain.evidence import Status
from forestall.domain.intent import Intent
from forestall.domain.record import Outcome, Receipt, Record
from forestall.server.effects import AT_ONCE, apply_open
from forestall.server.outside import SIMULATED
from forestall.store import campaigns, devices, intents, lease, ledger, records
from forestall.store.database import Database

NOW = DEADLINE + DAY
D1, D2 = DeviceId("d1"), DeviceId("d2")
REMOVABLE = vulnerable(TOLD._replace(warning_at=NOW - 12 * MINUTE, warned_at=NOW - 12 * MINUTE), NOW - MINUTE)


def removal(device: DeviceId) -> Intent:
    return Intent(ENFORCING.id, 1, device, Action.QUARANTINE, 0, SiteId("tokyo"), "quarantine", "P6.4")


@pytest.fixture(autouse=True)
def fleet(database: Database) -> None:
    with database.begin() as con:
        for device in (D1, D2):
            devices.save(
                con, [Device(device, device, SiteId("tokyo"), managed=False, owner="a@b", seen_at=NOW)]
            )
        campaigns.save(con, ENFORCING)
        records.enlist(con, ENFORCING.id, dict.fromkeys((D1, D2), Status.AFFECTED), START)
        for device in (D1, D2):
            stand(database, device, REMOVABLE, con)
        held = lease.acquire(con, "decide", "me", NOW, MINUTE)
        assert held is not None
        intents.order(con, held, [removal(D1), removal(D2)], NOW)


def stand(database: Database, device: DeviceId, record: Record, con=None) -> None:
    change = {device: lambda found: record._replace(device=device, site=found.site)}
    if con is not None:
        records.revise(con, ENFORCING.id, change)
        return
    with database.begin() as own:
        records.revise(own, ENFORCING.id, change)


class Switch:
    """Closes ports and remembers which."""

    def __init__(self, outcome: Outcome = Outcome.DONE) -> None:
        self.closed: list[str] = []
        self.outcome = outcome

    def __call__(self, wanted: Sequence[Intent], now: datetime) -> list[Receipt]:
        self.closed += [each.device for each in wanted]
        return [Receipt(self.outcome, now, "port 7") for _ in wanted]


def applied(database: Database, switch: Switch) -> int:
    return apply_open(database, dict.fromkeys(Action, switch), "worker", NOW, POLICY)


def test_what_was_ordered_is_done_once_and_has_its_receipt(database: Database):
    switch = Switch()
    assert (applied(database, switch), applied(database, switch)) == (2, 0)
    assert sorted(switch.closed) == ["d1", "d2"]
    with database.begin() as con:
        assert [record.quarantined_at for record in records.gather(con, ENFORCING.id)] == [NOW, NOW]
        last = ledger.read(con)[-1].event
    assert (last.kind, last.actor, last.rule, last.paragraph) == (
        EventKind.DONE,
        "worker",
        "quarantine",
        "P6.4",
    )
    assert (last.body or {})["detail"] == "port 7"


@pytest.mark.parametrize(
    ("newest", "why"),
    [
        pytest.param(REMOVABLE._replace(probe_status=Status.FIXED), "fixed: ", id="seen fixed a moment ago (P6.5)"),
        pytest.param(REMOVABLE._replace(exempt_until=NOW + DAY), "exempt: ", id="exempted a moment ago (A1)"),
        pytest.param(REMOVABLE._replace(refused_at=NOW), "no-mail: ", id="the warning bounced (A14)"),
        pytest.param(REMOVABLE._replace(probe_at=NOW - DAY, inventory_status=None, inventory_at=None), "", id="nothing fresh is known (A2)"),
    ],
)  # fmt: skip
def test_what_the_rules_no_longer_want_is_dropped(database: Database, newest: Record, why: str):
    stand(database, D1, newest)
    switch = Switch()
    assert applied(database, switch) == 2
    assert switch.closed == ["d2"]
    with database.begin() as con:
        (entry,) = [
            e for e in ledger.read(con) if e.event.subject == D1 and e.event.kind is EventKind.REFUSED
        ]
    body = entry.event.body or {}
    assert body["outcome"] == "dropped"
    assert str(body["detail"]).startswith(why)


def test_what_waits_for_one_effect_holds_up_no_other(database: Database, monkeypatch: pytest.MonkeyPatch):
    """P6.5: nobody waits for his port behind a thousand removals whose switch does not answer."""
    monkeypatch.setitem(AT_ONCE, Action.QUARANTINE, 1)
    freed = Switch()
    stand(database, D2, REMOVABLE._replace(quarantined_at=NOW, probe_status=Status.FIXED))
    release = Intent(ENFORCING.id, 1, D2, Action.RELEASE, 0, SiteId("tokyo"), "release-fixed", "P6.5")
    with database.begin() as con:
        held = lease.acquire(con, "decide", "me", NOW + MINUTE, MINUTE)
        assert held is not None
        intents.order(con, held, [release], NOW + MINUTE)
    slow = Switch(Outcome.FAILED)
    apply_open(database, {Action.QUARANTINE: slow, Action.RELEASE: freed}, "worker", NOW + MINUTE, POLICY)
    assert (slow.closed, freed.closed) == (["d1"], ["d2"])


def test_a_machine_that_became_protected_is_left_alone(database: Database):
    """A8: at the effect again."""
    with database.begin() as con:
        devices.save(con, [Device(D1, D1, SiteId("tokyo"), managed=False, owner="a@b", protected=True)])
    switch = Switch()
    applied(database, switch)
    assert switch.closed == ["d2"]


def test_a_machine_that_is_gone_is_left_alone(database: Database):
    """In doubt nothing is done, and the others are not held up."""
    with database.begin() as con:
        con.execute(text("DELETE FROM record WHERE device = 'd1'"))
    switch = Switch()
    assert applied(database, switch) == 2
    assert switch.closed == ["d2"]


def test_nothing_is_connected_by_default_and_the_receipt_says_so(database: Database):
    assert apply_open(database, SIMULATED, "worker", NOW, POLICY) == 2
    with database.begin() as con:
        assert [record.quarantined_at for record in records.gather(con, ENFORCING.id)] == [None, None]
        last = ledger.read(con)[-1].event
    assert last.kind is EventKind.REFUSED
    assert (last.body or {})["detail"] == "simulate: would have closed its port"


def test_every_effect_is_answered_by_what_is_connected():
    """An action without an effect would stop all others."""
    assert set(SIMULATED) | intents.PUBLISHED == set(Action)
