"""What people order: each with its ledger entry, refused in a sentence where the process has no such step."""

# ruff: noqa: E501 - a table reads best one row a line

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain.made import DAY, HOUR, START
from forestall.domain.advisory import Catalogue, Exploitation, Vulnerability, VulnerabilityId
from forestall.domain.campaign import Phase, Step
from forestall.domain.errors import InputError
from forestall.domain.events import EventKind
from forestall.domain.level import Level
from forestall.server import operators
from forestall.server.triage import named, triage
from forestall.store import ledger
from forestall.store.ratings import ThreeEs
from server.company import FIXED, OPENSSL, Company, advisory, report

WORM = Vulnerability(
    VulnerabilityId("CVE-2026-0009"),
    exploitation=Exploitation.ACTIVE,
    automatable=True,
    technical_impact_total=True,
)


def rate(company: Company, update: str = "DSA-1-1", by: str = "aiko", level: Level | None = None, **es: bool):
    return operators.rate_update(company.database, update, ThreeEs(**es), level, "because", by, company.now)


def start(company: Company, update: str = OPENSSL, period: timedelta | None = None, by: str = "aiko"):
    return operators.start_campaign(company.installation, update, period, by, company.now, testing=False)


def test_the_worst_update_comes_first_and_only_those_that_touch_our_machines(company: Company):
    """P2.1: updates, not CVEs, worst first."""
    company.publish(
        Catalogue(
            (
                advisory("DSA-2-1", "curl", "8.0", "CVE-2026-0009"),
                advisory("DSA-3-1", "zlib", "2.0", "CVE-2026-0009"),
                advisory("DSA-4-1", "curl", "8.1", "CVE-2026-0002"),
            ),
            {WORM.id: WORM},
        ),
        "other",
    )
    company.machine()
    other = company.machine()
    company.desk.take_inventory(other, report("7.0", "curl"), company.now)
    worst, least = triage(company.database)
    assert (worst.remediation, worst.level, worst.worst) == ("bookworm/curl/8.1", Level.CRITICAL, WORM.id)
    assert worst.advisories == ("DSA-4-1", "DSA-2-1"), "the newest update brings what the older one brought"
    assert (worst.escalation, worst.expansion, worst.exploitation) == (True, True, Exploitation.ACTIVE)
    assert (least.remediation, least.affected) == (OPENSSL, 1)
    assert [row.remediation for row in triage(company.database, device=other)] == ["bookworm/curl/8.1"]
    assert "bookworm/zlib/2.0" in [row.remediation for row in triage(company.database, everything=True)]
    for name in ("bookworm/zlib/2.0", "DSA-3-1"):
        assert [row.remediation for row in named(company.database, name)] == ["bookworm/zlib/2.0"]
    assert len(named(company.database, "CVE-2026-0009")) == 2
    assert named(company.database, "nothing") == []


@pytest.mark.parametrize(
    ("es", "level", "given"),
    [
        pytest.param({}, None, Level.WARNING, id="P2.3: without any of the three E's a warning"),
        pytest.param({"escalation": True}, None, Level.CRITICAL, id="P2.2: escalation"),
        pytest.param({"expansion": True}, None, Level.CRITICAL, id="P2.2: expansion"),
        pytest.param({"exposure": True}, None, Level.CRITICAL, id="P2.2: exposure"),
        pytest.param({"exposure": True}, Level.CAUTION, Level.CAUTION, id="the rater says otherwise"),
    ],
)
def test_a_rating_follows_the_three_es(
    company: Company, es: dict[str, bool], level: Level | None, given: Level
):
    assert rate(company, level=level, **es).level is given


def test_a_rating_is_on_record_with_its_reasons(company: Company):
    """P2.1: inputs, rater, time and reasons; it shows on the triage list."""
    company.machine()
    rating = rate(company, expansion=True)
    assert (rating.remediation, rating.by, rating.at, rating.reasons[0]) == (
        OPENSSL,
        "aiko",
        START,
        "because",
    )
    with company.database.begin() as con:
        entry = ledger.read(con)[-1]
    assert (entry.event.kind, entry.event.actor, entry.event.subject) == (EventKind.RATED, "aiko", OPENSSL)
    assert (entry.event.body or {})["level"] == "critical"
    assert triage(company.database)[0].rated is Level.CRITICAL


