"""Agent says fixed, probe says affected: a queue of its own, and what people do about it (A18)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from domain.made import DAY, HOUR, MINUTE, POLICY, START
from forestall.domain.action import Action
from forestall.domain.case import moment_of, verdict_of
from forestall.domain.errors import InputError
from forestall.domain.events import EventKind
from forestall.domain.evidence import Evidence, Side, Status, Witness
from forestall.domain.metrics import standing
from forestall.server.approvals import approve
from forestall.server.disagreements import (
    Disagreement,
    Terms,
    ask_belief,
    disagreements,
    end_belief,
    look_again,
    open_case,
)
from forestall.server.wiring import Installation
from forestall.store import evidence, ledger, records
from forestall.store.evidence import Observation
from server.decisions.company import DEADLINE, MANAGED, UNMANAGED, World, campaign, live, record_of, turn

NOW = START + DAY
PROOF = "ssh-banner at 10.1.0.3: it tells its version (OpenSSH_9.2p1)"
WEEK = Terms(Side.AGENT, 7 * DAY, "the probe sees the proxy before it")
M = MANAGED[0]


def say(
    installation: Installation, name: str, witness: Witness, status: Status, at: datetime, *machines
) -> None:
    with installation.database.begin() as con:
        detail = PROOF if witness is Witness.PROBE else ""
        said = [Observation(each, Evidence(witness, status, at, detail)) for each in machines or (M,)]
        evidence.take(con, name, said, at)


def disputed(installation: Installation, *machines, at: datetime = NOW) -> str:
    name = campaign(installation).id
    say(installation, name, Witness.AGENT, Status.FIXED, at - HOUR, *machines)
    say(installation, name, Witness.PROBE, Status.AFFECTED, at, *machines)
    return name


def queue(installation: Installation, now: datetime = NOW, name: str = "") -> list[Disagreement]:
    return disagreements(installation.database, now, installation.policy, name)


def kinds(installation: Installation, name: str) -> list[EventKind]:
    with installation.database.begin() as con:
        return [entry.event.kind for entry in ledger.about(con, campaign=name, subject=M)]


def test_the_queue_has_both_words_with_times_proof_and_worth(installation: Installation):
    """A18: the reverse, the agent's affected against the probe's fixed, is in it as well."""
    name = disputed(installation)
    say(installation, name, Witness.PROBE, Status.FIXED, NOW, UNMANAGED[0], MANAGED[1])
    say(installation, name, Witness.AGENT, Status.AFFECTED, NOW + HOUR, MANAGED[1])
    first, second = queue(installation, NOW + HOUR)
    assert (first.device, first.campaign, first.since, first.owner) == (M, name, NOW, "m00@company.example")
    words = {word.witness: word for word in first.words}
    said, seen = words[Witness.AGENT], words[Witness.PROBE]
    assert (said.side, said.status, said.at, said.quality) == (
        Side.AGENT,
        Status.FIXED,
        NOW - HOUR,
        "its own word",
    )
    assert (seen.side, seen.status, seen.at, seen.proof) == (Side.PROBE, Status.AFFECTED, NOW, PROOF)
    assert seen.quality == "version"
    assert (second.device, second.since) == (MANAGED[1], NOW + HOUR)
    assert queue(installation, NOW + HOUR, name) == [first, second]
    with pytest.raises(InputError, match="no campaign “curl-9”"):
        queue(installation, name="curl-9")


def test_a_disagreement_is_never_counted_as_fixed_however_often_the_agent_says_so(installation: Installation):
    """A2, A3, A18: four hours later the agent checks in again and says the same."""
    made = campaign(installation)
    say(installation, made.id, Witness.AGENT, Status.FIXED, NOW - HOUR)
    say(installation, made.id, Witness.PROBE, Status.AFFECTED, NOW)
    for hours in range(4, 20, 4):
        say(installation, made.id, Witness.AGENT, Status.FIXED, NOW + hours * HOUR)
        (row,) = queue(installation, NOW + hours * HOUR)
        assert (row.since, row.words[0].since) == (NOW, NOW - HOUR)
        with installation.database.begin() as con:
            found = standing(records.gather(con, made.id), made, NOW + hours * HOUR, POLICY)
        assert found.fixed == 0
    say(installation, made.id, Witness.PROBE, Status.FIXED, NOW + 20 * HOUR)
    assert queue(installation, NOW + 20 * HOUR) == []


def test_it_leaves_the_queue_when_one_side_is_stale_or_gives_in(installation: Installation):
    name = disputed(installation, M, MANAGED[1])
    say(installation, name, Witness.AGENT, Status.AFFECTED, NOW + MINUTE)
    assert [row.device for row in queue(installation, NOW + MINUTE)] == [MANAGED[1]]
    assert queue(installation, NOW + POLICY.probe_evidence_for + MINUTE) == []


def test_one_older_than_the_policys_number_is_told_to_a_person_once(installation: Installation):
    """A18: and a new disagreement later is a new one."""
    name = disputed(installation)
    world = World(installation.database)
    told_at = NOW + POLICY.disagreement_told_after
    turn(installation, world, NOW + MINUTE)
    assert record_of(installation, name, M).reviewed_at == NOW + MINUTE
    say(installation, name, Witness.PROBE, Status.AFFECTED, told_at - HOUR)
    turn(installation, world, told_at - MINUTE)
    assert record_of(installation, name, M).told_at is None
    live(installation, world, told_at, told_at + 2 * MINUTE, MINUTE)
    assert record_of(installation, name, M).told_at == told_at
    (row,) = queue(installation, told_at + MINUTE)
    assert row.told
    say(installation, name, Witness.PROBE, Status.FIXED, told_at + HOUR)
    ended = record_of(installation, name, M)
    assert (ended.disputed_at, ended.reviewed_at, ended.told_at) == (None, None, None)
    again = told_at + 2 * HOUR
    say(installation, name, Witness.PROBE, Status.AFFECTED, again)
    turn(installation, world, again + MINUTE)
    assert record_of(installation, name, M).reviewed_at == again + MINUTE
    say(installation, name, Witness.PROBE, Status.AFFECTED, again + DAY)
    say(installation, name, Witness.AGENT, Status.FIXED, again + DAY)
    turn(installation, world, again + DAY)
    assert record_of(installation, name, M).told_at == again + DAY


def test_look_again_is_an_ordinary_check_in_a_hurry(installation: Installation):
    """A18: of a managed machine as well, which nobody probes otherwise."""
    name = disputed(installation)
    world = World(installation.database, {*UNMANAGED})
    turn(installation, world, NOW + MINUTE)
    assert world.of(Action.LOOK).count(M) == 0
    assert look_again(installation, M, name, "aiko", NOW + MINUTE)
    assert not look_again(installation, M, name, "aiko", NOW + MINUTE + timedelta(seconds=1))
    assert queue(installation, NOW + MINUTE)[0].looking
    turn(installation, world, NOW + 2 * MINUTE)
    assert world.of(Action.LOOK).count(M) == 1
    assert queue(installation, NOW + 2 * MINUTE) == []
    with pytest.raises(InputError, match="do not disagree on m01"):
        look_again(installation, MANAGED[1], name, "aiko", NOW)


@pytest.mark.parametrize(("side", "status"), [(Side.AGENT, Status.FIXED), (Side.PROBE, Status.AFFECTED)])
def test_one_side_is_believed_by_two_people_until_it_ends(
    installation: Installation, side: Side, status: Status
):
    """A9, A18: asked for by one, approved by another, with a reason and an end."""
    made = campaign(installation)
    say(installation, made.id, Witness.AGENT, Status.FIXED, NOW - HOUR)
    say(installation, made.id, Witness.PROBE, Status.AFFECTED, NOW)
    terms = replace_side(side)
    asked = ask_belief(installation, M, made.id, terms, "aiko", NOW)
    with pytest.raises(InputError, match="a second person must"):
        approve(installation, asked.number, "aiko", NOW)
    assert queue(installation)[0].belief is None
    approve(installation, asked.number, "ben", NOW)
    (row,) = queue(installation)
    assert row.belief is not None
    assert (row.belief.side, row.belief.until, row.belief.reason, row.belief.by, row.belief.approved_by) == (
        side, NOW + 12 * HOUR, terms.reason, "aiko", "ben",
    )  # fmt: skip
    for at, wanted in ((NOW + HOUR, status), (NOW + 12 * HOUR, Status.UNKNOWN)):
        verdict = verdict_of(record_of(installation, made.id, M), moment_of(made, at, POLICY))
        assert verdict.status is wanted, at
    assert EventKind.BELIEVED in kinds(installation, made.id)


def replace_side(side: Side) -> Terms:
    return WEEK._replace(side=side, period=12 * HOUR)


def test_believing_ends_at_once_by_one_person(installation: Installation):
    name = disputed(installation)
    approve(installation, ask_belief(installation, M, name, WEEK, "aiko", NOW).number, "ben", NOW)
    end_belief(installation, M, name, "the proxy is gone", "aiko", NOW + HOUR)
    assert queue(installation, NOW + HOUR)[0].belief is None
    with pytest.raises(InputError, match="Nobody is believed"):
        end_belief(installation, M, name, "again", "aiko", NOW + 2 * HOUR)


def test_small_teams_believe_alone_where_their_policy_says_so(installation: Installation):
    """A9: and the record says so."""
    small = replace(installation, policy=replace(installation.policy, second_person=False))
    name = disputed(small)
    done = approve(small, ask_belief(small, M, name, WEEK, "aiko", NOW).number, "aiko", NOW)
    assert done.alone


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        pytest.param(WEEK._replace(period=31 * DAY), "30d at most", id="longer than a month"),
        pytest.param(WEEK._replace(period=timedelta()), "30d at most", id="no time at all"),
        pytest.param(WEEK._replace(reason=" "), "why this side is believed", id="no reason"),
    ],
)
def test_a_belief_without_reason_or_end_is_refused(installation: Installation, terms: Terms, why: str):
    """A18."""
    name = disputed(installation)
    with pytest.raises(InputError, match=why):
        ask_belief(installation, M, name, terms, "aiko", NOW)


def test_who_agrees_needs_no_belief(installation: Installation):
    name = disputed(installation)
    with pytest.raises(InputError, match="Agent and probe agree on m01"):
        ask_belief(installation, MANAGED[1], name, WEEK, "aiko", NOW)
    asked = ask_belief(installation, M, name, WEEK, "aiko", NOW)
    say(installation, name, Witness.PROBE, Status.FIXED, NOW + MINUTE)
    with pytest.raises(InputError, match="agree on m00"):
        approve(installation, asked.number, "ben", NOW + 2 * MINUTE)


def test_a_help_desk_case_is_opened_once(installation: Installation):
    name = disputed(installation)
    open_case(installation, M, name, "which OpenSSL answers there?", "aiko", NOW)
    assert queue(installation)[0].helped
    assert kinds(installation, name)[-1] is EventKind.HELPED
    with pytest.raises(InputError, match="has a case"):
        open_case(installation, M, name, "once more", "aiko", NOW)


def test_what_is_believed_to_be_vulnerable_is_removed_only_as_everything_else_is(installation: Installation):
    """A18, P6.3, P6.4: an agent that is silent, its probe believed: warned first, checked again, then removed."""
    name = campaign(installation).id
    lost = UNMANAGED[0]
    world = World(installation.database, {lost})
    say(installation, name, Witness.VPN, Status.FIXED, DEADLINE - HOUR, lost)
    say(installation, name, Witness.PROBE, Status.AFFECTED, DEADLINE, lost)
    live(installation, world, DEADLINE, DEADLINE + 5 * MINUTE, MINUTE)
    assert lost not in world.of(Action.WARN)
    terms = WEEK._replace(side=Side.PROBE)
    approve(
        installation, ask_belief(installation, lost, name, terms, "aiko", DEADLINE).number, "ben", DEADLINE
    )
    live(installation, world, DEADLINE + 6 * MINUTE, DEADLINE + 25 * MINUTE, MINUTE)
    assert world.of(Action.WARN).count(lost) == 1
    assert world.closed == {lost}
