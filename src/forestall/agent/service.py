"""The agent as a service: a pass when it is due, when the server rings, when something changed on the machine."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from forestall.agent import anew, restarts, seat, slots, trial
from forestall.agent.inbox import ANSWER, WORD
from forestall.agent.listener import Listener
from forestall.agent.loop import run_pass
from forestall.agent.memory import Agent
from forestall.agent.state import State
from forestall.agent.wake import Doorbell
from forestall.clock import stopwatch
from forestall.domain.errors import ForestallError
from forestall.domain.evidence import Status

START_AGAIN = 75
"""The service ends with this where the service manager is to start it again, as another agent (EX_TEMPFAIL)."""


class Ending(Enum):
    """Why the service ends."""

    STOPPED = "stopped"
    OTHER_AGENT = "other_agent"
    """Another agent is to start in its place."""
    OWN_CODE = "own_code"
    """Its own code was replaced: it starts itself anew."""


_TICK_SECONDS = 2.0
_SIGN_OF_LIFE = timedelta(minutes=5)
"""A pass at least this often: a gap tells the agent that the machine was away (A5)."""
_AFTER_TROUBLE = timedelta(minutes=1)


def serve(agent: Agent, stop: threading.Event, complain: Callable[[str], None]) -> Ending:
    """Work until `stop` is set, or another process is to take over; a pass that fails is told and tried again."""
    begun, begun_with = stopwatch(), {slots.running(agent.directory), slots.next_start(agent.directory)}
    listener = Listener(agent, seat.user_here)
    agent.holds = lambda: listener.holds() | seat.holds()
    listening = threading.Thread(target=listener.serve, args=(stop, complain), name="listener")
    listening.start()
    woken = trial.under_way(agent)
    try:
        with Doorbell(agent.directory, agent.spread) as bell:
            while not stop.is_set():
                on_trial = trial.under_way(agent)
                passed = _pass(agent, complain, ask=woken)
                if slots.next_start(agent.directory) not in begun_with:
                    return Ending.OTHER_AGENT
                if anew.due(begun):
                    return Ending.OWN_CODE
                if on_trial and not trial.under_way(agent):
                    continue  # it is in force now, and says so at once
                woken = _sleep(agent, stop, passed, bell)
    finally:
        stop.set()
        listening.join()
    return Ending.STOPPED


def _pass(agent: Agent, complain: Callable[[str], None], *, ask: bool) -> State | None:
    passed = None
    try:
        passed = run_pass(agent, ask=ask)
    except (ForestallError, OSError) as error:
        complain(str(error))
    try:
        trial.after_pass(agent, passed)
    except OSError as error:
        complain(str(error))
    return passed


def wake_at(state: State | None, now: datetime) -> datetime:
    """Find the next instant at which there is something to do."""
    if state is None:
        return now + _AFTER_TROUBLE
    instants = [now + _SIGN_OF_LIFE, *(held.until for held in state.held.values() if held.until)]
    if state.person.restart_until is not None:
        instants.append(state.person.restart_until)
    if state.next_check_at is not None:
        instants.append(state.next_check_at)
    return max(min(instants), now + timedelta(seconds=1))


def _sleep(agent: Agent, stop: threading.Event, state: State | None, bell: Doorbell) -> bool:
    """Sleep until there is something to do; tell whether the server asks this machine to check in."""
    skew = timedelta(seconds=state.skew_seconds if state else 0)
    until = wake_at(state, agent.clock() + skew)
    seen = written = _written(agent)
    remembered = _changed_at(agent.directory / "state.json")
    said = _said(agent)
    waiting = state is not None and any(held.status == Status.PENDING_RESTART for held in state.held.values())
    stale = restarts.scan(agent.system.path) if waiting else ()
    while (left := (until - agent.clock() - skew).total_seconds()) > 0:
        if stop.wait(min(left, _TICK_SECONDS)):
            return False
        if bell.due(stopwatch()):
            return True
        if _changed_at(agent.directory / "state.json") != remembered:
            return False  # a person's command went before us: there may be new orders
        before, written = written, _written(agent)
        # Only once dpkg is quiet: in the middle of an installation half the packages look broken.
        installed = written != seen and written == before
        if installed or _said(agent) != said:
            return False
        if stale and not restarts.unchanged(agent.system.path, stale):
            return False
    return False


def _said(agent: Agent) -> tuple[int, int]:
    return _changed_at(agent.directory / ANSWER), _changed_at(agent.directory / WORD)


def _written(agent: Agent) -> int:
    return _changed_at(agent.system.database)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
