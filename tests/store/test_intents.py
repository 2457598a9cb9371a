"""Intents: once each, on record with their ledger entries under the lease, answered by receipts (A12)."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import DAY, DEADLINE, ENFORCING, HOUR, MINUTE, START
from forestall.domain.action import Action
from forestall.domain.brakes import Held
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.events import EventKind
from forestall.domain.evidence import Status
from forestall.domain.intent import Intent, intent_of
from forestall.domain.record import INTENT_MARKS, Outcome, Receipt, Record, after_intent, after_receipt
from forestall.store import campaigns, devices, intents, lease, ledger, records
from forestall.store.database import Connection, Database
from forestall.store.intents import PUBLISHED
from store.made import in_database

NOW = DEADLINE + DAY
NAMES = [DeviceId(f"d{n}") for n in range(4)]
C = ENFORCING.id

ENLISTED = 1
"""The ledger's entries before the first intent: the machines were taken in."""


def intent(device: str = "d0", action: Action = Action.QUARANTINE, round_: int = 0) -> Intent:
    return Intent(C, 1, DeviceId(device), action, round_, SiteId("tokyo"), "quarantine", "P6.4")


@pytest.fixture(autouse=True)
def campaign(database: Database) -> None:
    with database.begin() as con:
        devices.save(con, [Device(name, name, SiteId("tokyo"), managed=False, owner="a@b") for name in NAMES])
        campaigns.save(con, ENFORCING)
        records.enlist(con, C, dict.fromkeys(NAMES, Status.AFFECTED), START)


def ordered(con: Connection, wanted: Sequence[Intent], now: datetime = NOW) -> list[Intent]:
    held = lease.acquire(con, "decide", "me", now, MINUTE)
    assert held is not None
    return intents.order(con, held, wanted, now)


def record_of(con: Connection, device: DeviceId = NAMES[0]) -> Record:
    (found,) = records.some(con, C, [device])
    return found


def test_twice_is_once(database: Database):
    with database.begin() as con:
        assert ordered(con, [intent("d0"), intent("d1")]) == [intent("d0"), intent("d1")]
    with database.begin() as con:
        assert ordered(con, [intent("d1"), intent("d2")]) == [intent("d2")]
        assert [each.intent.device for each in intents.open_intents(con, NOW)] == ["d0", "d1", "d2"]
        assert len(ledger.read(con, ENLISTED)) == 3


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(intent()._replace(revision=2), id="another revision"),
        pytest.param(intent()._replace(device=DeviceId("d1")), id="another machine"),
        pytest.param(intent()._replace(action=Action.WARN), id="another action"),
        pytest.param(intent()._replace(round=1), id="another round"),
    ],
)
def test_what_differs_in_its_key_is_another_one(database: Database, other: Intent):
    with database.begin() as con:
        ordered(con, [intent()])
        assert ordered(con, [other]) == [other]


def test_every_intent_has_its_entry_that_reads_back_as_it(database: Database):
    wanted = [intent(action=action) for action in Action]
    with database.begin() as con:
        ordered(con, wanted)
        entries = ledger.read(con, ENLISTED)
    assert [intent_of(entry.event) for entry in entries] == wanted
    assert {(entry.event.kind, entry.event.actor, entry.at) for entry in entries} == {
        (EventKind.INTENDED, "me", NOW)
    }


@pytest.mark.parametrize("action", Action)
def test_ordering_leaves_on_the_record_what_the_domain_says(database: Database, action: Action):
    """The mark in the store and `after_intent` are one rule."""
    with database.begin() as con:
        before = record_of(con)
        ordered(con, [intent(action=action)])
        assert record_of(con) == after_intent(before, action, NOW)
        waits = [each.intent.action for each in intents.open_intents(con, NOW)]
    assert waits == ([] if action in PUBLISHED else [action])


@pytest.mark.parametrize("action", [action for action in Action if action not in PUBLISHED])
@pytest.mark.parametrize("outcome", Outcome)
def test_a_receipt_leaves_on_the_record_what_the_domain_says(
    database: Database, action: Action, outcome: Outcome
):
    at = NOW + MINUTE
    with database.begin() as con:
        ordered(con, [intent(action=action)])
        before = record_of(con)
        receipt = Receipt(outcome, at, "because")
        intents.conclude(con, [(intent(action=action), receipt)], "worker", at)
        entry = ledger.read(con)[-1]
        waits = intents.open_intents(con, at + HOUR)
        after = record_of(con)
    if outcome is Outcome.FAILED:
        assert (after, entry.event.kind) == (before, EventKind.INTENDED), "nothing happened yet"
        assert [(each.intent.action, each.attempts) for each in waits] == [(action, 1)]
    else:
        assert after == after_receipt(before, action, receipt)
        assert waits == []
        assert entry.event.kind is (EventKind.DONE if outcome is Outcome.DONE else EventKind.REFUSED)
        assert entry.event.body == {
            "action": action, "round": 0, "revision": 1, "site": "tokyo", "outcome": outcome, "detail": "because",
        }  # fmt: skip


