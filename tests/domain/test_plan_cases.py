"""Every row of the rule table has a case, and so has every overlap of two neighbours.

A case is a situation in one sentence, the facts in which it differs from a plain one, and the row that must win.
"""

# ruff: noqa: E501 - a table reads best one row a line

from typing import Any

import pytest

from domain.search import LAWS, cube_of, holds, overlaps
from forestall.domain.action import Action
from forestall.domain.case import Case
from forestall.domain.evidence import Status
from forestall.domain.plan import RULES, decide, still_wanted

UNKNOWN, FIXED, PENDING = Status.UNKNOWN, Status.FIXED, Status.PENDING_RESTART

FREE = Case(status=Status.AFFECTED, distributed=True, announced=True, owned=True)
"""An unmanaged machine in the voluntary period, its owner told."""

LATE = FREE._replace(overdue=True)
WARNED = LATE._replace(warning=True, warned=True)
OFF = WARNED._replace(recheck_due=True, rechecked=True, quarantined=True)
OURS = FREE._replace(managed=True, online=True, offered=True)
OURS_LATE = OURS._replace(overdue=True)
AWAY_LATE = OURS_LATE._replace(online=False)
TESTER = Case(status=Status.AFFECTED, managed=True, online=True, owned=True, trying=True)

NOW: dict[str, Any] = {"imminent": True}

