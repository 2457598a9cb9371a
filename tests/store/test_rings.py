"""The lists of the rings, and what the machines of a test have said: the store says what the domain says (P4)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import DAY, HOUR, MINUTE, POLICY, START, TESTING, instants
from domain.made import records as any_record
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Status
from forestall.domain.ring import LISTS, RINGS, Ring
from forestall.domain.trial import Signs, Trial, Verdict, Word, after_word, signs_of, span_of, tally_of
from forestall.store import campaigns, devices, records, rings, trials
from forestall.store.database import Connection, Database
from forestall.store.devices import Contact
from store.made import in_database

NAMES = [DeviceId(f"d{n}") for n in range(4)]
C, REVISION = TESTING.id, TESTING.revision
TEAM, VOLUNTEERS, LAST = Ring.TEAM, Ring.VOLUNTEERS, Ring.CRITICAL_LAST


@pytest.fixture(autouse=True)
def campaign(database: Database) -> None:
    with database.begin() as con:
        devices.save(con, [Device(name, f"host-{name}", SiteId("tokyo"), managed=True) for name in NAMES])
        campaigns.save(con, TESTING)
        records.enlist(con, C, dict.fromkeys(NAMES, Status.AFFECTED), TESTING.handed_over_at)


def test_a_machine_is_on_one_list_at_most(database: Database):
    """P4.1."""
    with database.begin() as con:
        assert rings.put(con, TEAM, NAMES[:2], "aiko", START) == NAMES[:2]
        assert rings.put(con, TEAM, NAMES[:1], "emil", START + DAY) == [], "was there already"
        assert rings.put(con, LAST, [NAMES[0], DeviceId("nobody")], "emil", START) == [NAMES[0]]
        assert rings.of(con, NAMES) == {NAMES[0]: LAST, NAMES[1]: TEAM}
        assert rings.last(con) == {NAMES[0]}
        assert rings.counts(con) == Counter({TEAM: 1, LAST: 1, Ring.BROAD: 2})
        (member,) = rings.members(con, TEAM)
        assert (member.name, member.by, member.since) == ("host-d1", "aiko", START)
        assert sorted(rings.take_off(con, NAMES)) == NAMES[:2]
        assert rings.counts(con) == Counter({Ring.BROAD: 4})


def test_a_record_says_which_list_its_machine_is_on(database: Database):
    with database.begin() as con:
        rings.put(con, TEAM, NAMES[:1], "aiko", START)
        assert [each.ring for each in records.some(con, C, NAMES)] == [TEAM, None, None, None]
        (changed,) = records.revise(con, C, {NAMES[0]: lambda record: record._replace(failures=1)})
        assert changed.after.ring is TEAM


def test_exempt_and_unmanaged_machines_are_in_no_ring_of_a_campaign(database: Database):
    with database.begin() as con:
        rings.put(con, TEAM, NAMES[:2], "aiko", START)
        records.exempt(con, C, NAMES[0], START + DAY)
        devices.save(con, [Device(NAMES[3], "host-d3", SiteId("tokyo"), managed=False)])
        assert rings.counts_in(con, C, START) == Counter({TEAM: 1, Ring.BROAD: 1})
        assert rings.counts_in(con, C, START + DAY) == Counter({TEAM: 2, Ring.BROAD: 1})


def told(con: Connection, words: Mapping[DeviceId, Word], at: datetime) -> list[DeviceId]:
    return [device for device, _ in trials.hear(con, C, REVISION, words, at)]


def test_what_agents_say_is_kept_once(database: Database):
    word = Word(Status.FIXED, "boot", services=("cups.service", "squid.service"), broke="my printer")
    with database.begin() as con:
        assert told(con, {NAMES[0]: Word(Status.AFFECTED, "boot"), DeviceId("nobody"): word}, START) == []
        assert told(con, {NAMES[0]: word}, START) == [NAMES[0]]
        assert told(con, {NAMES[0]: word}, START + HOUR) == [], "said again"
        span = span_of(TESTING, START + DAY, POLICY)
        listed = {each.device: each for each in trials.testers(con, C, REVISION, RINGS, span)}
        assert set(listed) == set(NAMES)
        first = listed[NAMES[0]]
        assert (first.services, first.broke) == (("cups.service", "squid.service"), "my printer")
        assert trials.hear(con, C, REVISION + 1, {NAMES[0]: word}, START + DAY), (
            "another revision begins anew"
        )


words = st.builds(
    Word,
    st.sampled_from(Status),
    st.sampled_from(["boot-1", "boot-2"]),
    st.integers(0, 2),
    st.sampled_from([(), ("cups.service",), ("a.service", "b.service")]),
    st.sampled_from(["", "the printer", "“; DROP TABLE trial"]),
)


@in_database
@given(history=st.lists(st.tuples(st.sampled_from(NAMES), words, instants), max_size=8))
def test_a_trial_changes_by_the_rules_of_the_domain(
    database: Database, history: list[tuple[DeviceId, Word, datetime]]
):
    expected = dict.fromkeys(NAMES, Trial(was_affected=True))
    with database.begin() as con:
        point = con.begin_nested()
        for device, word, at in history:
            after = after_word(expected[device], word, at)
            changed = trials.hear(con, C, REVISION, {device: word}, at)
            assert changed == ([(device, after)] if after != expected[device] else [])
            expected[device] = after
        point.rollback()


def moments(*names: str) -> dict[str, Any]:
    return {name: st.none() | instants for name in names}


some_trial = st.builds(
    Trial,
    was_affected=st.booleans(),
    boot_id=st.just("boot"),
    services=st.just(()),
    broke=st.just(""),
    **moments(*(name for name in Trial._fields if name.endswith("_at"))),
)


@in_database
@given(
    found=st.lists(st.tuples(any_record, some_trial, st.none() | st.sampled_from(LISTS)), min_size=1, max_size=4),
    resumed_at=st.none() | instants,
    now=instants,
)  # fmt: skip
def test_the_signs_in_sql_are_those_of_the_domain(
    database: Database,
    found: list[tuple[Any, Trial, Ring | None]],
    resumed_at: datetime | None,
    now: datetime,
):
    """Any record and any trial, also such as no history leaves behind."""
    campaign = replace(TESTING, resumed_at=resumed_at)
    span = span_of(campaign, now, POLICY)
    expected: dict[DeviceId, tuple[Ring, Signs]] = {}
    with database.begin() as con:
        point = con.begin_nested()
        for name, (record, trial, ring) in zip(NAMES, found, strict=False):
            ours = record._replace(device=name, managed=True)
            records.revise(con, C, {name: lambda _, ours=ours: ours})
            if record.heard_at is not None:
                devices.heard(con, [Contact(name, record.heard_at, "1", "boot", 1)])
            trials._write(con, C, REVISION, [(name, trial)])
            if ring is not None:
                rings.put(con, ring, [name], "aiko", START)
            if record.exempt_until is None or record.exempt_until <= now:
                expected[name] = (ring or Ring.BROAD, signs_of(ours, trial, span))
        listed = {
            each.device: (each.ring, each.signs) for each in trials.testers(con, C, REVISION, RINGS, span)
        }
        counted = trials.tally(con, C, REVISION, RINGS, span)
        short = trials.tally(con, C, REVISION, LISTS, span)
        point.rollback()
    assert {name: told for name, told in listed.items() if name in NAMES[: len(found)]} == expected
    for ring in RINGS:
        theirs = tally_of((signs, 1) for where, signs in expected.values() if where is ring)
        if ring is Ring.BROAD:
            theirs.verdicts[Verdict.WAITING] += len(NAMES) - len(found)
        assert counted[ring].verdicts == theirs.verdicts
        assert counted[ring].proven == theirs.proven
    assert short == {ring: counted[ring] for ring in LISTS}


def test_a_campaign_keeps_its_rings(database: Database):
    tested = replace(TESTING, ring=Ring.EARLY, ring_opened_at=START, tested_at=START + MINUTE)
    with database.begin() as con:
        campaigns.save(con, tested)
        assert campaigns.get(con, C) == tested
