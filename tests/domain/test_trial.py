"""The verdicts (P4.2, P4.3): every row has a case, every overlap of two neighbours, and words become signs."""

# ruff: noqa: E501 - a table reads best one row a line

from dataclasses import replace
from datetime import datetime
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import DAY, HOUR, MINUTE, POLICY, START, TESTING, TOLD, instants
from forestall.domain.evidence import Status
from forestall.domain.printout import SIGNS
from forestall.domain.record import Record
from forestall.domain.trial import (
    VERDICTS,
    Signs,
    Trial,
    Verdict,
    Word,
    after_word,
    signs_of,
    span_of,
    tally_of,
    verdict,
)

GOOD = Signs(installed=True, healthy=True, proven=True)
FRESH = Signs(installed=True)

# fmt: off
CASES: tuple[tuple[str, Signs, str], ...] = (
    ("a person says that it broke the printer", GOOD._replace(broke=True), "says-broke"),
    ("a person complains, and a service is down", GOOD._replace(broke=True, down=True), "says-broke"),
    ("a person who could not install it complains", Signs(broke=True, failed=True), "says-broke"),
    ("a service that ran before has failed since", GOOD._replace(down=True), "services-down"),
    ("a service is down and the package is half gone", GOOD._replace(down=True, relapsed=True), "services-down"),
    ("installed, and then dpkg is broken", GOOD._replace(relapsed=True), "relapsed"),
    ("gone again, and trying again fails", Signs(installed=True, relapsed=True, failed=True), "relapsed"),
    ("the install failed", Signs(failed=True), "failed"),
    ("nobody has installed it yet", Signs(), "waiting"),
    ("not heard for a day since the install", FRESH._replace(quiet=True, silent=True), "silent"),
    ("not heard for a working day since the install", FRESH._replace(quiet=True), "quiet"),
    ("quiet, and before that it wanted a restart", FRESH._replace(quiet=True, pending=True), "quiet"),
    ("installed, and its restart has not come", FRESH._replace(pending=True), "not-restarted"),
    ("well, but for its restart", GOOD._replace(pending=True), "not-restarted"),
    ("a probe still finds the old library while a restart is pending", GOOD._replace(pending=True, refuted=True), "not-restarted"),
    ("well, and a probe finds the hole open", GOOD._replace(refuted=True), "still-affected"),
    ("just installed, and the inventory finds the old version", FRESH._replace(refuted=True), "still-affected"),
    ("installed an hour ago", FRESH, "trying"),
    ("installed, restarted, heard", GOOD, "well"),
    ("well, and quiet for a night since", GOOD._replace(quiet=True, silent=True), "well"),
)
# fmt: on
TABLE = [pytest.param(signs, row, id=sentence) for sentence, signs, row in CASES]


def applying(signs: Signs) -> list[str]:
    return [row.name for row in VERDICTS if row.applies(signs)]


@pytest.mark.parametrize(("signs", "row"), TABLE)
def test_the_verdict_when(signs: Signs, row: str):
    assert verdict(signs).name == row


def test_every_row_has_a_case():
    assert {row.name for row in VERDICTS} == {row for _, _, row in CASES}


POSSIBLE = [
    signs
    for signs in map(Signs._make, product((False, True), repeat=len(Signs._fields)))
    if (signs.installed or not (signs.pending or signs.healthy or signs.down or signs.relapsed or signs.refuted or signs.proven or signs.quiet or signs.silent))
    and (signs.quiet or not signs.silent)
    and not (signs.failed and signs.installed and not signs.relapsed)
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), list(pairwise(row.name for row in VERDICTS)))
def test_neighbours_that_overlap_have_a_case_in_the_overlap(first: str, second: str):
    if any(applying(signs)[:2] == [first, second] for signs in POSSIBLE):
        assert [sentence for sentence, signs, row in CASES if row == first and second in applying(signs)]


@pytest.mark.parametrize("signs", [signs for _, signs, _ in CASES])
def test_a_case_is_possible(signs: Signs):
    assert signs in POSSIBLE


@pytest.mark.parametrize(
    ("sign", "worse"),
    [(name, value) for name, value in {"broke": True, "down": True, "relapsed": True, "failed": True, "refuted": True, "healthy": False}.items()],
)  # fmt: skip
def test_a_bad_sign_never_makes_a_machine_clean(sign: str, worse: bool):
    for signs in POSSIBLE:
        if getattr(signs, sign) is worse:
            assert verdict(signs).then is not Verdict.CLEAN


def test_every_sign_has_its_words():
    assert set(SIGNS) == set(Signs._fields)


FIXED, PENDING, AFFECTED = Status.FIXED, Status.PENDING_RESTART, Status.AFFECTED
UNKNOWN = Status.UNKNOWN


def heard(*words: tuple[Word, datetime], before: Trial | None = None) -> Trial:
    trial = before or Trial(was_affected=True)
    for word, at in words:
        trial = after_word(trial, word, at)
    return trial


def test_nothing_told_leaves_no_trace():
    assert heard((Word(AFFECTED, "b1"), START)) == Trial(was_affected=True)


def test_an_install_is_dated_by_the_first_word_of_it():
    trial = heard((Word(PENDING, "b1"), START), (Word(PENDING, "b1"), START + HOUR))
    assert (trial.installed_at, trial.boot_id, trial.effective_at, trial.restarted_at) == (
        START,
        "b1",
        None,
        None,
    )


