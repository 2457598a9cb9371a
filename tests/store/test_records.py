"""Records in the store change by the rules of `domain.record`; random histories hold the two together."""

# ruff: noqa: E501 - a table reads best one row a line

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import ENFORCING, MINUTE, START, VOLUNTARY, instants
from domain.made import records as any_record
from forestall.domain.action import Action
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.record import (
    Outcome,
    Receipt,
    Record,
    after_attempts,
    after_evidence,
    after_reading,
    after_receipt,
)
from forestall.store import campaigns, devices, records
from forestall.store.database import Database
from store.made import in_database

C = ENFORCING.id
NAMES = [DeviceId(f"d{n}") for n in range(3)]


@pytest.fixture(autouse=True)
def campaign(database: Database) -> None:
    with database.begin() as con:
        devices.save(
            con,
            [
                Device(name, name, SiteId("tokyo"), managed=False, owner="a@b", seen_at=START)
                for name in NAMES
            ],
        )
        campaigns.save(con, ENFORCING)
        records.enlist(con, C, dict.fromkeys(NAMES, Status.AFFECTED), START)


@in_database
@given(written=any_record)
def test_every_record_is_read_back_as_it_was_written(database: Database, written: Record):
    ours = written._replace(device=NAMES[0])
    of_the_machine = {"site", "managed", "owned", "protected", "seen_at", "heard_at", "ring"}
    with database.begin() as con:
        point = con.begin_nested()
        records.revise(con, C, {NAMES[0]: lambda _: ours})
        (found,) = records.some(con, C, [NAMES[0]])
        point.rollback()
    told = {name: getattr(found, name) for name in Record._fields if name not in of_the_machine}
    assert told == {name: getattr(ours, name) for name in told}
    assert (found.site, found.managed, found.owned, found.seen_at) == ("tokyo", False, True, START)


Change = Callable[[Record], Record]
evidence = st.builds(Evidence, st.sampled_from(Witness), st.sampled_from(Status), instants)
changes = st.one_of(
    evidence.map(lambda word: partial(after_evidence, evidence=word)),
    st.builds(lambda n, at, forced, forcing: partial(after_attempts, failures=n, at=at, forced=forced, forcing=forcing), st.integers(0, 3), instants, st.booleans(), st.booleans()),
    st.builds(lambda a, o, at: partial(after_receipt, action=a, receipt=Receipt(o, at)), st.sampled_from(Action), st.sampled_from([Outcome.DONE, Outcome.REFUSED, Outcome.DROPPED]), instants),
    st.builds(lambda closed, at: partial(after_reading, closed=closed, at=at), st.booleans(), instants),
)  # fmt: skip
steps = st.lists(st.dictionaries(st.sampled_from(NAMES), changes, min_size=1), max_size=8)


@in_database
@given(history=steps)
def test_the_store_keeps_a_record_by_the_rules_of_the_domain(
    database: Database, history: list[dict[DeviceId, Change]]
):
    with database.begin() as con:
        point = con.begin_nested()
        expected = {record.device: record for record in records.gather(con, C)}
        for step in history:
            changed = records.revise(con, C, step)
            after = {device: change(expected[device]) for device, change in step.items()}
            assert {pair.after.device: pair for pair in changed} == {
                device: (expected[device], after[device])
                for device in after
                if after[device] != expected[device]
            }
            expected |= after
        assert {record.device: record for record in records.gather(con, C)} == expected
        point.rollback()


def test_a_machine_is_enlisted_once_and_unknown_is_no_word(database: Database):
    with database.begin() as con:
        devices.save(con, [Device(DeviceId("new"), "new", SiteId("tokyo"), managed=False)])
        found = {NAMES[0]: Status.UNKNOWN, DeviceId("new"): Status.UNKNOWN}
        assert records.enlist(con, C, found, START + MINUTE) == 1
        old, new = records.some(con, C, [NAMES[0], DeviceId("new")])
    assert (old.inventory_status, old.inventory_at) == (Status.AFFECTED, START)
    assert (new.inventory_status, new.inventory_at) == (None, None)


def test_what_belongs_to_the_machine_is_the_same_in_all_its_campaigns(database: Database):
    second = replace(VOLUNTARY, id=CampaignId("c2"))
    with database.begin() as con:
        campaigns.save(con, second)
        records.enlist(con, second.id, {NAMES[0]: Status.AFFECTED}, START)
        devices.seen(con, [NAMES[0]], START + MINUTE)
        assert records.campaigns_of(con, NAMES[0]) == [C, "c2"]
        seen = {record.seen_at for name in (C, second.id) for record in records.some(con, name, [NAMES[0]])}
    assert seen == {START + MINUTE}


def test_an_exemption_has_an_end_and_needs_a_machine_of_the_campaign(database: Database):
    """A1."""
    until: datetime = START + timedelta(days=30)
    with database.begin() as con:
        assert records.exempt(con, C, NAMES[0], until)
        assert not records.exempt(con, C, DeviceId("nobody"), until)
        assert [record.exempt_until for record in records.gather(con, C) if record.device == NAMES[0]] == [
            until
        ]


def test_nobody_is_changed_who_is_not_in_the_campaign(database: Database):
    with database.begin() as con:
        assert records.revise(con, C, {DeviceId("nobody"): lambda record: record._replace(failures=1)}) == []
        assert records.revise(con, C, {}) == []
