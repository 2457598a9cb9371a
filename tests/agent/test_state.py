"""What an agent remembers is read by the one before it, after a new one did not prove itself (A7, A11)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.company import START, hint, order
from forestall.agent import state
from forestall.agent.state import Held, Person, State
from forestall.domain.evidence import Status
from forestall.trust.recipe import PayloadMessage, SetKernelMessage, UpdateAgentMessage

REMEMBERED = State(
    certificate="ab",
    sequence=41,
    checked_at=START,
    held={
        name: Held(order=order(campaign=name), hint=hint(campaign=name), held_since=START, attempts=2)
        for name in ("c-1", "c-2")
    },
    person=Person(volunteers=True, restarted_for=["a"]),
)


def written(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = msgspec.to_builtins(REMEMBERED)
    change(found)
    (folder / "state.json").write_bytes(msgspec.json.encode(found))


def newer_fields(found: dict[str, Any]) -> None:
    for part in (found, found["person"], found["held"]["c-1"]):
        part["of_tomorrow"] = {"x": [1]}


def test_fields_of_a_newer_agent_are_passed_over_and_nothing_is_lost(tmp_path: Path) -> None:
    written(tmp_path, newer_fields)
    assert state.load(tmp_path) == (REMEMBERED, "")


def newer_order(found: dict[str, Any]) -> None:
    found["held"]["c-1"]["order"]["of_tomorrow"] = 1


def newer_person(found: dict[str, Any]) -> None:
    found["person"]["volunteers"] = "sometimes"


def newer_recipe(found: dict[str, Any]) -> None:
    found["held"]["c-1"]["recipe"] = {"kind": "of-tomorrow"}


@pytest.mark.parametrize("change", [newer_order, newer_person, newer_recipe])
def test_a_part_that_cannot_be_read_comes_from_the_copy_and_the_rest_stays(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """A11: no order is lost, and no number is said twice."""
    state.save(tmp_path, msgspec.structs.replace(REMEMBERED, sequence=40))
    state.keep(tmp_path)
    written(tmp_path, change)
    found, told = state.load(tmp_path)
    assert (found, "damaged" in told) == (REMEMBERED, True)
    assert (tmp_path / "state.json.damaged").exists()


def test_without_a_copy_only_the_part_that_cannot_be_read_is_lost(tmp_path: Path) -> None:
    written(tmp_path, newer_order)
    found, _ = state.load(tmp_path)
    assert (list(found.held), found.sequence, found.person) == (["c-2"], 41, REMEMBERED.person)


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"[1]", b'{"sequence": 7', b"\xff{}"])
def test_of_a_state_that_is_no_state_the_copy_remains_and_counts_nobodys_words(
    tmp_path: Path, content: bytes
) -> None:
    """A sequence number is never used twice: the agent renews its certificate before it speaks."""
    state.save(tmp_path, REMEMBERED)
    state.keep(tmp_path)
    (tmp_path / "state.json").write_bytes(content)
    found, _ = state.load(tmp_path)
    assert found == msgspec.structs.replace(REMEMBERED, certificate="", sequence=0)


@pytest.mark.parametrize("part", ["sequence", "certificate"])
def test_a_count_that_cannot_be_read_counts_nobodys_words(tmp_path: Path, part: str) -> None:
    def change(found: dict[str, Any]) -> None:
        found[part] = ["of tomorrow"]

    written(tmp_path, change)
    found, _ = state.load(tmp_path)
    assert (found.certificate, found.sequence, list(found.held)) == ("", 0, ["c-1", "c-2"])


def test_a_copy_that_is_needed_no_more_is_gone(tmp_path: Path) -> None:
    state.keep(tmp_path)  # nothing is there yet
    state.save(tmp_path, REMEMBERED)
    state.keep(tmp_path)
    state.forget_kept(tmp_path)
    state.forget_kept(tmp_path)
    (tmp_path / "state.json").write_bytes(b"{")
    assert state.load(tmp_path)[0] == State()


@pytest.mark.parametrize(
    ("recipe", "status", "awaits"),
    [
        pytest.param(None, Status.PENDING_RESTART, True, id="packages"),
        pytest.param(SetKernelMessage("a.b", "1"), Status.PENDING_RESTART, True, id="a recipe"),
        pytest.param(None, Status.FIXED, False, id="nothing waits"),
        pytest.param(
            UpdateAgentMessage(PayloadMessage("a" * 64, 1), "cpython-311"),
            Status.PENDING_RESTART,
            False,
            id="the agent restarts itself",
        ),
    ],
)
def test_no_machine_is_restarted_for_its_agent(recipe: Any, status: Status, awaits: bool) -> None:
    """A6."""
    held = Held(order=order(), hint=hint(), held_since=START, recipe=recipe, status=status)
    assert held.awaits_machine is awaits
