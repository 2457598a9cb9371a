"""The agent's own update as a recipe: what it looks at, what it refuses, and power cuts at every step (A2, A7, R23)."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from agent.small_agent import PROVES, command, write_small
from forestall.agent import archive, payloads, slots, state
from forestall.agent.archive import About
from forestall.agent.installers import own, recipes
from forestall.agent.installers.steps import Machine
from forestall.agent.slots import platform
from forestall.domain.evidence import Status
from forestall.domain.recipe import Payload, UpdateAgent
from forestall.domain.remediation import RemediationId
from forestall.domain.slot import BASE, Slots, called_off, fallen_back, ordered, proven

NAME = RemediationId("any/forestall-agent/0.2.0")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    directory = tmp_path / "agent"
    directory.mkdir(mode=0o755)
    state.save(directory, state.State(sequence=7, person=state.Person(volunteers=True)))
    return Machine(Path("/"), directory)


def stored(machine: Machine, about: About | None = None, **files: bytes) -> UpdateAgent:
    """An archive in the agent's store, and the recipe that names it."""
    place = machine.directory.parent / "archive"
    archive.write(place, about or About("0.2.0", platform()), files)
    content = place.read_bytes()
    payload = Payload(hashlib.sha256(content).hexdigest(), len(content))
    assert payloads.receive(machine.directory, payload, [content]).done
    return UpdateAgent(payload, platform())


def install(machine: Machine, recipe: UpdateAgent, name: str = NAME) -> tuple[bool, str]:
    outcome = recipes.install(machine, RemediationId(name), recipe, machine.directory / "log")
    return outcome.done, outcome.detail


def status(machine: Machine, recipe: UpdateAgent, name: str = NAME) -> tuple[Status, str]:
    return recipes.detect(machine, RemediationId(name), recipe)


def undo(machine: Machine, recipe: UpdateAgent, back_to: str) -> tuple[bool, str]:
    outcome = recipes.undo(machine, NAME, recipe, machine.directory / "log", back_to)
    return outcome.done, outcome.detail


def undone(machine: Machine, recipe: UpdateAgent) -> Status:
    return recipes.undone(machine, NAME, recipe).status


def test_what_is_installed_waits_for_the_agents_next_start(machine: Machine) -> None:
    """A2: the running agent is what counts, and this is still another one."""
    recipe = stored(machine)
    assert status(machine, recipe)[0] is Status.AFFECTED
    assert install(machine, recipe)[0]
    assert status(machine, recipe) == (
        Status.PENDING_RESTART,
        "agent 0.2.0 waits for the agent's next start",
    )
    slots.change(machine.directory, proven)
    assert status(machine, recipe) == (
        Status.PENDING_RESTART,
        f"agent 0.2.0 is in force; {own.running_version()} still runs",
    )


def test_what_the_agent_remembers_is_kept_before_another_one_writes_to_it(machine: Machine) -> None:
    install(machine, stored(machine))
    machine.directory.joinpath("state.json").write_bytes(b"of another kind")
    found, told = state.load(machine.directory)
    assert (found.person.volunteers, found.sequence, "damaged" in told) == (True, 0, True)


def test_one_that_fell_back_is_affected_and_is_not_tried_again(machine: Machine) -> None:
    recipe = stored(machine)
    install(machine, recipe)
    slots.change(machine.directory, lambda now: fallen_back(now, "started three times"))
    assert undone(machine, recipe) is Status.FIXED, "nothing of it is here"
    found, why = status(machine, recipe)
    assert (found, "started three times" in why, own.running_version() in why) == (
        Status.AFFECTED,
        True,
        True,
    )
    assert install(machine, recipe) == (False, "agent 0.2.0 is not tried again: started three times")
    assert slots.load(machine.directory).trial is None


def test_an_older_agent_is_never_put_on_trial_by_an_order(machine: Machine) -> None:
    recipe = stored(machine, About("0.0.9", platform()))
    older = "any/forestall-agent/0.0.9"
    assert status(machine, recipe, older) == (Status.FIXED, f"{own.running_version()} runs, which is later")
    assert install(machine, recipe, older) == (
        False,
        f"agent 0.0.9 is older than {own.running_version()}, which runs",
    )
    assert slots.load(machine.directory) == Slots()


def test_two_campaigns_do_not_fight_about_the_trial(machine: Machine) -> None:
    """An older update waits while a later one is on trial: putting it there instead would go back and forth."""
    older, later = stored(machine), stored(machine, About("0.3.0", platform()))
    assert install(machine, older)[0]
    assert install(machine, later, "any/forestall-agent/0.3.0")[0]
    assert status(machine, older) == (
        Status.PENDING_RESTART,
        "agent 0.3.0 is on trial, which is later",
    )
    assert slots.load(machine.directory).trial == later.payload.sha256
    slots.change(machine.directory, lambda now: fallen_back(now, "started three times"))
    assert status(machine, older)[0] is Status.AFFECTED


