"""What the agent does to the machine: repair, download ahead, install; it believes only what it sees afterwards."""

from pathlib import Path

from forestall.agent import orders
from forestall.agent.installers import apt
from forestall.agent.installers.outcome import Outcome
from forestall.agent.memory import INSTALLED, Memory
from forestall.agent.sight import packages_of
from forestall.agent.state import Held


def repair(memory: Memory) -> None:
    """Finish what was cut off."""
    outcome = apt.repair(memory.agent.debian, _transcript(memory))
    memory.note("repair", detail=outcome.detail)
    memory.state.installing = not outcome.done
    memory.save()


def download(memory: Memory, held: Held) -> None:
    """Fetch what an order needs, and install nothing (P5.3)."""
    names = packages_of(orders.order_of(held.order), memory.sight)
    outcome = apt.download(memory.agent.debian, names)
    held.downloaded = outcome.done
    held.problem = "" if outcome.done else outcome.detail
    memory.note("downloaded" if outcome.done else "download failed", held, detail=outcome.detail)


def install(memory: Memory, held: Held, *, chosen: bool) -> Outcome:
    """Install, look, and believe only what is seen."""
    memory.state.installing = True
    held.attempts += 1
    memory.save()
    names = packages_of(orders.order_of(held.order), memory.sight)
    outcome = apt.install(memory.agent.debian, names, _transcript(memory))
    memory.state.installing = False
    held.forced = not chosen
    held.picked_at = None  # it is over, failed or not: then the person is asked anew
    memory.see()
    if held.status in INSTALLED:
        held.installed_at = memory.now()
        outcome = Outcome(True, outcome.detail)
    else:
        outcome = _failed(memory, held, outcome, chosen=chosen)
    event = ("installed" if outcome.done else "failed") + (" as chosen" if chosen else " by force")
    memory.note(event, held, detail=outcome.detail)
    memory.save()
    return outcome


def _failed(memory: Memory, held: Held, outcome: Outcome, *, chosen: bool) -> Outcome:
    held.forced = False
    if outcome.done:
        outcome = Outcome(False, f"{outcome.detail}, yet {held.detail}")
    if not chosen:
        held.failures += 1
        held.failed_at = memory.now()
    held.problem = outcome.detail
    return outcome


def _transcript(memory: Memory) -> Path:
    return memory.agent.directory / "installation.log"
