"""The table of the door (P8.4, P8.5, A2, A5, A13): cases, overlaps, and what it can never do."""

from typing import Any

import pytest

from domain.search import LAWS, cases_with, cube, cube_of, holds, overlaps
from forestall.domain.admission import DOOR, Entry, admit
from forestall.domain.case import Case
from forestall.domain.evidence import CLEAN, Status

LATE = Case(status=Status.AFFECTED, distributed=True, announced=True, owned=True, overdue=True)
NOW = LATE._replace(imminent=True)
OURS = LATE._replace(managed=True, offered=True)
UNKNOWN = {"status": Status.UNKNOWN}

CASES: tuple[tuple[str, Case, str], ...] = (
    ("fixed", LATE._replace(status=Status.FIXED), "come-in-fixed"),
    ("off the network, and fixed meanwhile", LATE._replace(status=Status.FIXED, quarantined=True), "come-in-fixed"),
    ("fixed, and the campaign is over", LATE._replace(status=Status.FIXED, closed=True), "come-in-fixed"),
    ("the campaign is over", NOW._replace(closed=True), "come-in-over"),
    ("the patch is withdrawn", NOW._replace(withdrawn=True), "come-in-withdrawn"),
    ("exempt from a patch that is withdrawn", NOW._replace(withdrawn=True, exempt=True), "come-in-withdrawn"),
    ("exempt in an imminent threat", NOW._replace(exempt=True), "come-in-exempt"),
    ("exempt and protected", NOW._replace(exempt=True, protected=True), "come-in-exempt"),
    ("protected in an imminent threat", NOW._replace(protected=True), "come-in-protected"),
    ("protected although off the network", NOW._replace(protected=True, quarantined=True), "come-in-protected"),
    ("removed at its desk, tries the VPN", LATE._replace(quarantined=True), "still-off"),
    ("removed, tries the VPN while the campaign is halted", LATE._replace(quarantined=True, halted=True), "still-off"),
    ("removed, and nothing is known of it", LATE._replace(quarantined=True, **UNKNOWN), "still-off"),
    ("vulnerable, the campaign is halted", NOW._replace(halted=True), "come-in-halted"),
    ("unknown, imminent threat, the campaign is halted", NOW._replace(halted=True, **UNKNOWN), "come-in-halted"),
    ("unknown in an imminent threat", NOW._replace(**UNKNOWN), "hold-until-checked"),
    ("managed and unknown in an imminent threat", OURS._replace(imminent=True, **UNKNOWN), "hold-until-checked"),
    ("its witnesses disagree in an imminent threat", NOW._replace(conflict=True, **UNKNOWN), "hold-until-checked"),
    ("managed, vulnerable, imminent threat", OURS._replace(imminent=True), "upgrade-first"),
    ("its agent is lost, vulnerable, imminent threat", OURS._replace(imminent=True, lost=True), "fix-first"),
    ("unmanaged, vulnerable, imminent threat", NOW, "fix-first"),
    ("managed, back after the deadline", OURS, "come-in-counting"),
    ("managed, unknown, back after the deadline", OURS._replace(**UNKNOWN), "come-in-counting"),
    ("unmanaged, vulnerable, after the deadline: warned inside", LATE, "come-in"),
    ("unknown, no imminent threat", LATE._replace(**UNKNOWN), "come-in"),
    ("vulnerable in the voluntary period", LATE._replace(overdue=False), "come-in"),
    ("the patch is being tested", Case(status=Status.AFFECTED), "come-in"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("case", "row"), [pytest.param(case, row, id=sentence) for sentence, case, row in CASES]
)
def test_where_it_may_go_when(case: Case, row: str):
    assert admit(case).name == row
    assert [law for law, impossible in LAWS.items() if holds(impossible, case)] == []


def test_every_row_has_a_case():
    assert sorted({rule.name for rule in DOOR} ^ {row for _, _, row in CASES}) == []


@pytest.mark.parametrize(("first", "second"), overlaps(DOOR))
def test_neighbours_that_overlap_have_a_case_in_the_overlap(first: str, second: str):
    cube = cube_of(next(rule for rule in DOOR if rule.name == second))
    assert [sentence for sentence, case, row in CASES if row == first and holds(cube, case)] != []


KEPT_OUT = (Entry.HOLD, Entry.UPGRADE, Entry.FIX_IT_ROOM)


@pytest.mark.parametrize("then", KEPT_OUT)
@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"status": CLEAN}, id="P8.5: clean"),
        pytest.param({"exempt": True}, id="A1: exempt"),
        pytest.param({"protected": True}, id="A8: protected"),
        pytest.param({"withdrawn": True}, id="A7: withdrawn"),
        pytest.param({"closed": True}, id="P7.2: closed"),
        pytest.param({"overdue": False, "quarantined": False}, id="P6.1: before the deadline"),
        pytest.param({"imminent": False, "quarantined": False}, id="P8.4: no imminent threat, not removed"),
        pytest.param({"halted": True, "quarantined": False}, id="A7: halted"),
    ],
)
def test_never_kept_out(then: Entry, given: dict[str, Any]):
    assert cases_with(DOOR, then, cube(**given)) is None


@pytest.mark.parametrize(
    ("then", "given"),
    [
        pytest.param(
            Entry.ADMIT,
            {
                "status": frozenset(Status) - CLEAN, "imminent": True, "overdue": True, "halted": False,
                "exempt": False, "protected": False, "withdrawn": False, "closed": False,
            },
            id="P8.5, A2: nothing vulnerable or unknown comes in during an imminent threat",
        ),
        pytest.param(
            Entry.ADMIT,
            {
                "status": frozenset(Status) - CLEAN, "quarantined": True,
                "exempt": False, "protected": False, "withdrawn": False, "closed": False,
            },
            id="A13: no way round a removal",
        ),
        pytest.param(Entry.UPGRADE, {"managed": False}, id="P8.4: only managed machines are upgraded at the door"),
        pytest.param(Entry.UPGRADE, {"lost": True}, id="A4: a lost agent upgrades nothing"),
        pytest.param(Entry.HOLD, {"status": frozenset(Status) - {Status.UNKNOWN}}, id="A2: only the unknown wait"),
    ],
)  # fmt: skip
def test_never(then: Entry, given: dict[str, Any]):
    assert cases_with(DOOR, then, cube(**given)) is None