@pytest.mark.parametrize(
    ("order", "says"),
    [
        pytest.param(lambda c: rate(c, by=" "), "Say who does this: --by NAME", id="nobody rates"),
        pytest.param(lambda c: rate(c, "DSA-9-9"), "“DSA-9-9” names 0 updates. List them: forestall advisory ls", id="an update nobody knows"),
        pytest.param(lambda c: rate(c, "CVE-2026-0001"), "names 2 updates; name one of bookworm/", id="a name of several updates"),
        pytest.param(lambda c: start(c, "bookworm/curl/8.0"), "is not rated yet. First: forestall rate bookworm/curl/8.0", id="not rated"),
        pytest.param(lambda c: (rate(c), start(c)), "is rated warning; only critical updates are pushed (P2.5)", id="P2.5: not critical"),
        pytest.param(lambda c: (rate(c, exposure=True), start(c, period=14 * DAY + HOUR)), "within 0 and 14 days (P3.1)", id="P3.1: too long"),
        pytest.param(lambda c: (rate(c, exposure=True), start(c, period=-HOUR)), "within 0 and 14 days (P3.1)", id="P3.1: before now"),
        pytest.param(lambda c: (rate(c, exposure=True), start(c, by="")), "Say who does this", id="nobody starts"),
        pytest.param(lambda c: operators.move_campaign(c.database, "x", Step.CLOSE, "a", c.now), "There is no campaign “x”. List them: forestall campaign ls", id="a campaign nobody knows"),
        pytest.param(lambda c: operators.halt_campaign(c.database, c.campaign(), "r", "", c.now), "Say who does this", id="nobody halts"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence_and_leaves_nothing(
    company: Company, order: Callable[[Company], object], says: str
):
    company.publish(Catalogue((advisory("DSA-2-1", "curl", "8.0", "CVE-2026-0001"),)), "other")
    with pytest.raises(InputError) as refused:
        order(company)
    assert says in str(refused.value)
    with company.database.begin() as con:
        kinds = [entry.event.kind for entry in ledger.read(con)]
    assert EventKind.HALTED not in kinds


def test_the_life_of_a_campaign(company: Company):
    """P3.4, P4.4, P7: handed over, tested, distributed, closed; each step on record with who and when."""
    company.machine()
    name = company.campaign(testing=True)
    assert company.turn() == {}, "P4.2: nothing is offered while it is being tested"
    moved = operators.move_campaign(company.database, name, Step.DISTRIBUTE, "ben", company.now)
    assert (moved.phase, moved.deadline_at) == (Phase.VOLUNTARY, company.now + 8 * DAY)
    with pytest.raises(InputError, match=f"{name} is voluntary: there is no step “distribute” from there"):
        operators.move_campaign(company.database, name, Step.DISTRIBUTE, "ben", company.now)
    closed = operators.move_campaign(company.database, name, Step.CLOSE, "ben", company.now)
    assert (closed.phase, closed.ended_at) == (Phase.CLOSED, company.now)
    with company.database.begin() as con:
        told = [(e.event.kind, e.event.actor, e.event.rule) for e in ledger.about(con, campaign=name)]
    assert told == [
        (EventKind.CAMPAIGN_STARTED, "aiko", ""),
        (EventKind.PHASE_CHANGED, "ben", "distribute"),
        (EventKind.PHASE_CHANGED, "ben", "close"),
    ]


def test_campaigns_of_one_source_are_told_apart(company: Company):
    assert [company.campaign(), company.campaign()] == ["openssl-1", "openssl-2"]


def test_a_halt_keeps_its_first_instant_and_newest_reason(company: Company):
    name = company.campaign()
    operators.halt_campaign(company.database, name, "first", "ben", START)
    halted = operators.halt_campaign(company.database, name, "second", "ben", START + HOUR)
    assert (halted.halted_at, halted.halted_because) == (START, "second")


def test_the_update_that_is_in_force_names_what_machines_lack(company: Company):
    company.machine(FIXED)
    assert triage(company.database) == []