def test_a_restart_shows_in_another_boot_with_the_patch_in_place():
    trial = heard(
        (Word(PENDING, "b1"), START), (Word(FIXED, "b2"), START + HOUR), (Word(FIXED, "b3"), START + DAY)
    )
    assert (trial.restarted_at, trial.effective_at) == (START + HOUR, START + HOUR)


def test_a_restart_after_which_it_is_gone_proves_nothing():
    trial = heard((Word(FIXED, "b1"), START), (Word(UNKNOWN, "b2"), START + HOUR))
    assert (trial.restarted_at, trial.relapsed_at) == (None, START + HOUR)
    assert heard((Word(FIXED, "b2"), START + DAY), before=trial).relapsed_at is None


def test_attempts_without_an_install_are_failures_until_one_succeeds():
    trial = heard((Word(AFFECTED, "b1", attempts=1), START), (Word(AFFECTED, "b1", attempts=2), START + HOUR))
    assert trial.failed_at == START
    assert heard((Word(FIXED, "b1", attempts=3), START + DAY), before=trial).failed_at is None


def test_what_a_person_says_stays_and_what_services_do_goes_by_the_last_word():
    trial = heard(
        (Word(FIXED, "b1", services=("cups.service",), broke="my printer"), START),
        (Word(FIXED, "b1"), START + HOUR),
    )
    assert (trial.services, trial.services_at) == ((), None)
    assert (trial.broke, trial.broke_at) == ("my printer", START)
    again = heard((Word(FIXED, "b1", broke="my printer"), START + DAY), before=trial)
    assert again.broke_at == START, "said again is not said anew"


RECORD = TOLD._replace(managed=True, agent_status=FIXED, agent_at=START)
TRIED = Trial(was_affected=True, installed_at=START, boot_id="b1", effective_at=START)


def signs_at(
    now: datetime, record: Record = RECORD, trial: Trial = TRIED, resumed_at: datetime | None = None
) -> Signs:
    campaign = replace(TESTING, resumed_at=resumed_at)
    return signs_of(record, trial, span_of(campaign, now, POLICY))


@pytest.mark.parametrize(
    ("changes", "after", "told"),
    [
        pytest.param({}, HOUR, "trying", id="an hour after"),
        pytest.param({"heard_at": START + HOUR}, 4 * HOUR, "trying", id="heard too soon to tell"),
        pytest.param({"heard_at": START + POLICY.healthy_after}, 4 * HOUR, "well", id="heard when it had baked"),
        pytest.param({}, 2 * POLICY.check_every, "quiet", id="two check-ins missed"),
        pytest.param({}, POLICY.silent_in_test, "silent", id="a day of silence"),
        pytest.param({"agent_status": PENDING, "heard_at": START + DAY}, DAY, "not-restarted", id="heard, and not restarted"),
        pytest.param({"heard_at": START + DAY, "inventory_status": AFFECTED, "inventory_at": START + MINUTE}, DAY, "still-affected", id="the inventory finds the old version"),
        pytest.param({"heard_at": START + DAY, "inventory_status": AFFECTED, "inventory_at": START}, DAY, "well", id="the inventory from before the install"),
        pytest.param({"heard_at": START + DAY, "probe_status": AFFECTED, "probe_at": START + HOUR}, DAY, "still-affected", id="a probe finds the hole open"),
    ],
)  # fmt: skip
def test_signs_are_read_from_dates(changes: dict[str, object], after: object, told: str):
    assert verdict(signs_at(START + after, RECORD._replace(**changes))).name == told


def test_a_probe_that_saw_the_old_process_before_the_restart_refutes_nothing():
    record = RECORD._replace(probe_status=AFFECTED, probe_at=START + HOUR, heard_at=START + DAY)
    trial = heard((Word(PENDING, "b1"), START), (Word(FIXED, "b2"), START + 2 * HOUR))
    assert not signs_at(START + DAY, record, trial).refuted


@pytest.mark.parametrize("name", ["broke_at", "services_at", "relapsed_at"])
def test_what_went_wrong_before_a_person_let_it_go_on_counts_no_more(name: str):
    record, trial = RECORD._replace(heard_at=START + DAY), TRIED._replace(**{name: START + HOUR})
    assert verdict(signs_at(START + DAY, record, trial)).then is Verdict.BROKE
    assert verdict(signs_at(START + DAY, record, trial, resumed_at=START + 2 * HOUR)).then is Verdict.CLEAN


@given(
    st.lists(st.tuples(st.sampled_from(Status), st.sampled_from("ab"), st.integers(0, 2)), max_size=8),
    instants,
)
def test_a_trial_is_never_at_odds_with_itself(words: list[tuple[Status, str, int]], now: datetime):
    trial = Trial()
    for number, (status, boot, attempts) in enumerate(words):
        trial = after_word(trial, Word(status, boot, attempts), START + number * MINUTE)
    assert signs_of(RECORD, trial, span_of(TESTING, now, POLICY)) in POSSIBLE
    assert trial.restarted_at is None or trial.installed_at is not None
    assert trial.relapsed_at is None or trial.effective_at is None


def test_machines_are_counted_by_verdict():
    tally = tally_of(
        [(GOOD, 3), (FRESH, 2), (Signs(), 5), (GOOD._replace(down=True), 1), (Signs(failed=True), 1)]
    )
    assert (tally.machines, tally.tried, tally.clean, tally.harmed, tally.proven) == (12, 7, 3, 2, 4)
