"""The tables of a new agent's trial: a case for every row, and what no history of slots may ever come to (A7, A11)."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.slot import (
    BASE,
    PROVING,
    STARTING,
    STARTS,
    Proof,
    ProofFacts,
    Slots,
    Start,
    StartFacts,
    called_off,
    counted,
    fallen_back,
    ordered,
    proof_of,
    proven,
    start_of,
    uncounted,
)

READY = StartFacts(on_trial=True, service=True, whole=True)
STARTED = [
    pytest.param(StartFacts(service=True), "no-trial", id="nothing new: the agent in force"),
    pytest.param(READY._replace(service=False), "no-service", id="a person asks for the status meanwhile"),
    pytest.param(READY._replace(whole=False), "torn-slot", id="somebody touched the slot"),
    pytest.param(READY._replace(spent=True), "starts-spent", id="three starts were in vain"),
    pytest.param(READY, "trial", id="a new agent's first start"),
    pytest.param(READY._replace(whole=False, spent=True), "torn-slot", id="torn is said before spent"),
    pytest.param(
        READY._replace(service=False, whole=False), "no-service", id="a command judges nobody's slot"
    ),
]
PASSED = [
    pytest.param(ProofFacts(reachable=True), "not-passed", id="the pass failed"),
    pytest.param(ProofFacts(passed=True, answered=True), "proven", id="the server answered"),
    pytest.param(ProofFacts(passed=True), "cut-off", id="offline is not its fault (A11)"),
    pytest.param(ProofFacts(passed=True, reachable=True), "unheard", id="others would be answered, not this one"),
    pytest.param(ProofFacts(), "not-passed", id="offline, and no pass either"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "name"), STARTED)
def test_the_table_of_starts_decides(facts: StartFacts, name: str) -> None:
    assert start_of(facts).name == name


@pytest.mark.parametrize(("facts", "name"), PASSED)
def test_the_table_of_proofs_decides(facts: ProofFacts, name: str) -> None:
    assert proof_of(facts).name == name


def test_every_row_has_a_case() -> None:
    assert {case.values[1] for case in (*STARTED, *PASSED)} == {row.name for row in (*STARTING, *PROVING)}


def test_no_case_at_all_tries_what_must_not_be_tried() -> None:
    for values in product([False, True], repeat=len(StartFacts._fields)):
        facts = StartFacts(*values)
        if start_of(facts).then is Start.TRY:
            assert facts == READY
        if not facts.service:
            assert start_of(facts).then is Start.CURRENT, "a person's command changes nothing"


def test_nothing_proves_an_agent_but_an_answered_pass() -> None:
    for values in product([False, True], repeat=len(ProofFacts._fields)):
        facts = ProofFacts(*values)
        assert (proof_of(facts).then is Proof.PROVEN) == (facts.passed and facts.answered)


NAMES = st.sampled_from(["b" * 64, "c" * 64, "d" * 64])
STEPS = st.one_of(
    st.tuples(st.just("order"), NAMES),
    st.tuples(
        st.sampled_from(["count", "uncount", "prove", "fall back", "call off", "go back"]), st.just("")
    ),
)


@given(st.lists(STEPS, max_size=30))
def test_whatever_happens_only_a_proof_changes_what_is_in_force(steps: list[tuple[str, str]]) -> None:
    """A7: the agent in force is always one that proved itself, or the one that came along."""
    slots, good = Slots(), {BASE}
    for what, name in steps:
        before = slots
        match what:
            case "order":
                slots = ordered(slots, name)
            case "go back":
                slots = ordered(slots, slots.previous)
            case "count":
                slots = counted(slots)
            case "uncount":
                slots = uncounted(slots)
            case "call off":
                slots = called_off(slots)
            case "fall back":
                slots = fallen_back(slots, "why")
                assert before.trial is None or (slots.trial is None and slots.failed[before.trial] == "why")
            case _:
                good |= {before.trial or BASE}
                slots = proven(slots)
                assert slots.current == (before.trial or before.current)
        if what != "prove":
            assert (slots.current, slots.previous) == (before.current, before.previous)
        assert {slots.current, slots.previous} <= good
        assert {slots.current, slots.previous} <= slots.kept


def test_what_was_taken_back_is_never_the_way_back() -> None:
    """A7: neither the next undo nor a torn slot may bring a withdrawn agent in again."""
    early, late = "b" * 64, "c" * 64
    both = proven(ordered(proven(ordered(Slots(), early)), late))
    assert both == Slots(late, early)
    assert proven(ordered(both, early)) == Slots(early, BASE)
    assert proven(ordered(both, BASE)) == Slots(BASE, BASE)
    assert proven(ordered(both, late)) == both, "unpacked anew, it is no way back"


def test_a_new_trial_counts_from_nothing_and_the_same_one_goes_on() -> None:
    once = counted(ordered(Slots(), "b" * 64))
    assert (ordered(once, "b" * 64).starts, ordered(once, "c" * 64).starts) == (1, 0)
    assert counted(counted(once)).starts == STARTS
