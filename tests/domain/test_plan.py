"""What no combination of facts can do: proven by search over the rows as data, not sampled."""

# ruff: noqa: E501 - a table reads best one row a line

import random
from typing import Any

import pytest

from domain.search import ALL, LAWS, PHYSICS, cases_with, cube, cube_of, find, holds, winning
from forestall.domain.action import Action
from forestall.domain.admission import DOOR
from forestall.domain.case import Case
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.plan import RULES, decide, when
from forestall.domain.printout import FACTS
from forestall.domain.rule import Rule

OPEN = frozenset(Status) - CLEAN
WORKS_ON = frozenset(Action) - {Action.RELEASE, Action.RECALL}

NEVER: tuple[tuple[str, Action, dict[str, Any]], ...] = (
    ("A1: exempt machines are never removed", Action.QUARANTINE, {"exempt": True}),
    ("A8: protected machines are never removed", Action.QUARANTINE, {"protected": True}),
    ("A2: unknown is never a cause for removal", Action.QUARANTINE, {"status": Status.UNKNOWN}),
    ("P6.5: clean machines are never removed", Action.QUARANTINE, {"status": CLEAN}),
    ("P6.3: nobody is removed before the deadline", Action.QUARANTINE, {"overdue": False}),
    ("A14: no accepted warning, no removal", Action.QUARANTINE, {"warned": False}),
    ("P6.4: nobody is removed before the re-check is due", Action.QUARANTINE, {"recheck_due": False}),
    ("P6.4: nobody is removed without a re-check", Action.QUARANTINE, {"rechecked": False}),
    ("A7: a halted campaign removes nobody", Action.QUARANTINE, {"halted": True}),
    ("A7: a withdrawn patch removes nobody", Action.QUARANTINE, {"withdrawn": True}),
    ("P7.2: a closed campaign removes nobody", Action.QUARANTINE, {"closed": True}),
    ("P4.2: a patch in test removes nobody", Action.QUARANTINE, {"distributed": False}),
    ("P5.4: whose agent obeys is forced, not removed", Action.QUARANTINE, {"managed": True, "lost": False}),
    ("removed once", Action.QUARANTINE, {"quarantined": True}),
    ("P5.4: nothing is forced before the deadline", Action.INSTALL, {"overdue": False}),
    ("A1: nothing is forced on exempt machines", Action.INSTALL, {"exempt": True}),
    ("A7: a halted campaign forces nothing", Action.INSTALL, {"halted": True}),
    ("A7: a withdrawn patch is forced on nobody", Action.INSTALL, {"withdrawn": True}),
    ("P7.2: a closed campaign forces nothing", Action.INSTALL, {"closed": True}),
    ("P6: nothing is installed on unmanaged machines", Action.INSTALL, {"managed": False}),
    ("A4: nothing is sent to an agent that is lost", Action.INSTALL, {"lost": True}),
    ("A11: nothing is sent to machines that are away", Action.INSTALL, {"online": False}),
    ("P7.1: nothing is forced on clean machines", Action.INSTALL, {"status": CLEAN}),
    ("A6: what awaits its restart is not installed again", Action.INSTALL, {"status": Status.PENDING_RESTART}),
    ("A4: a forced install is not repeated at once", Action.INSTALL, {"forced": True}),
    ("A5: nothing is forced while the countdown runs", Action.INSTALL, {"counting_down": True, "imminent": False}),
    ("A6: nobody is restarted before the deadline", Action.RESTART, {"overdue": False}),
    ("A6: never twice for the same set", Action.RESTART, {"restarting": True}),
    ("A6: nobody is restarted for nothing", Action.RESTART, {"status": frozenset(Status) - {Status.PENDING_RESTART}}),
    ("A7: a halted campaign restarts nobody", Action.RESTART, {"halted": True}),
    ("A5: no countdown in an imminent threat", Action.COUNT_DOWN, {"imminent": True}),
    ("A5: one countdown", Action.COUNT_DOWN, {"counted_down": True}),
    ("P6.3: nobody is warned before the deadline", Action.WARN, {"overdue": False}),
    ("P6.3: only those seen vulnerable are warned", Action.WARN, {"status": CLEAN | {Status.UNKNOWN}}),
    ("P6.3: one final warning", Action.WARN, {"warning": True}),
    ("A8: who is never removed is never threatened", Action.WARN, {"protected": True}),
    ("A1: exempt people are left alone", Action.WARN, {"exempt": True}),
    ("A7: a halted campaign warns nobody", Action.WARN, {"halted": True}),
    ("P5.4: whose agent obeys gets no threat", Action.WARN, {"managed": True, "lost": False}),
    ("P5.2: nothing is offered after the deadline", Action.OFFER, {"overdue": True}),
    ("P4.2: nothing is offered during the test but to those who test it", Action.OFFER, {"distributed": False, "trying": False}),
    ("A7: a halted campaign offers nothing", Action.OFFER, {"halted": True}),
    ("P6.5: only removed machines are released", Action.RELEASE, {"quarantined": False}),
    ("A2: no release on an unknown status alone", Action.RELEASE, {
        "status": OPEN, "withdrawn": False, "closed": False, "exempt": False, "protected": False,
    }),
    ("A7: only a withdrawn patch is recalled", Action.RECALL, {"withdrawn": False}),
    ("A7: nobody is removed because of a way back", Action.QUARANTINE, {"undo": True}),
    ("A7: nobody is warned because of a way back", Action.WARN, {"undo": True}),
    ("A7: a way back is told to those who have it, not to everybody", Action.ANNOUNCE, {"undo": True}),
    ("A7: no owner is asked for a way back", Action.ASK, {"undo": True}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("action", "given"), [pytest.param(action, given, id=why) for why, action, given in NEVER]
)
def test_never(action: Action, given: dict[str, Any]):
    assert cases_with(RULES, action, cube(**given)) is None


GOING: dict[str, Any] = {
    "distributed": True,
    "withdrawn": False,
    "closed": False,
    "halted": False,
    "exempt": False,
    "conflict": False,
    "quarantined": False,
}
"""A campaign that runs, and a machine on the network that it concerns."""

OWN = GOING | {"announced": True, "managed": True, "lost": False}
OTHER = GOING | {"announced": True, "managed": False, "undo": False}
VULNERABLE = OTHER | {"status": Status.AFFECTED, "overdue": True, "protected": False}
NOT_YET = frozenset({Status.AFFECTED, Status.UNKNOWN})

ALWAYS: tuple[tuple[str, Action, dict[str, Any]], ...] = (
    ("P6.5: a removed machine seen fixed is let back", Action.RELEASE, {"quarantined": True, "status": CLEAN}),
    ("A7: removed for a patch since withdrawn", Action.RELEASE, {"quarantined": True, "withdrawn": True}),
    ("P7.2: removed in a campaign that is over", Action.RELEASE, {"quarantined": True, "closed": True}),
    ("A1: removed and then exempted", Action.RELEASE, {"quarantined": True, "exempt": True}),
    ("A8: removed and then protected", Action.RELEASE, {"quarantined": True, "protected": True}),
    ("A7: a withdrawn patch is retracted everywhere", Action.RECALL, {
        "withdrawn": True, "managed": True, "offered": True, "recalled": False, "quarantined": False,
    }),
    ("A18: agent and probe disagree: a queue of its own", Action.REVIEW, {
        "conflict": True, "reviewed": False, "exempt": False, "withdrawn": False, "closed": False, "quarantined": False,
    }),
    ("P6.5: a removed machine is checked again and again", Action.LOOK, GOING | {
        "quarantined": True, "looked": False, "protected": False, "status": frozenset(Status) - CLEAN,
    }),
    ("A2: removed and unreadable for a day goes to a person", Action.TELL, GOING | {
        "quarantined": True, "looked": True, "held_long": True, "told": False, "protected": False, "status": Status.UNKNOWN,
    }),
    ("P6.1: everybody with work to do gets a mail", Action.ANNOUNCE, GOING | {
        "announced": False, "owned": True, "undo": False, "status": frozenset(Status) - CLEAN,
    }),
    ("A4: a silent or failing agent is a help-desk case", Action.HELP, GOING | {
        "announced": True, "managed": True, "lost": True, "helped": False, "status": frozenset(Status) - CLEAN,
    }),
    ("P5.2: offered in the voluntary period", Action.OFFER, OWN | {"overdue": False, "offered": False, "status": NOT_YET}),
    ("P5.4: forced when the deadline has passed", Action.INSTALL, OWN | {
        "overdue": True, "online": True, "forced": False, "expected": False, "counting_down": False, "status": NOT_YET,
    }),
    ("P8.2: managed and connected in an imminent threat: at once", Action.INSTALL, OWN | {
        "imminent": True, "overdue": True, "online": True, "forced": False, "status": NOT_YET,
    }),
    ("A5: back after the deadline: a countdown first", Action.COUNT_DOWN, OWN | {
        "overdue": True, "imminent": False, "online": True, "expected": True, "counted_down": False, "status": NOT_YET,
    }),
    ("A5, P8.4: away at the deadline: awaited", Action.EXPECT, OWN | {
        "overdue": True, "online": False, "expected": False, "counting_down": False, "status": NOT_YET,
    }),
    ("A6: restarted when the deadline has passed", Action.RESTART, OWN | {
        "status": Status.PENDING_RESTART, "overdue": True, "online": True, "restarting": False,
    }),
    ("A2: whom no probe can read is asked", Action.ASK, OTHER | {
        "status": Status.UNKNOWN, "unreadable": True, "owned": True, "asked": False,
    }),
    ("P6.2: unknown machines are probed", Action.LOOK, OTHER | {"status": Status.UNKNOWN, "unreadable": False, "looked": False}),
    ("P6.3: still vulnerable after the deadline: the final warning", Action.WARN, VULNERABLE | {
        "owned": True, "warning": False, "imminent": False,
    }),
    ("P8.3: vulnerable in an imminent threat: fifteen minutes", Action.WARN, VULNERABLE | {
        "owned": True, "warning": False, "imminent": True,
    }),
    ("A4: a lost machine is warned like an unmanaged one", Action.WARN, VULNERABLE | {
        "managed": True, "lost": True, "helped": True, "owned": True, "warning": False,
    }),
    ("A14: a refused warning goes to a person", Action.TELL, VULNERABLE | {"refused": True, "told": False}),
    ("A14: nobody to warn goes to a person", Action.TELL, VULNERABLE | {"owned": False, "warning": False, "told": False}),
    ("A8: protected and still vulnerable goes to a person", Action.TELL, VULNERABLE | {"protected": True, "told": False}),
    ("P6.4: checked again when the re-check is due", Action.LOOK, VULNERABLE | {
        "owned": True, "recheck_due": True, "rechecked": False, "looked": False,
    }),
    ("P6.4: warned, checked again, still vulnerable: off the network", Action.QUARANTINE, VULNERABLE | {
        "owned": True, "rechecked": True,
    }),
)  # fmt: skip


@pytest.mark.parametrize(
    ("action", "given"), [pytest.param(action, given, id=why) for why, action, given in ALWAYS]
)
def test_always(action: Action, given: dict[str, Any]):
    """Whatever else holds: no possible case of this kind is decided otherwise."""
    inside = cube(**given)
    assert find(inside, PHYSICS) is not None
    for index, rule in enumerate(RULES):
        if rule.then is not action:
            row = cube_of(rule)
            both = {fact: inside.get(fact, ALL[fact]) & row.get(fact, ALL[fact]) for fact in {*inside, *row}}
            assert find(both, [*winning(RULES, index), *PHYSICS]) is None, rule.name


@pytest.mark.parametrize("ended", ["withdrawn", "closed"])
def test_a_campaign_that_has_ended_only_takes_back(ended: str):
    """A7, P7.2."""
    found = {action: cases_with(RULES, action, cube(**{ended: True})) for action in WORKS_ON}
    assert {action: case for action, case in found.items() if case is not None} == {}


@pytest.mark.parametrize("then", [action for action in Action if action is not Action.TELL])
def test_an_action_that_leaves_a_mark_is_not_ordered_again_at_once(then: Action):
    """Each order changes the case, so the next pass decides something else: no order without an end."""
    marks = {
        Action.RECALL: "recalled", Action.REVIEW: "reviewed", Action.HELP: "helped", Action.ANNOUNCE: "announced",
        Action.OFFER: "offered", Action.ASK: "asked", Action.LOOK: "looked", Action.INSTALL: "forced",
        Action.RESTART: "restarting", Action.EXPECT: "expected", Action.COUNT_DOWN: "counted_down",
        Action.WARN: "warning", Action.QUARANTINE: "quarantined",
    }  # fmt: skip
    given = {marks[then]: True} if then in marks else {"quarantined": False}
    assert cases_with(RULES, then, cube(**given)) is None


@pytest.mark.parametrize("table", [RULES, DOOR], ids=["the rules", "the door"])
def test_no_row_is_dead(table: tuple[Rule[Any], ...]):
    dead = [
        rule.name
        for index, rule in enumerate(table)
        if find(cube_of(rule), [*winning(table, index), *PHYSICS]) is None
    ]
    assert dead == []


@pytest.mark.parametrize("table", [RULES, DOOR], ids=["the rules", "the door"])
def test_the_last_row_takes_what_is_left_so_every_case_is_decided(table: tuple[Rule[Any], ...]):
    assert table[-1].when == {}
    assert find({}, [cube_of(rule) for rule in table]) is None


@pytest.mark.parametrize("table", [RULES, DOOR], ids=["the rules", "the door"])
def test_rows_have_names_of_their_own(table: tuple[Rule[Any], ...]):
    names = [rule.name for rule in table]
    assert len(set(names)) == len(names)


def test_every_fact_decides_something():
    asked = {fact for rule in (*RULES, *DOOR) for fact in rule.when}
    assert asked == set(Case._fields)
    assert asked - {"status"} == set(FACTS)


def test_a_condition_on_a_fact_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="no such fact"):
        when(quarantine=True)


def test_the_search_agrees_with_the_table_on_random_cases():
    """The proofs above trust the search; here the search is held to `decide` and to plain counting."""
    dice = random.Random(1)  # noqa: S311 - dice, not a secret
    for _ in range(3_000):
        case = Case(**{fact: dice.choice(sorted(values)) for fact, values in ALL.items()})
        index = RULES.index(decide(case))
        assert holds(cube_of(RULES[index]), case)
        assert not any(holds(each, case) for each in winning(RULES, index))
        found = find({fact: frozenset({value}) for fact, value in case._asdict().items()}, PHYSICS)
        lawful = not any(holds(law, case) for law in LAWS.values())
        assert (found is not None) == lawful


def test_the_search_finds_a_case_where_there_is_one():
    """Were the search to answer None to everything, every proof above would pass."""
    for action in Action:
        found = cases_with(RULES, action, {})
        assert found is not None
        assert decide(found).then is action
