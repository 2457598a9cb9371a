"""What one person alone must not do: asked, previewed, approved by another, carried out at once (A8, A9)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.made import DAY, HOUR, MINUTE, POLICY, START
from forestall.domain.action import Action
from forestall.domain.approval import Matter
from forestall.domain.brakes import set_hash
from forestall.domain.campaign import Phase
from forestall.domain.errors import InputError
from forestall.domain.events import EventKind
from forestall.server.approvals import approve, ask, waiting
from forestall.server.machines import ask_unprotect, protect
from forestall.server.operators import halt_campaign, start_campaign
from forestall.server.wiring import Installation
from forestall.store import approvals, campaigns, devices, ledger
from server.decisions.company import (
    DEADLINE,
    MANAGED,
    UNMANAGED,
    World,
    campaign,
    live,
    record_of,
    removed_after_the_deadline,
    turn,
)

NOW = START + DAY


def events(installation: Installation, kind: EventKind) -> list:
    with installation.database.begin() as con:
        return [entry.event for entry in ledger.read(con) if entry.event.kind is kind]


def state(installation: Installation, name: str):
    with installation.database.begin() as con:
        return campaigns.get(con, name)


def test_an_imminent_threat_needs_two_people_and_then_holds_at_once(installation: Installation):
    """P8.1, P8.2, A9: asked it changes nothing; approved, the announced deadline is void and the next pass forces."""
    name = campaign(installation).id
    world = World(installation.database)
    world.hear(name, MANAGED, NOW)
    turn(installation, world, NOW)
    asked = ask(installation, Matter.IMMINENT, "it is exploited", "aiko", NOW, campaign=name)
    assert (asked.count, asked.sites) == (20, {"bonn": 6, "osaka": 7, "tokyo": 7})
    assert asked.machines == set_hash([*MANAGED, *UNMANAGED])
    turn(installation, world, NOW + MINUTE)
    assert record_of(installation, name, MANAGED[0]).forced_at is None
    assert [each.number for each in waiting(installation, NOW)] == [asked.number]

    done = approve(installation, asked.number, "ben", NOW + 2 * MINUTE)
    assert not done.alone
    declared = state(installation, name)
    assert (declared.phase, declared.deadline_at) == (Phase.ENFORCING, NOW + 2 * MINUTE)
    live(installation, world, NOW + 3 * MINUTE, NOW + 25 * MINUTE, 2 * MINUTE)
    assert all(record_of(installation, name, each).forced_at for each in MANAGED)
    (approved,) = events(installation, EventKind.APPROVED)
    assert (approved.actor, approved.body["asked_by"], approved.body["machines"]) == (
        "ben",
        "aiko",
        asked.machines,
    )
    assert waiting(installation, NOW) == []


@pytest.mark.parametrize(
    ("by", "after", "why"),
    [
        pytest.param("aiko", MINUTE, "a second person must", id="who asked cannot approve"),
        pytest.param(" AIKO ", MINUTE, "a second person must", id="nor under another spelling"),
        pytest.param("ａｉｋｏ", MINUTE, "a second person must", id="nor in full-width letters"),
        pytest.param("", MINUTE, "--by NAME", id="nobody cannot"),
        pytest.param("ben", 8 * HOUR, "ask again", id="a request runs out"),
    ],
)
def test_an_approval_that_does_not_count_changes_nothing(
    installation: Installation, by: str, after: timedelta, why: str
):
    """A9."""
    name = campaign(installation).id
    asked = ask(installation, Matter.IMMINENT, "it is exploited", "aiko", NOW, campaign=name)
    before = state(installation, name)
    with pytest.raises(InputError, match=why):
        approve(installation, asked.number, by, NOW + after)
    assert state(installation, name) == before
    assert events(installation, EventKind.APPROVED) == []


def test_a_request_is_approved_once(installation: Installation):
    """A9."""
    asked = ask(
        installation, Matter.FORCE_EARLY, "the fair is over", "aiko", NOW, campaign=campaign(installation).id
    )
    approve(installation, asked.number, "ben", NOW)
    with pytest.raises(InputError, match="ben approved request"):
        approve(installation, asked.number, "chiyo", NOW)
    with pytest.raises(InputError, match="There is no request 99"):
        approve(installation, 99, "chiyo", NOW)


def test_a_set_that_has_drifted_since_its_preview_voids_the_approval(installation: Installation):
    """A8: one machine of twenty may change, a second one is another set."""
    name = campaign(installation).id
    world = World(installation.database)
    asked = ask(installation, Matter.FORCE_EARLY, "an exploit is near", "aiko", NOW, campaign=name)
    world.affected -= set(MANAGED[:2])
    world.hear(name, MANAGED[:2], NOW)
    with pytest.raises(InputError, match="has changed since it was previewed"):
        approve(installation, asked.number, "ben", NOW + MINUTE)
    world.affected.add(MANAGED[0])
    world.hear(name, MANAGED[:1], NOW + MINUTE)
    approve(installation, asked.number, "ben", NOW + 2 * MINUTE)


def test_force_may_start_before_the_announced_deadline(installation: Installation):
    """A9: the deadline moves to now, the waves of A8 stay."""
    name = campaign(installation).id
    asked = ask(installation, Matter.FORCE_EARLY, "an exploit is near", "aiko", NOW, campaign=name)
    approve(installation, asked.number, "ben", NOW)
    early = state(installation, name)
    assert (early.phase, early.deadline_at, early.imminent_at) == (Phase.ENFORCING, NOW, None)
    (moved,) = events(installation, EventKind.DEADLINE_MOVED)
    assert moved.body["deadline_at"] == NOW.isoformat()


def test_a_small_team_may_waive_the_second_person_and_the_record_says_so(installation: Installation):
    """A9."""
    alone = replace(installation, policy=replace(POLICY, second_person=False))
    asked = ask(alone, Matter.FORCE_EARLY, "I am the team", "aiko", NOW, campaign=campaign(installation).id)
    assert approve(alone, asked.number, "aiko", NOW).alone
    (approved,) = events(installation, EventKind.APPROVED)
    assert approved.body["second_person"] == "waived by policy"


def test_a_raised_brake_lets_exactly_those_go_that_were_seen(installation: Installation):
    """A8, A9: two machines of a site are held by its cap; only the one that two people saw goes on."""
    name = campaign(installation).id
    world = World(installation.database)
    tokyo = [each for n, each in enumerate([*MANAGED, *UNMANAGED]) if n % 3 == 0 and each in UNMANAGED]
    turn(installation, world, START)
    at = removed_after_the_deadline(installation, world, name, tokyo[:2])
    assert world.closed == {tokyo[0]}  # one at a site is always allowed, a second is above a tenth of seven
    asked = ask(installation, Matter.RAISE_BRAKE, "they spread it", "aiko", at, campaign=name)
    assert (asked.count, asked.sites) == (1, {"tokyo": 1})
    approve(installation, asked.number, "ben", at)
    with installation.database.begin() as con:
        assert approvals.raised_for(con, name) == {tokyo[1]}
    turn(installation, world, at + MINUTE)
    assert world.closed == set(tokyo[:2])
    with installation.database.begin() as con:
        assert approvals.raised(con, name) == 0


def test_what_two_people_saw_is_good_for_no_other_machine(installation: Installation):
    """A8: the machine that was seen is fixed by then; another one that the cap holds waits on."""
    name = campaign(installation).id
    world = World(installation.database)
    tokyo = [each for n, each in enumerate([*MANAGED, *UNMANAGED]) if n % 3 == 0 and each in UNMANAGED]
    turn(installation, world, START)
    at = removed_after_the_deadline(installation, world, name, tokyo[:2])
    asked = ask(installation, Matter.RAISE_BRAKE, "they spread it", "aiko", at, campaign=name)
    approve(installation, asked.number, "ben", at)
    world.affected.discard(tokyo[1])
    world.see(name, [tokyo[1]], at)
    world.affected.add(tokyo[2])
    world.see(name, [tokyo[2]], at)
    for minute in range(1, 20):
        turn(installation, world, at + minute * MINUTE)
    assert record_of(installation, name, tokyo[2]).warned_at is not None
    assert world.closed == {tokyo[0]}


def test_without_mail_two_people_may_decide_otherwise_while_the_threat_is_imminent(
    installation: Installation,
):
    """A14: no accepted warning, no removal; waived, the refused warning counts from when it was refused."""
    name = campaign(installation).id
    world = World(installation.database, {*MANAGED, UNMANAGED[0]}, mail_works=False)
    world.hear(name, MANAGED, NOW)
    with pytest.raises(InputError, match="under no imminent threat"):
        ask(installation, Matter.WAIVE_MAIL, "mail is down", "aiko", NOW, campaign=name)
    asked = ask(installation, Matter.IMMINENT, "it is exploited", "aiko", NOW, campaign=name)
    approve(installation, asked.number, "ben", NOW)
    world.see(name, UNMANAGED[:1], NOW)
    for minute in range(20):
        turn(installation, world, NOW + minute * MINUTE)
    assert world.closed == set()
    at = NOW + 20 * MINUTE
    asked = ask(installation, Matter.WAIVE_MAIL, "mail is down", "aiko", at, campaign=name)
    assert (asked.count, asked.sites) == (1, {"tokyo": 1})
    approve(installation, asked.number, "ben", at)
    turn(installation, world, at + MINUTE)
    turn(installation, world, at + 2 * MINUTE)
    assert world.closed == set(UNMANAGED[:1])


def test_one_person_protects_two_take_protection_away(installation: Installation):
    """A8, A9."""
    protect(installation, "u00.example", "it is the mail server", "aiko", NOW)
    with pytest.raises(InputError, match="protected already"):
        protect(installation, "u00", "again", "aiko", NOW)
    asked = ask_unprotect(installation, "u00", "replaced", "aiko", NOW)
    with installation.database.begin() as con:
        assert devices.get(con, UNMANAGED[0]).protected
    with pytest.raises(InputError, match="a second person must"):
        approve(installation, asked.number, "aiko", NOW)
    approve(installation, asked.number, "ben", NOW)
    with installation.database.begin() as con:
        assert not devices.get(con, UNMANAGED[0]).protected
    assert [e.body["protected"] for e in events(installation, EventKind.PROTECTED)] == [True, False]


def test_what_is_seen_of_a_machine_never_takes_its_protection_away(installation: Installation):
    """A8: a machine that is made known again stays protected."""
    protect(installation, "u00", "it is the mail server", "aiko", NOW)
    with installation.database.begin() as con:
        seen = replace(devices.get(con, UNMANAGED[0]), protected=False, name="renamed")
        devices.save(con, [seen])
        assert devices.get(con, UNMANAGED[0]) == replace(seen, protected=True)


def test_a_protected_machine_is_never_removed(installation: Installation):
    """A8: all the way through the real passes."""
    name = campaign(installation).id
    world = World(installation.database)
    turn(installation, world, START)
    protect(installation, "u01", "it is the mail server", "aiko", DEADLINE)
    removed_after_the_deadline(installation, world, name, UNMANAGED[:2])
    assert world.of(Action.QUARANTINE) == [UNMANAGED[0]]


@pytest.mark.parametrize(
    ("matter", "prepare", "why"),
    [
        pytest.param(
            Matter.IMMINENT, "testing", "imminent while the patch is distributed", id="still tested"
        ),
        pytest.param(
            Matter.IMMINENT, "halted", "First: forestall campaign resume", id="imminent, but halted"
        ),
        pytest.param(
            Matter.FORCE_EARLY, "testing", "only a voluntary period that runs", id="nothing runs yet"
        ),
        pytest.param(
            Matter.FORCE_EARLY, "halted", "First: forestall campaign resume", id="early, but halted"
        ),
        pytest.param(Matter.RAISE_BRAKE, "", "no removal is held by a cap", id="nothing is held"),
        pytest.param(Matter.WAIVE_MAIL, "", "under no imminent threat", id="no threat"),
        pytest.param(Matter.IMMINENT, "other", "There is no campaign", id="no such campaign"),
        pytest.param(Matter.REPLAY, "", "not asked for like this", id="a replay of one campaign"),
        pytest.param(Matter.EXEMPT, "", "not asked for like this", id="an exemption without its machine"),
    ],
)
def test_what_makes_no_sense_cannot_be_asked_for(
    installation: Installation, matter: Matter, prepare: str, why: str
):
    name = campaign(installation, testing=prepare == "testing").id
    if prepare == "halted":
        halt_campaign(installation.database, name, "printers stop", "aiko", NOW)
    with pytest.raises(InputError, match=why):
        ask(installation, matter, "why not", "aiko", NOW, campaign="nothing" if prepare == "other" else name)
    assert events(installation, EventKind.ASKED) == []


def test_nothing_is_asked_for_without_a_reason(installation: Installation):
    name = campaign(installation).id
    with pytest.raises(InputError, match="Say why"):
        ask(installation, Matter.IMMINENT, "  ", "aiko", NOW, campaign=name)
    with pytest.raises(InputError, match="at most 2000 characters"):
        ask(installation, Matter.IMMINENT, "x" * 2001, "aiko", NOW, campaign=name)


def test_a_second_campaign_for_the_same_update_is_refused(installation: Installation):
    """P5.5: one channel."""
    name = campaign(installation).id
    with pytest.raises(InputError, match=f"{name} drives bookworm/openssl/3.0.2 already"):
        start_campaign(installation, "bookworm/openssl/3.0.2", None, "aiko", NOW, testing=False)
