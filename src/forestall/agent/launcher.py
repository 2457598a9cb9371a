"""Starts the agent: the one in force, or as the service a new one on trial; it falls back by itself (A7).

The command `forestall-agent` begins here. No update of the agent replaces this file or what it imports, which is the
standard library and a few plain modules beside it; what it decides is the table in `domain/slot.py`.

A new agent is started within a time that the kernel keeps (alarm(2) outlives exec): one that hangs before it has
proven itself is ended, and the service manager starts the launcher again.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from forestall.agent import slots
from forestall.domain.slot import (
    BASE,
    STARTS,
    TRIAL,
    Slots,
    Start,
    StartFacts,
    counted,
    fallen_back,
    start_of,
)


def main() -> None:
    """Start the agent that is to run, with the command's own arguments."""
    launch(sys.argv[1:], os.environ)


def launch(arguments: Sequence[str], environment: Mapping[str, str], limit: timedelta = TRIAL) -> None:
    """Become the agent that is to run; does not come back from one in a slot."""
    directory = directory_of(arguments, environment)
    service = arguments[:1] == ["run"] and "--once" not in arguments
    try:
        name, on_trial = chosen(directory, service=service)
    except Exception as error:  # noqa: BLE001 - whatever happens here, an agent is started
        _say(f"the slots cannot be read ({error!r}): the agent that was installed runs")
        name, on_trial = BASE, False
    if on_trial:
        _ends_after(limit)
    if name != BASE:
        place = str(slots.place_of(directory, name))
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-B", place, *arguments])  # noqa: S606 - no shell
    from forestall.agent.main import main as run

    run()


def directory_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Path:
    """Find the agent's directory as its commands do, without their help."""
    state, root = (
        _option(arguments, option) or environment.get(variable, "")
        for option, variable in (("--state", "FORESTALL_STATE"), ("--root", "FORESTALL_ROOT"))
    )
    return Path(state or Path(root or "/", "var/lib/forestall-agent")).absolute()


def chosen(directory: Path, *, service: bool) -> tuple[str, bool]:
    """Choose the slot to start, and say whether it is on trial; what that changes is written down first."""
    found = slots.load(directory)
    rule = start_of(_facts(directory, found, service=service))
    if rule.then is Start.TRY and found.trial is not None and _noted(directory, found, counted(found)):
        return found.trial, True
    if rule.then is Start.FALL_BACK:
        why = rule.meaning
        if found.trial is not None and (torn := slots.flaw(directory, found.trial)):
            why = f"{why}: {torn}"
        _say(f"the agent of slot {found.trial} failed: {why}")
        _noted(directory, found, fallen_back(found, why))
    name = slots.in_force(directory, found)
    if name != found.current:
        _say(f"slot {name} runs: {slots.flaw(directory, found.current)}")
    return name, False


def _facts(directory: Path, found: Slots, *, service: bool) -> StartFacts:
    on_trial = service and found.trial is not None
    return StartFacts(
        on_trial=found.trial is not None,
        service=service,
        whole=on_trial and not slots.flaw(directory, found.trial or BASE),
        spent=found.starts >= STARTS,
    )


def _noted(directory: Path, before: Slots, after: Slots) -> bool:
    """Write down what is about to be done; a start that cannot be counted is not made."""
    try:
        return slots.change(directory, lambda now: after if now == before else now) == after
    except OSError as error:
        _say(f"{slots.folder_of(directory)} cannot be written: {error.strerror}")
        return False


def _ends_after(limit: timedelta) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, limit.total_seconds())


def _option(arguments: Sequence[str], name: str) -> str:
    for place, word in enumerate(arguments):
        if word == name:
            return "".join(arguments[place + 1 : place + 2])
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return ""


def _say(text: str) -> None:
    sys.stderr.write(f"forestall-agent: {text}\n")
