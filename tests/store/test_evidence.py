"""What witnesses say: by the domain's rules on the record, every changed word in history and ledger (A2)."""

# ruff: noqa: E501 - a table reads best one row a line

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from domain.made import DAY, ENFORCING, HOUR, START, instants
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.events import EventKind
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.record import after_attempts, after_evidence
from forestall.store import campaigns, devices, ledger, records
from forestall.store.database import Connection, Database
from forestall.store.evidence import Attempts, Observation, take
from store.made import in_database

ENLISTED = 1
"""The ledger's entries before the first word: the machine was taken in."""

C, D = ENFORCING.id, DeviceId("d1")
T = START + DAY


@pytest.fixture(autouse=True)
def campaign(database: Database) -> None:
    with database.begin() as con:
        devices.save(con, [Device(D, "d1", SiteId("tokyo"), managed=True)])
        campaigns.save(con, ENFORCING)
        records.enlist(con, C, {D: Status.AFFECTED}, START)


def said(
    status: Status, at=T, witness: Witness = Witness.AGENT, attempts: Attempts | None = None
) -> Observation:
    return Observation(D, Evidence(witness, status, at, "detail"), attempts)


def history(con: Connection) -> list[tuple[str, str]]:
    return [tuple(row) for row in con.execute(text("SELECT witness, status FROM evidence ORDER BY id"))]


def test_a_changed_word_is_kept_and_told(database: Database):
    with database.begin() as con:
        take(con, C, [said(Status.AFFECTED)], T)
        take(con, C, [said(Status.PENDING_RESTART, T + HOUR)], T + HOUR)
        (record,) = records.some(con, C, [D])
        entries = ledger.read(con, ENLISTED)
        assert history(con) == [("agent", "affected"), ("agent", "pending_restart")]
    assert (record.agent_status, record.agent_at) == (Status.PENDING_RESTART, T + HOUR)
    assert [(e.event.kind, e.event.actor, e.event.subject, e.event.campaign) for e in entries] == [
        (EventKind.STATUS_CHANGED, "agent", "d1", C)
    ] * 2
    assert entries[-1].event.body == {"status": "pending_restart", "detail": "detail"}


def test_a_repeated_word_shows_in_its_instant_alone(database: Database):
    """300,000 machines say the same every four hours: neither history nor ledger grows by it."""
    with database.begin() as con:
        for hour in range(5):
            take(con, C, [said(Status.AFFECTED, T + hour * HOUR)], T)
        (record,) = records.some(con, C, [D])
        assert (len(history(con)), ledger.head(con).sequence) == (1, ENLISTED + 1)
    assert record.agent_at == T + 4 * HOUR


@pytest.mark.parametrize(
    "word",
    [
        pytest.param(said(Status.FIXED, START - DAY, Witness.INVENTORY), id="older than the same witness's last"),
        pytest.param(said(Status.UNKNOWN), id="no word: unknown"),
        pytest.param(Observation(DeviceId("x"), Evidence(Witness.AGENT, Status.FIXED, T)), id="of a machine that is not in the campaign"),
    ],
)  # fmt: skip
def test_what_is_no_news_changes_nothing(database: Database, word: Observation):
    with database.begin() as con:
        before = records.gather(con, C)
        assert take(con, C, [word], T) == []
        assert (records.gather(con, C), history(con), ledger.head(con).sequence) == (before, [], ENLISTED)


def test_an_agent_says_how_its_attempts_went(database: Database):
    """A4, P5.4."""
    with database.begin() as con:
        take(con, C, [said(Status.AFFECTED, attempts=Attempts(2, forced=True))], T)
        (record,) = records.some(con, C, [D])
    assert (record.failures, record.failing_since, record.forced_at, record.forcing_at) == (2, T, T, None)
    with database.begin() as con:
        take(con, C, [said(Status.AFFECTED, attempts=Attempts(2, forced=True, forcing=True))], T)
        (record,) = records.some(con, C, [D])
    assert record.forcing_at == T


observations = st.lists(
    st.builds(
        said, st.sampled_from(Status), instants, st.sampled_from(Witness),
        st.none() | st.builds(Attempts, st.integers(0, 3), st.booleans(), st.booleans()),
    ),
    max_size=5,
)  # fmt: skip


@in_database
@given(turns=st.lists(observations, max_size=3))
def test_taking_in_is_the_domains_rule_word_by_word(database: Database, turns: list[list[Observation]]):
    with database.begin() as con:
        point = con.begin_nested()
        (expected,) = records.some(con, C, [D])
        for turn in turns:
            take(con, C, turn, T)
            for each in turn:
                expected = after_evidence(expected, each.evidence)
                if each.attempts:
                    failures, forced, forcing = astuple(each.attempts)
                    at = each.evidence.observed_at
                    expected = after_attempts(expected, failures, at, forced=forced, forcing=forcing)
        assert records.some(con, C, [D]) == [expected]
        assert len(history(con)) <= ledger.head(con).sequence - ENLISTED, "the ledger tells attempts, too"
        point.rollback()