# fmt: off
CASES: tuple[tuple[str, Case, str], ...] = (
    # Nothing stays off the network without a live reason.
    ("a removed machine is seen fixed", OFF._replace(status=FIXED), "release-fixed"),
    ("a removed machine turns out never to have been affected", OFF._replace(status=Status.NOT_AFFECTED), "release-fixed"),
    ("fixed just as the patch is withdrawn", OFF._replace(status=FIXED, withdrawn=True), "release-fixed"),
    ("off the network when the patch is withdrawn", OFF._replace(withdrawn=True), "release-withdrawn"),
    ("off the network when the campaign is closed", OFF._replace(closed=True), "release-closed"),
    ("exempt, off the network, and the campaign closes", OFF._replace(closed=True, exempt=True), "release-closed"),
    ("exempted while off the network", OFF._replace(exempt=True), "release-exempt"),
    ("found to be a router and exempted at once", OFF._replace(exempt=True, protected=True), "release-exempt"),
    ("found to be a router while off the network", OFF._replace(protected=True), "release-protected"),
    ("a halt keeps nobody off who is free to go", OFF._replace(status=FIXED, halted=True), "release-fixed"),
    # Campaigns and machines that ask nothing more.
    ("a withdrawn patch is taken back from whoever was offered it", OURS._replace(withdrawn=True), "recall"),
    ("a withdrawn patch is taken back from whoever has it installed", OURS._replace(withdrawn=True, status=FIXED), "recall"),
    ("taken back already", OURS._replace(withdrawn=True, recalled=True), "withdrawn"),
    ("managed, and nothing ever reached it", OURS._replace(withdrawn=True, offered=False), "withdrawn"),
    ("managed no more when the patch is withdrawn: no agent to tell", OURS._replace(withdrawn=True, managed=False), "withdrawn"),
    ("unmanaged, and the patch is withdrawn", FREE._replace(withdrawn=True), "withdrawn"),
    ("the campaign is over and the machine still open", LATE._replace(closed=True), "closed"),
    ("the campaign is over and the machine fixed", LATE._replace(closed=True, status=FIXED), "closed"),
    ("fixed in the voluntary period", OURS._replace(status=FIXED), "fixed"),
    ("fixed although exempt", OURS._replace(status=FIXED, exempt=True), "fixed"),
    ("exempt after the deadline", OURS_LATE._replace(exempt=True), "exempt"),
    ("exempt in an imminent threat", OURS_LATE._replace(exempt=True, **NOW), "exempt"),
    ("exempt, and its witnesses disagree", OURS_LATE._replace(exempt=True, conflict=True, status=UNKNOWN), "exempt"),
    ("agent says fixed, probe says affected", OURS._replace(conflict=True, status=UNKNOWN), "disagree"),
    ("its witnesses disagree during the test", Case(conflict=True), "disagree"),
    ("its witnesses disagree, and a person has it in the queue", OURS._replace(conflict=True, status=UNKNOWN, reviewed=True), "voluntary"),
    ("a machine of a ring that tests the patch", TESTER, "try"),
    ("its ring tests the patch, and the campaign is halted", TESTER._replace(halted=True), "testing"),
    ("a tester that has its order", TESTER._replace(offered=True), "testing"),
    ("a tester whose agent is lost", TESTER._replace(lost=True), "testing"),
    ("a tester whose witnesses disagree", TESTER._replace(status=UNKNOWN, conflict=True), "disagree"),
    ("the patch is being tested", Case(status=Status.AFFECTED, owned=True), "testing"),
    ("off the network although nothing is distributed", Case(status=Status.AFFECTED, quarantined=True), "testing"),
    # Off the network, and still vulnerable.
    ("off the network and not checked for minutes", OFF, "held-look"),
    ("off the network, unreadable for a day, and not checked lately", OFF._replace(status=UNKNOWN, rechecked=False, held_long=True), "held-look"),
    ("off the network and unreadable for a day", OFF._replace(status=UNKNOWN, rechecked=False, held_long=True, looked=True), "held-unread"),
    ("off the network, checked just now", OFF._replace(looked=True), "held"),
    ("off the network and unreadable for an hour: nobody is bothered yet", OFF._replace(status=UNKNOWN, rechecked=False, looked=True), "held"),
    ("off the network for a day, still vulnerable: nobody is bothered", OFF._replace(looked=True, held_long=True), "held"),
    ("off the network while the campaign is halted", OFF._replace(looked=True, halted=True), "held"),
    ("unreadable for a day, and a person knows", OFF._replace(status=UNKNOWN, rechecked=False, held_long=True, looked=True, told=True), "held"),
    ("managed, obeying, but off the network: the check comes before the order", OFF._replace(managed=True, online=True, looked=True), "held"),
    # All machines.
    ("overdue, and the campaign is halted", OURS_LATE._replace(halted=True), "halted"),
    ("halted before anybody was told", FREE._replace(halted=True, announced=False), "halted"),
    ("warned and checked again, and then the campaign is halted", WARNED._replace(recheck_due=True, rechecked=True, halted=True), "halted"),
    ("a new campaign", FREE._replace(announced=False), "announce"),
    ("managed people get the mail as well", OURS._replace(announced=False, offered=False), "announce"),
    ("nobody to tell of a new campaign", FREE._replace(announced=False, owned=False), "free-to-choose"),
    ("a lost machine whose owner has not been told", OURS._replace(announced=False, lost=True), "announce"),
    ("its agent has been silent for three days", OURS._replace(lost=True, online=False), "help-desk"),
    # Managed machines.
    ("installed, restart pending, the deadline has passed", OURS_LATE._replace(status=PENDING), "restart"),
    ("installed, restart pending, time left", OURS._replace(status=PENDING), "pending-restart"),
    ("its restart is ordered", OURS_LATE._replace(status=PENDING, restarting=True), "pending-restart"),
    ("away with a restart pending", AWAY_LATE._replace(status=PENDING), "pending-restart"),
    ("imminent threat, installed, its restart is ordered: not installed again", OURS_LATE._replace(status=PENDING, restarting=True, **NOW), "pending-restart"),
    ("imminent threat, managed and connected", OURS_LATE._replace(**NOW), "install-now"),
    ("imminent threat: back from away, no countdown", OURS_LATE._replace(expected=True, **NOW), "install-now"),
    ("back after the deadline", OURS_LATE._replace(expected=True), "come-back"),
    ("its countdown runs", OURS_LATE._replace(expected=True, counted_down=True, counting_down=True), "counting-down"),
    ("gone again during its countdown", AWAY_LATE._replace(expected=True, counted_down=True, counting_down=True), "counting-down"),
    ("its countdown ran when the threat became imminent: forced at once, and under way", OURS_LATE._replace(expected=True, counted_down=True, counting_down=True, forced=True, **NOW), "forcing"),
    ("its countdown is over", OURS_LATE._replace(expected=True, counted_down=True), "force"),
    ("online when the deadline passes", OURS_LATE, "force"),
    ("online, overdue, its word too old: an install that is not needed does nothing", OURS_LATE._replace(status=UNKNOWN), "force"),
    ("forced an hour ago", OURS_LATE._replace(forced=True), "forcing"),
    ("forced an hour ago under an imminent threat", OURS_LATE._replace(forced=True, **NOW), "forcing"),
    ("imminent threat, and it is not connected", AWAY_LATE._replace(**NOW), "expect-now"),
    ("imminent threat, away, awaited at the door", AWAY_LATE._replace(expected=True, **NOW), "away"),
    ("away when the deadline passes", AWAY_LATE, "expect"),
    ("away, awaited", AWAY_LATE._replace(expected=True), "away"),
    ("new, away, and never offered anything", AWAY_LATE._replace(expected=True, offered=False), "away"),
    ("a new campaign reaches a managed machine", OURS._replace(offered=False), "offer"),
    ("offered, time left", OURS, "voluntary"),
    ("managed, no fresh word, no probe reads it: its agent will say", OURS._replace(status=UNKNOWN, unreadable=True), "voluntary"),
    # Unmanaged machines, and managed ones whose agent is lost.
    ("offered a way back, time left", OURS._replace(undo=True), "voluntary"),
    ("its agent is lost, so the help desk takes the update back", OURS_LATE._replace(undo=True, lost=True, helped=True), "undo-only"),
    ("a way back, and nothing is known of the machine", OURS._replace(undo=True, lost=True, helped=True, status=UNKNOWN, unreadable=True), "undo-only"),
    ("no probe can read it", FREE._replace(status=UNKNOWN, unreadable=True), "ask"),
    ("no probe can read it: asked, and looked at now and then", FREE._replace(status=UNKNOWN, unreadable=True, asked=True), "sweep"),
    ("no probe can read it, and nobody to ask", FREE._replace(status=UNKNOWN, unreadable=True, owned=False), "sweep"),
    ("never probed", FREE._replace(status=UNKNOWN), "sweep"),
    ("its agent is lost, nothing fresh is known", OURS_LATE._replace(lost=True, helped=True, status=UNKNOWN), "sweep"),
    ("unknown after the deadline, a check is under way", LATE._replace(status=UNKNOWN, looked=True), "unknown"),
    ("unknown, warned, checked in vain: not removed", WARNED._replace(status=UNKNOWN, looked=True, recheck_due=True), "unknown"),
    ("unknown before the deadline", FREE._replace(status=UNKNOWN, looked=True), "unknown"),
    ("vulnerable, time left, and its owner asks for a check", FREE._replace(wished=True), "wished"),
    ("its owner asks for a check that is under way", FREE._replace(wished=True, looked=True), "free-to-choose"),
    ("vulnerable in the voluntary period", FREE, "free-to-choose"),
    ("vulnerable, protected, time left", FREE._replace(protected=True), "free-to-choose"),
    ("protected and still vulnerable", LATE._replace(protected=True), "protected-open"),
    ("protected, vulnerable, and a person knows", LATE._replace(protected=True, told=True), "protected"),
    ("protected in an imminent threat", LATE._replace(protected=True, told=True, **NOW), "protected"),
    ("imminent threat: vulnerable, unmanaged", LATE._replace(**NOW), "warn-now"),
    ("still vulnerable after the deadline", LATE, "warn"),
    ("failing agent: treated like an unmanaged machine", OURS_LATE._replace(lost=True, helped=True), "warn"),
    ("unmanaged, installed, its restart overdue: still vulnerable", LATE._replace(status=PENDING, online=True), "warn"),
    ("installed, but its agent is lost before the restart", OURS_LATE._replace(status=PENDING, lost=True, helped=True), "warn"),
    ("no mail server took the warning", LATE._replace(warning=True, refused=True), "no-mail"),
    ("the warning came back, and its owner has left", LATE._replace(warning=True, refused=True, owned=False), "no-mail"),
    ("nobody to write to", LATE._replace(owned=False), "nobody-to-warn"),
    ("the warning is on its way", LATE._replace(warning=True), "unwarned"),
    ("nobody to write to, and a person knows", LATE._replace(owned=False, told=True), "unwarned"),
    ("its owner has left after the warning was accepted: it stands", WARNED._replace(owned=False), "recheck-later"),
    ("no mail server took the warning, and a person knows", LATE._replace(warning=True, refused=True, told=True), "unwarned"),
    ("its owner asks for a check before the warning is accepted", LATE._replace(warning=True, wished=True), "unwarned"),
    ("warned a minute ago, and its owner asks for a check", WARNED._replace(wished=True), "wished-warned"),
    ("warned a minute ago", WARNED, "recheck-later"),
    ("warned a minute ago, said to be still vulnerable since: no sooner for that", WARNED._replace(looked=True), "recheck-later"),
    ("ten minutes after the warning", WARNED._replace(recheck_due=True), "recheck"),
    ("ten minutes after the warning of an imminent threat", WARNED._replace(recheck_due=True, **NOW), "recheck"),
    ("the re-check is under way", WARNED._replace(recheck_due=True, looked=True), "unproven"),
    ("warned, checked again, still vulnerable", WARNED._replace(recheck_due=True, rechecked=True, looked=True), "quarantine"),
    ("the same in an imminent threat", WARNED._replace(recheck_due=True, rechecked=True, **NOW), "quarantine"),
    ("the same with an agent that keeps failing", OURS_LATE._replace(lost=True, helped=True, warning=True, warned=True, recheck_due=True, rechecked=True), "quarantine"),
)
# fmt: on

