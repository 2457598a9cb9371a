"""The one restart for all that is due: decided by its table, recorded, reported, then done (A6).

Services that run the old code are started anew where that is enough, else the machine is restarted.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from forestall.agent import orders, services
from forestall.agent.contact import Contact, boot_id
from forestall.agent.installers.packages import DebianPackages, RpmPackages
from forestall.agent.memory import Memory
from forestall.agent.program import CLEAN_ENVIRONMENT, run
from forestall.agent.restarts import Holding
from forestall.agent.services import Service
from forestall.agent.state import Held
from forestall.domain import units
from forestall.domain.order import Hold, Order, Restart, Step
from forestall.domain.restart import Moment, Pending, due_of, key_of, next_restart, window_of

SHUTDOWN = ("/usr/sbin/shutdown", "-r", "+1")
"""A minute, in which it tells whoever works in a terminal."""
TRY_RESTART = ("/usr/bin/systemctl", "try-restart", "--")
"""What does not run is not started. The names of services follow."""
_LIMIT = timedelta(minutes=1)
_STOPPING = timedelta(minutes=10)
"""A service may take its time to stop in order; systemd has limits of its own."""
_SELF = "forestall-agent.service"


def settle(memory: Memory, contact: Contact, holds: frozenset[Hold]) -> None:
    """Decide about the restart until it waits for something; what is due is done."""
    step = _decide(memory, contact, holds)
    if step is Step.CHECK_IN:
        if not contact.unanswered:
            contact.check_in()
        step = _decide(memory, contact, holds)
    if step is Step.RESTART_SERVICES:
        _renew(memory)
        _decide(memory, contact, holds)  # what is left has a countdown of its own
    if step is Step.RESTART:
        _restart(memory, contact)


def _decide(memory: Memory, contact: Contact, holds: frozenset[Hold]) -> Step:
    person, now, limits = memory.state.person, memory.now(), memory.agent.limits
    waiting = list(_pending(memory))
    pending = [each for _, each in waiting]
    if not pending:
        person.restart_picked_at = None
    moment = _moment(memory, contact, holds)
    decision = next_restart(pending, moment, now, limits)
    due = due_of(pending, moment)
    window = window_of(due, person.back_at, limits)
    person.restart_until, person.restart_latest_at = decision.until, window and window.latest_at
    person.restart_units = list(due.units)
    if person.restart_rule != decision.rule.name:
        person.restart_rule, person.restart_step = decision.rule.name, decision.step
        if pending:
            memory.note(decision.rule.meaning)
    for held, _ in waiting:
        held.held_by = sorted(holds) if decision.rule.name == "restart-in-use" else []
    return decision.step


def _pending(memory: Memory) -> Iterator[tuple[Held, Pending]]:
    shown: Mapping[str, Service] | None = None
    for held in memory.state.held.values():
        if not held.awaits_machine:
            continue
        shown = services.look(memory.agent) if shown is None else shown
        order = orders.order_of(held)
        pending = _standing(memory, held, order, _holding(memory, order), shown)
        if pending is not None:
            yield held, pending


def _holding(memory: Memory, order: Order) -> Holding:
    """Find what it waits for; what no process tells of takes the machine."""
    installer = memory.installer(order)
    if isinstance(installer, DebianPackages | RpmPackages):
        return installer.holding(order, memory.sight)
    return Holding(machine=True)


def _standing(
    memory: Memory, held: Held, order: Order, holding: Holding, shown: Mapping[str, Service]
) -> Pending | None:
    """Say what one update waits for; nothing where it is only the agent, which starts itself anew."""
    others = [each for each in holding.processes if each.unit != _SELF and each.pid != os.getpid()]
    if not others and not holding.machine:
        return None
    person = memory.state.person
    if not memory.agent.restart:  # this root is not the machine: nobody may restart anything from here
        order = replace(order, restart=Restart.PERSON)
    since = held.installed_at or held.held_since
    if person.renewed_at is not None and key_of(order) in person.renewed_for:
        since = max(since, person.renewed_at)  # of the machine's restart nobody was told before
    may = {each.unit for each in others if each.unit in shown and not units.kept(shown[each.unit].unit)}
    rest = holding.machine or any(each.unit not in may for each in others)
    return Pending(order, since, held.returned_at, frozenset(may), rest)


def _moment(memory: Memory, contact: Contact, holds: frozenset[Hold]) -> Moment:
    person = memory.state.person
    return Moment(
        back_at=person.back_at,
        picked_at=person.restart_picked_at,
        holds=holds,
        restarted_for=frozenset(person.restarted_for),
        renewed_for=frozenset(person.renewed_for),
        asked_now=contact.asked_now,
        under_way=person.restarted_boot == boot_id(),
    )


def _renew(memory: Memory) -> None:
    """Write down what for, start the services anew, look at what is left: once for the same, whatever comes of it."""
    person, now = memory.state.person, memory.now()
    names = tuple(person.restart_units)
    keys = {key_of(each.order): set(names) & each.units for _, each in _pending(memory)}
    kept = {key for key in person.renewed_for if key in keys}
    person.renewed_for = sorted(kept | {key for key, its in keys.items() if its})
    person.renewed_at, person.restart_picked_at = now, None
    memory.save()
    ran = run(CLEAN_ENVIRONMENT, (*memory.agent.renew, *names), _STOPPING)
    said = "" if ran.status == 0 else f": {ran.errors or ran.output}"
    memory.note(
        "services started anew" if ran.status == 0 else "services not started anew",
        detail=f"{', '.join(names)}{said}",
    )
    memory.see()
    services.watch(memory)


def _restart(memory: Memory, contact: Contact) -> None:
    """Write down what for, tell the server, then ask for it: never twice for the same, whatever happens now."""
    person = memory.state.person
    person.restarted_for = sorted({key_of(each.order) for _, each in _pending(memory)})
    person.restarted_boot, person.restart_picked_at = boot_id(), None
    memory.save()
    contact.check_in_if_due()
    ran = run(CLEAN_ENVIRONMENT, memory.agent.restart, _LIMIT)
    if ran.status != 0:
        person.restarted_boot = ""  # then it is over, in vain, and a person looks
    memory.note("restart asked for" if ran.status == 0 else "restart failed", detail=ran.errors or ran.output)
    _decide(memory, contact, frozenset())
