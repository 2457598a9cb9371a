"""Two schedulers on one database: paused past its lease, killed anywhere; nothing is done twice, nothing is lost.

R12, R13, A12.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import pytest

from domain.made import MINUTE, START
from forestall.domain.action import Action
from forestall.domain.events import EventKind, verify
from forestall.server.wiring import Installation
from forestall.store import ledger
from server.decisions.company import DEADLINE, UNMANAGED, Postgres, World, campaign, live, turn

REMOVED = UNMANAGED[:3]
"""At three sites, so that no cap holds them."""
TURN = DEADLINE + 14 * MINUTE
"""The owners were warned and their machines are still vulnerable: the next turn removes them."""
LATER = TURN + timedelta(seconds=61)
"""The lease of one minute has run out."""
TESTS = Path(__file__).parent.parent.parent


class Scheduler:
    """A scheduler's process."""

    def __init__(self, url: str, directory: Path, log: Path, point: str = "", how: str = "") -> None:
        directory.mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "server.decisions.scheduler", url, str(directory), str(log), point, how,
                *REMOVED,
            ],
            cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def ask(self, at: datetime) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{at.isoformat()}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def turn(self, at: datetime) -> str:
        self.ask(at)
        return self.answer()

    def wait_until_stopped(self) -> None:
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)

    def wait_until_dead(self) -> None:
        assert self._process.wait() == -signal.SIGKILL

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


Start = Callable[..., Scheduler]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "removals"


@pytest.fixture
def start(postgres: Postgres, name: str, tmp_path: Path, log: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda point="", how="": stack.enter_context(
            Scheduler(postgres.url_of(name), tmp_path / "outside", log, point, how)
        )


@pytest.fixture
def warned(installation: Installation) -> str:
    """A campaign in which the next turn removes three machines."""
    name = campaign(installation).id
    world = World(installation.database, set(REMOVED))
    turn(installation, world, START)
    world.see(name, REMOVED, DEADLINE)
    live(installation, world, DEADLINE, DEADLINE + 10 * MINUTE, MINUTE)
    world.see(name, REMOVED, TURN - MINUTE)
    assert world.of(Action.QUARANTINE) == []
    return name


def entries(installation: Installation, kind: EventKind) -> list[str]:
    """The machines whose removal is written, by kind of entry."""
    with installation.database.begin() as con:
        found = list(ledger.read_all(con))
    assert verify(found) is None
    return sorted(
        entry.event.subject
        for entry in found
        if entry.event.kind is kind and (entry.event.body or {}).get("action") == Action.QUARANTINE
    )


def assert_removed_once(installation: Installation, log: Path) -> None:
    assert sorted(log.read_text().split()) == sorted(REMOVED)
    assert entries(installation, EventKind.INTENDED) == sorted(REMOVED)
    assert entries(installation, EventKind.DONE) == sorted(REMOVED)


def test_left_alone_one_scheduler_removes_each_machine_once(
    installation: Installation, warned: str, start: Start, log: Path
):
    """The measure for the others."""
    scheduler = start()
    assert scheduler.turn(TURN).startswith("done")
    assert_removed_once(installation, log)


def test_two_at_the_same_instant_act_once(installation: Installation, warned: str, start: Start, log: Path):
    """R12: ten rounds, both asked before either answers."""
    both = [start(), start()]
    for round_ in range(10):
        for scheduler in both:
            scheduler.ask(TURN + round_ * MINUTE)
        assert all(scheduler.answer().startswith(("done", "refused")) for scheduler in both)
    assert_removed_once(installation, log)


def test_paused_after_it_read_the_facts_it_can_write_nothing(
    installation: Installation, warned: str, start: Start, log: Path
):
    """R12: SIGSTOP past the lease; another one acts; awake again the first is fenced off by the epoch."""
    first, second = start("after gathering", "stop"), start()
    first.ask(TURN)
    first.wait_until_stopped()
    assert second.turn(LATER).startswith("done")
    first.go_on()
    assert "another scheduler took over" in first.answer()
    assert second.turn(LATER + MINUTE).startswith("done")
    assert_removed_once(installation, log)


def test_paused_before_its_commit_it_keeps_the_others_waiting(
    installation: Installation, warned: str, start: Start, log: Path
):
    """R12: who holds the lease's row has not been overtaken; the other acts after its commit, and has nothing to do."""
    first, second = start("before the commit", "stop"), start()
    first.ask(TURN)
    first.wait_until_stopped()
    second.ask(LATER)
    first.go_on()
    assert second.answer().startswith("done")
    first.answer()
    assert second.turn(LATER + MINUTE).startswith("done")
    assert_removed_once(installation, log)


@pytest.mark.parametrize("point", ["after the commit", "before the effect", "after the effect"])
def test_paused_around_the_effect_it_is_not_done_a_second_time(
    installation: Installation, warned: str, start: Start, log: Path, point: str
):
    """R12: an effect is carried out under the lock of its intent's row; others pass over it."""
    first, second = start(point, "stop"), start()
    first.ask(TURN)
    first.wait_until_stopped()
    assert second.turn(LATER).startswith("done")
    first.go_on()
    first.answer()
    assert second.turn(LATER + MINUTE).startswith("done")
    assert_removed_once(installation, log)


@pytest.mark.parametrize(
    "point", ["after gathering", "before the commit", "after the commit", "before the effect"]
)
def test_killed_anywhere_before_the_effect_the_next_one_does_it_once(
    installation: Installation, warned: str, start: Start, log: Path, point: str
):
    """R13: kill -9; what was acknowledged stays, what was committed is carried out."""
    first, second = start(point, "kill"), start()
    with installation.database.begin() as con:
        acknowledged = ledger.head(con)
    first.ask(TURN)
    first.wait_until_dead()
    assert second.turn(LATER).startswith("done")
    assert_removed_once(installation, log)
    with installation.database.begin() as con:
        assert verify(ledger.read_all(con), [acknowledged]) is None


def test_killed_between_the_effect_and_its_receipt_the_effect_is_repeated_and_recorded_once(
    installation: Installation, warned: str, start: Start, log: Path
):
    """A12: nobody can know whether it happened, so effects are such that twice is as good as once."""
    first, second = start("after the effect", "kill"), start()
    first.ask(TURN)
    first.wait_until_dead()
    assert second.turn(LATER).startswith("done")
    assert sorted(log.read_text().split()) == sorted([*REMOVED, *REMOVED])
    assert entries(installation, EventKind.INTENDED) == sorted(REMOVED)
    assert entries(installation, EventKind.DONE) == sorted(REMOVED)
