"""The one restart for all that is due: decided by its table, recorded, reported, then asked for (A6)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from forestall.agent import orders
from forestall.agent.contact import Contact, boot_id
from forestall.agent.memory import Memory
from forestall.agent.program import CLEAN_ENVIRONMENT, run
from forestall.agent.state import Held
from forestall.domain.order import Hold, Restart, Step
from forestall.domain.restart import Moment, Pending, key_of, next_restart, window_of

SHUTDOWN = ("/usr/sbin/shutdown", "-r", "+1")
"""A minute, in which it tells whoever works in a terminal."""
_LIMIT = timedelta(minutes=1)


def settle(memory: Memory, contact: Contact, holds: frozenset[Hold]) -> None:
    """Decide about the restart until it waits for something; what is due is done."""
    step = _decide(memory, contact, holds)
    if step is Step.CHECK_IN:
        if not contact.unanswered:
            contact.check_in()
        step = _decide(memory, contact, holds)
    if step is Step.RESTART:
        _restart(memory, contact)


def _decide(memory: Memory, contact: Contact, holds: frozenset[Hold]) -> Step:
    person, now, limits = memory.state.person, memory.now(), memory.agent.limits
    pending = [each for _, each in _pending(memory)]
    if not pending:
        person.restart_picked_at = None
    decision = next_restart(pending, _moment(memory, contact, holds), now, limits)
    window = window_of(pending, person.back_at, limits)
    person.restart_until, person.restart_latest_at = decision.until, window and window.latest_at
    if person.restart_rule != decision.rule.name:
        person.restart_rule, person.restart_step = decision.rule.name, decision.step
        if pending:
            memory.note(decision.rule.meaning)
    for held, _ in _pending(memory):
        held.held_by = sorted(holds) if decision.rule.name == "restart-in-use" else []
    return decision.step


def _pending(memory: Memory) -> Iterator[tuple[Held, Pending]]:
    for held in memory.state.held.values():
        if held.awaits_machine:
            order = orders.order_of(held)
            if not memory.agent.restart:  # this root is not the machine: nobody may restart it from here
                order = replace(order, restart=Restart.PERSON)
            yield held, Pending(order, held.installed_at or held.held_since, held.returned_at)


def _moment(memory: Memory, contact: Contact, holds: frozenset[Hold]) -> Moment:
    person = memory.state.person
    return Moment(
        back_at=person.back_at,
        picked_at=person.restart_picked_at,
        holds=holds,
        restarted_for=frozenset(person.restarted_for),
        asked_now=contact.asked_now,
        under_way=person.restarted_boot == boot_id(),
    )


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
