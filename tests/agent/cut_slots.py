"""Ends a process at each single thing that it does to the agent's directory, one after the other, and looks afterwards.

A program of its own: it forks, and what listens to a process's own doings cannot be taken away again.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from forestall.agent import launcher, slots
from forestall.agent.installers import own
from forestall.agent.installers.steps import Machine
from forestall.agent.slots import platform
from forestall.domain.recipe import Payload, UpdateAgent
from forestall.domain.remediation import RemediationId
from forestall.domain.slot import STARTS, Slots, counted, ordered, proven

NAME = RemediationId("any/forestall-agent/0.2.0")
DOINGS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"}
Step = Callable[[], object]
WHOLE: dict[str, set[str]] = {}
"""What is in each slot, where it is whole."""


def cut(directory: Path, step: Step) -> int:
    """Run a step on copies of a directory, killed at its first doing, its second, and so on; give how many."""
    untouched = directory.with_name("untouched")
    shutil.copytree(directory, untouched, symlinks=True)
    for number in count(1):
        shutil.rmtree(directory)
        shutil.copytree(untouched, directory, symlinks=True)
        if not _killed_at(number, directory, step):
            shutil.rmtree(untouched)
            return number - 1
        _one_works(directory)
        step()
        _one_works(directory)
    raise AssertionError


def _killed_at(number: int, directory: Path, step: Step) -> bool:
    child = os.fork()
    if child == 0:
        left = [number]

        def listen(event: str, arguments: tuple[object, ...]) -> None:
            if event in DOINGS and str(arguments[0]).startswith(str(directory)):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(listen)
        step()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise AssertionError(f"the step failed by itself: {status}")
    return os.WIFSIGNALED(status)


def _one_works(directory: Path) -> None:
    """What a person's command runs now is whole, and so is what is on trial."""
    name, _ = launcher.chosen(directory, service=False)
    found = slots.load(directory)
    for each in (name, found.current, found.trial or name):
        if each == slots.BASE or slots.flaw(directory, each):
            raise AssertionError(f"{each}: {slots.flaw(directory, each)}; {found}")
        there = {path.name for path in slots.place_of(directory, each).iterdir() if path.stat().st_size}
        if there != WHOLE[each]:
            raise AssertionError(f"{each} is torn: only {there}")


def main(directory: Path, old: str, new: str, length: int) -> None:
    machine = Machine(Path("/"), directory)
    WHOLE.update({old: {"agent.json", "x"}, new: {"agent.json", "x", "y"}})
    recipe = UpdateAgent(Payload(new, length), platform())
    ends = {
        "order": (lambda: own.install(machine, NAME, recipe), Slots(old, slots.BASE, new, 0)),
        "count": (lambda: launcher.chosen(directory, service=True), None),
        "prove": (lambda: slots.change(directory, proven), Slots(new, old)),
        "go back": (lambda: own.undo(machine, recipe, "0.2.0"), Slots(new, old, old, 0)),
    }
    told = {}
    for what, (step, wanted) in ends.items():
        told[what] = cut(directory, step)
        if wanted is not None and slots.load(directory) != wanted:
            raise AssertionError(f"{what}: {slots.load(directory)}, wanted {wanted}")
    slots.change(directory, lambda _: ordered(Slots(new, old), old))
    for _ in range(STARTS):
        slots.change(directory, counted)
    told["fall back"] = cut(directory, lambda: launcher.chosen(directory, service=True))
    if old not in slots.load(directory).failed:
        raise AssertionError(slots.load(directory))
    left = sorted(path.name for path in slots.folder_of(directory).iterdir())
    print(json.dumps({"doings": told, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