def test_the_same_version_from_elsewhere_is_not_the_one_that_was_signed(machine: Machine) -> None:
    """A version is a word; the hash is what people tested."""
    same = f"any/forestall-agent/{own.running_version()}"
    recipe = stored(machine, About(own.running_version(), platform()))
    assert status(machine, recipe, same)[0] is Status.AFFECTED
    assert install(machine, recipe, same)[0]


def test_an_agent_for_other_machines_does_not_concern_this_one(machine: Machine) -> None:
    recipe = stored(machine)
    other = UpdateAgent(recipe.payload, "cpython-399-riscv64-linux-gnu")
    assert status(machine, other)[0] is Status.NOT_AFFECTED


REFUSED = [
    pytest.param(About("0.3.0", platform()), "other-agent", id="another version than approved"),
    pytest.param(About("0.2.0", "cpython-399"), "other-agent", id="for another machine than approved"),
]


@pytest.mark.parametrize(("about", "reason"), REFUSED)
def test_an_archive_that_is_not_what_was_approved_is_refused(
    machine: Machine, about: About, reason: str
) -> None:
    done, why = install(machine, stored(machine, about))
    assert (done, why.startswith(reason)) == (False, True)
    assert (slots.load(machine.directory), [*slots.folder_of(machine.directory).glob("*")]) == (Slots(), [])


def test_a_payload_that_was_changed_is_not_unpacked(machine: Machine) -> None:
    """R38."""
    recipe = stored(machine)
    place = payloads.place_of(machine.directory, recipe.payload)
    place.chmod(0o700)
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    assert install(machine, recipe)[0] is False
    assert slots.load(machine.directory) == Slots()


def test_a_slot_that_was_touched_is_unpacked_anew(machine: Machine) -> None:
    recipe = stored(machine, x=b"good")
    install(machine, recipe)
    slots.change(machine.directory, proven)
    place = slots.place_of(machine.directory, recipe.payload.sha256)
    (place / "x").write_bytes(b"evil")
    (place / "x").chmod(0o666)
    assert status(machine, recipe)[0] is Status.AFFECTED
    assert install(machine, recipe)[0]
    assert ((place / "x").read_bytes(), slots.flaw(machine.directory, place.name)) == (b"good", "")
    assert status(machine, recipe)[0] is Status.PENDING_RESTART


def test_slots_that_others_may_write_to_are_not_used(machine: Machine) -> None:
    recipe = stored(machine)
    slots.folder_of(machine.directory).mkdir()
    slots.folder_of(machine.directory).chmod(0o777)
    done, why = install(machine, recipe)
    assert (done, "may be written by others" in why) == (False, True)


def test_old_slots_are_removed_and_the_way_back_is_kept(machine: Machine) -> None:
    made = []
    for number in range(4):
        recipe = stored(machine, About(f"0.2.{number}", platform()))
        assert install(machine, recipe, f"any/forestall-agent/0.2.{number}")[0]
        slots.change(machine.directory, proven)
        made.append(recipe.payload.sha256)
    left = {path.name for path in slots.folder_of(machine.directory).iterdir() if path.is_dir()}
    assert (made[-1] in left, made[-2] in left, made[0] in left) == (True, True, False)


def test_taking_it_back_puts_the_one_before_on_trial(machine: Machine) -> None:
    """A7."""
    recipe = stored(machine)
    install(machine, recipe)
    assert undone(machine, recipe) is Status.AFFECTED
    assert undo(machine, recipe, own.running_version())[0]
    assert slots.load(machine.directory) == Slots(), "its trial had not begun"
    assert undone(machine, recipe) is Status.FIXED
    install(machine, recipe)
    slots.change(machine.directory, proven)
    assert undone(machine, recipe) is Status.AFFECTED
    assert undo(machine, recipe, own.running_version())[0]
    assert slots.load(machine.directory) == Slots(recipe.payload.sha256, BASE, BASE)
    assert undone(machine, recipe) is Status.PENDING_RESTART, "not gone before another one runs"
    slots.change(machine.directory, proven)
    assert status(machine, recipe)[0] is Status.AFFECTED
    assert undone(machine, recipe) is Status.FIXED
    assert undo(machine, recipe, own.running_version())[0], "twice is once"
    assert slots.load(machine.directory) == Slots()


def in_force(machine: Machine, *versions: str) -> list[UpdateAgent]:
    """Put agents in force, one after the other."""
    made = []
    for version in versions:
        made.append(stored(machine, About(version, platform())))
        assert install(machine, made[-1], f"any/forestall-agent/{version}")[0]
        slots.change(machine.directory, proven)
    return made


NOT_HERE = [
    pytest.param("1.5", id="it was enrolled late and took the later agent directly"),
    pytest.param("", id="its order was made before ways back named a version"),
]