def test_a_dropped_intent_may_be_ordered_anew(database: Database):
    """It starts a new episode, so the next one has another round."""
    with database.begin() as con:
        ordered(con, [intent(action=Action.WARN)])
        dropped = Receipt(Outcome.DROPPED, NOW, "fixed meanwhile")
        intents.conclude(con, [(intent(action=Action.WARN), dropped)], "worker", NOW)
        record = record_of(con)
    assert (record.warning_at, record.episode) == (None, 1)


def test_two_workers_never_take_the_same_intent(database: Database):
    with database.begin() as con:
        ordered(con, [intent("d0"), intent("d1")])
    with database.begin() as first, database.begin() as second:
        assert len(intents.open_intents(first, NOW, limit=1)) == 1
        assert [each.intent.device for each in intents.open_intents(second, NOW)] == ["d1"]


def test_a_look_that_somebody_waits_for_goes_before_a_sweep_ordered_earlier(database: Database):
    """P6.4: the re-check of a warned machine is in time behind thousands that nothing is known of."""
    with database.begin() as con:
        ordered(con, [intent(name, Action.LOOK)._replace(rule="sweep") for name in NAMES[:2]])
        ordered(con, [intent("d2", Action.LOOK)._replace(rule="recheck")], NOW + MINUTE)
        taken = intents.open_intents(con, NOW + MINUTE, [Action.LOOK], limit=2)
    assert [each.intent.device for each in taken] == ["d2", "d0"]


@in_database
@given(
    wanted=st.lists(
        st.builds(intent, st.sampled_from(NAMES), st.sampled_from(Action), st.integers(0, 2)), unique=True
    )
)
def test_the_marks_of_many_are_the_marks_of_each(database: Database, wanted: list[Intent]):
    with database.begin() as con:
        point = con.begin_nested()
        expected = {record.device: record for record in records.gather(con, C)}
        ordered(con, wanted)
        for each in wanted:
            expected[each.device] = after_intent(expected[each.device], each.action, NOW)
        assert {record.device: record for record in records.gather(con, C)} == expected
        point.rollback()


def test_what_is_held_is_listed_since_when_and_leaves_the_list(database: Database):
    """A8: held by the brake, told once, shown with its time."""
    first, second = (
        Held(intent("d0"), "removals-a-minute", "A8"),
        Held(intent("d1"), "removals-at-site", "A8"),
    )
    with database.begin() as con:
        intents.hold(con, C, [first], "me", NOW)
        intents.hold(con, C, [first, second], "me", NOW + MINUTE)
        assert intents.held(con, C) == [(first, NOW), (second, NOW + MINUTE)]
        intents.hold(con, C, [second], "me", NOW + HOUR)
        assert intents.held(con, C) == [(second, NOW + MINUTE)]
        told = [
            (entry.event.kind, entry.event.subject, entry.event.body) for entry in ledger.read(con, ENLISTED)
        ]
    assert told == [
        (EventKind.HELD, "d0", {"brake": "removals-a-minute"}),
        (EventKind.HELD, "d1", {"brake": "removals-at-site"}),
    ]


def test_the_load_counts_intents_whoever_ordered_them(database: Database):
    with database.begin() as con:
        devices.save(
            con, [Device(DeviceId("router"), "router", SiteId("osaka"), managed=False, protected=True)]
        )
        ordered(con, [intent("d0"), intent("d0", Action.INSTALL)], NOW - 2 * HOUR)
        ordered(con, [intent("d1")], NOW - HOUR / 2)
        ordered(
            con, [intent("d2"), intent("d3", Action.INSTALL), intent("d3", Action.WARN)], NOW - MINUTE / 2
        )
        load = intents.load(con, NOW)
    assert (load.fleet, load.sites) == (5, {"tokyo": 4, "osaka": 1})
    assert (load.removed_in_minute, load.removed_in_hour, load.forced_in_minute) == (1, 2, 1)
    assert (load.removed_at_site, load.protected) == ({"tokyo": 2}, {"router"})


def test_every_mark_is_a_column():
    assert set(INTENT_MARKS.values()) <= set(Record._fields)