TABLE = [pytest.param(case, row, id=sentence) for sentence, case, row in CASES]
SITUATIONS = [pytest.param(case, id=sentence) for sentence, case, _ in CASES]


@pytest.mark.parametrize(("case", "row"), TABLE)
def test_the_rule_that_applies_when(case: Case, row: str):
    assert decide(case).name == row


@pytest.mark.parametrize("case", SITUATIONS)
def test_a_situation_is_possible(case: Case):
    assert [law for law, impossible in LAWS.items() if holds(impossible, case)] == []


def test_every_sentence_is_told_once():
    sentences = [sentence for sentence, _, _ in CASES]
    assert len(set(sentences)) == len(sentences)


def test_every_rule_has_a_case():
    told = [row for _, _, row in CASES]
    assert sorted({rule.name for rule in RULES} ^ set(told)) == []


@pytest.mark.parametrize(("first", "second"), overlaps(RULES))
def test_neighbours_that_overlap_have_a_case_in_the_overlap(first: str, second: str):
    """Some case takes `first` where `second` applies as well: change places, and it would be decided otherwise."""
    cube = cube_of(next(rule for rule in RULES if rule.name == second))
    assert [sentence for sentence, case, row in CASES if row == first and holds(cube, case)] != []


ORDERED: dict[Action, dict[str, Any]] = {
    Action.RECALL: {"recalled": True},
    Action.REVIEW: {"reviewed": True},
    Action.TELL: {"told": True},
    Action.HELP: {"helped": True},
    Action.ANNOUNCE: {"announced": True},
    Action.OFFER: {"offered": True},
    Action.ASK: {"asked": True},
    Action.LOOK: {"looked": True},
    Action.INSTALL: {"forced": True, "offered": True},
    Action.RESTART: {"restarting": True},
    Action.EXPECT: {"expected": True},
    Action.COUNT_DOWN: {"counted_down": True, "counting_down": True},
    Action.WARN: {"warning": True},
}