@pytest.mark.parametrize("back_to", NOT_HERE)
def test_it_is_never_taken_back_to_less_than_was_approved(machine: Machine, back_to: str) -> None:
    """A7: 1.5 is required and counts as fixed by 2.0; the agent that came along is below."""
    (late,) = in_force(machine, "2.0")
    before = slots.load(machine.directory)
    assert before == Slots(late.payload.sha256, BASE)
    done, why = undo(machine, late, back_to)
    assert (done, "is not on this machine" in why, "a person looks" in why) == (False, True, True)
    assert slots.load(machine.directory) == before


def test_two_ways_back_at_once_lead_down_and_never_up_to_what_was_withdrawn(machine: Machine) -> None:
    """A7: 2.0 goes back to 1.5, 1.5 to the one that came along, in any order and as often as asked."""
    early, late = in_force(machine, "1.5", "2.0")
    came = []
    for _ in range(4):
        for recipe, back_to in ((late, "1.5"), (early, own.running_version())):
            assert undo(machine, recipe, back_to)[0]
            slots.change(machine.directory, proven)
            came.append(slots.load(machine.directory).current)
    assert came == [early.payload.sha256, *[BASE] * 7]


def test_a_way_back_passes_over_an_agent_that_was_withdrawn_too(machine: Machine) -> None:
    _, late = in_force(machine, "1.5", "2.0")
    assert undo(machine, late, own.running_version())[0]
    assert slots.load(machine.directory).trial == BASE


def test_a_torn_slot_does_not_bring_back_what_was_taken_back(machine: Machine) -> None:
    """A7: it falls back to the one that came along."""
    early, late = in_force(machine, "1.5", "2.0")
    assert undo(machine, late, "1.5")[0]
    slots.change(machine.directory, proven)
    assert slots.next_start(machine.directory) == early.payload.sha256
    slots.place_of(machine.directory, early.payload.sha256).joinpath("agent.json").chmod(0o666)
    assert slots.next_start(machine.directory) == BASE


def test_the_one_before_is_not_gone_back_to_where_others_could_have_changed_it(machine: Machine) -> None:
    first = stored(machine)
    install(machine, first)
    slots.change(machine.directory, proven)
    second = stored(machine, x=b"1")
    install(machine, second)
    slots.change(machine.directory, proven)
    slots.place_of(machine.directory, first.payload.sha256).joinpath("agent.json").chmod(0o666)
    done, why = undo(machine, second, "0.2.0")
    assert (done, why.startswith("agent 0.2.0 cannot be run: ")) == (False, True)
    assert slots.load(machine.directory).trial is None


# -- power cuts -----------------------------------------------------------------------------------------------


def test_a_power_cut_at_any_step_leaves_one_agent_that_works(machine: Machine) -> None:
    """R23: every single thing that is done to the disk is the last one once; twice is once."""
    old = stored(machine, x=b"old")
    install(machine, old)
    slots.change(machine.directory, proven)
    new = stored(machine, x=b"new", y=b"1")
    script = Path(__file__).with_name("cut_slots.py")
    words = (machine.directory, old.payload.sha256, new.payload.sha256, new.payload.length)
    ran = subprocess.run(
        [sys.executable, script, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert min(told["doings"].values()) >= 2, "nothing was cut off at all"
    assert told["doings"]["order"] >= 15
    assert told["left"] == sorted([old.payload.sha256, new.payload.sha256, "lock", "record.json"])


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments_an_agent_always_starts(machine: Machine, seed: int) -> None:
    """R23: kill -9 of the launcher and of the agent that it became."""
    chance = random.Random(seed)  # noqa: S311 - which moments, not which secrets
    folder, directory = machine.directory.parent, machine.directory
    for name, what in (("A", proven), ("B", lambda now: now)):
        payload = write_small(folder / "a", name, PROVES if name == "B" else "")
        slots.folder_of(directory).mkdir(exist_ok=True)
        archive.unpack(folder / "a", slots.place_of(directory, payload.sha256))
        slots.change(directory, lambda now, slot=payload.sha256, then=what: then(ordered(now, slot)))
    said = folder / "said"
    for _ in range(12):
        process = subprocess.Popen(command(60, "run", "--state", str(directory), str(said)))
        try:
            process.wait(chance.uniform(0.02, 0.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        before = len(said.read_text().split()) if said.exists() else 0
        subprocess.run(command(60, "status", "--state", str(directory), str(said)), check=True)
        assert len(said.read_text().split()) == before + 1, "a person's command finds an agent"
    subprocess.run(command(60, "run", "--state", str(directory), str(said)), check=True)
    found = slots.load(directory)
    assert (found.trial is None) or found.starts <= 3
    assert said.read_text().split()[-1] == ("B" if found.current == payload.sha256 else "A")


def test_a_trial_that_is_called_off_says_nothing_about_the_agent(machine: Machine) -> None:
    recipe = stored(machine)
    install(machine, recipe)
    slots.change(machine.directory, called_off)
    assert status(machine, recipe)[0] is Status.AFFECTED
    assert install(machine, recipe)[0]
