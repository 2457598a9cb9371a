"""What the agent does to the machine: repair, download ahead, install; it believes only what it sees afterwards."""

from pathlib import Path

from forestall.agent import channel, channel_rpm, orders, payloads, services
from forestall.agent.debian import Debian
from forestall.agent.installers.outcome import Outcome
from forestall.agent.memory import INSTALLED, Memory
from forestall.agent.rpm import Rpm
from forestall.agent.state import Held
from forestall.domain.order import Verb
from forestall.domain.product import ProductName
from forestall.domain.recipe import payload_in


def repair(memory: Memory) -> None:
    """Finish what was cut off."""
    outcomes = [each.repair(_transcript(memory)) for each in memory.installers.values()]
    memory.note("repair", detail="; ".join(dict.fromkeys(outcome.detail for outcome in outcomes)))
    memory.state.installing = not all(outcome.done for outcome in outcomes)
    memory.save()


def download(memory: Memory, held: Held) -> None:
    """Fetch what an order needs, and install nothing (P5.3)."""
    order = orders.order_of(held)
    outcome = memory.installer(order).download(order, memory.sight)
    held.downloaded = outcome.done
    held.problem = "" if outcome.done else outcome.detail
    memory.note("downloaded" if outcome.done else "download failed", held, detail=outcome.detail)
    memory.observe(held)  # what the payload itself is asked could not be asked before


def silence(memory: Memory) -> None:
    """Keep the native updater from what orders cover, and give the rest back to it (P5.5)."""
    match memory.agent.system:
        case Debian() as debian:
            outcome = channel.keep(debian, _covered(memory, ProductName.DEBIAN))
        case Rpm() as rpm:
            outcome = channel_rpm.keep(rpm, _covered(memory, ProductName.RPM))
        case _:
            return
    if not outcome.done and outcome.detail != memory.state.channel:
        memory.note("native updater not silenced", detail=outcome.detail)
    memory.state.channel = outcome.detail


def _covered(memory: Memory, product: ProductName) -> set[str]:
    """Name the packages here that orders are about."""
    orders_of_product = (held.order for held in memory.state.held.values() if held.order.product == product)
    sources = {order.source for order in orders_of_product if order.verb != Verb.RECALL}
    return {each.name for each in memory.sight.inventory.packages if each.source in sources}


def tidy(memory: Memory) -> None:
    """Remove payloads that no order needs any more."""
    needed = (payload_in(orders.order_of(held).recipe) for held in memory.state.held.values())
    payloads.forget(memory.agent.directory, {each.sha256 for each in needed if each is not None})


def install(memory: Memory, held: Held, *, chosen: bool) -> Outcome:
    """Install, look, and believe only what is seen."""
    memory.state.installing = True
    held.attempts += 1
    held.forced = not chosen  # before: what is cut off is finished at the next start
    services.note_before(memory, held)
    memory.save()
    order = orders.order_of(held)
    outcome = memory.installer(order).install(order, memory.sight, _transcript(memory))
    memory.state.installing = False
    held.picked_at = None  # it is over, failed or not: then the person is asked anew
    memory.see()
    services.note_after(memory, held)
    if held.status in INSTALLED:
        held.installed_at = memory.now()
        outcome = Outcome(True, outcome.detail)
    else:
        outcome = _failed(memory, held, outcome, chosen=chosen)
    done = "taken back" if order.verb is Verb.UNDO else "installed"
    event = (done if outcome.done else "failed") + (" as chosen" if chosen else " by force")
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