@pytest.mark.parametrize("case", SITUATIONS)
def test_the_guard_lets_through_what_was_ordered_a_moment_ago(case: Case):
    """Between order and effect only the order's own mark has changed: it still stands."""
    action = decide(case).then
    if action is not None:
        assert still_wanted(action, case._replace(**ORDERED.get(action, {}))) is None


@pytest.mark.parametrize("action", list(Action))
def test_the_guard_stops_everything_but_the_taking_back_when_the_patch_is_withdrawn(action: Action):
    """A7: what was ordered before and has not happened yet does not happen any more."""
    rule = still_wanted(action, OURS_LATE._replace(withdrawn=True, **ORDERED.get(action, {})))
    assert (rule is None) == (action is Action.RECALL)


@pytest.mark.parametrize(
    ("action", "since", "instead"),
    [
        pytest.param(
            Action.QUARANTINE,
            WARNED._replace(status=FIXED, recheck_due=True, rechecked=True),
            "fixed",
            id="a removal of a machine fixed meanwhile is dropped",
        ),
        pytest.param(
            Action.QUARANTINE,
            WARNED._replace(recheck_due=True, looked=True),
            "unproven",
            id="a removal whose proof has grown old is dropped",
        ),
        pytest.param(
            Action.QUARANTINE,
            WARNED._replace(recheck_due=True, rechecked=True, exempt=True),
            "exempt",
            id="a removal of a machine exempted meanwhile is dropped",
        ),
        pytest.param(
            Action.INSTALL,
            OURS_LATE._replace(halted=True, forced=True),
            "halted",
            id="an install of a campaign halted meanwhile is dropped",
        ),
        pytest.param(
            Action.WARN,
            LATE._replace(status=FIXED, warning=True),
            "fixed",
            id="a final warning to a machine fixed meanwhile is dropped",
        ),
        pytest.param(
            Action.RELEASE, OFF, "held-look", id="a release of a machine vulnerable again is dropped"
        ),
    ],
)
def test_the_guard_says_what_is_wanted_instead(action: Action, since: Case, instead: str):
    rule = still_wanted(action, since)
    assert rule is not None
    assert rule.name == instead
