"""One restart for all that is due: whether, when, and never twice for the same (A6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from forestall.domain.order import Decision, Hold, Limits, Order, Restart, Step, Verb
from forestall.domain.rule import Condition, Rule, conditions


@dataclass(frozen=True, slots=True)
class Pending:
    """An update that is installed and not in force before a restart."""

    order: Order
    since: datetime
    returned_at: datetime | None = None
    """As in `order.Standing`."""
    units: frozenset[str] = frozenset()
    """Services that run its old code, and that may be started anew."""
    machine: bool = True
    """Something else waits for it, too: only a restart of the machine does."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What else bears on a restart now."""

    back_at: datetime | None = None
    """The end of the machine's last absence."""
    picked_at: datetime | None = None
    """The moment that the person picked for the restart."""
    holds: frozenset[Hold] = frozenset()
    restarted_for: frozenset[str] = frozenset()
    """What this machine was restarted for already; see `key_of`."""
    renewed_for: frozenset[str] = frozenset()
    """What its services were started anew for already."""
    asked_now: bool = False
    """The server was asked within the last minute, or asked just now in vain."""
    under_way: bool = False
    """The machine was told to restart, and has not done it yet."""


class Due(NamedTuple):
    """What one restart is for: of services, or of the machine."""

    pending: tuple[Pending, ...]
    services: bool

    @property
    def units(self) -> tuple[str, ...]:
        """List the services to be started anew."""
        return tuple(sorted({unit for each in self.pending for unit in each.units})) if self.services else ()


class Window(NamedTuple):
    """The countdown before the latest moment of a restart."""

    opens_at: datetime
    latest_at: datetime


class Facts(NamedTuple):
    """All that a rule may look at."""

    pending: bool
    """An update waits for a restart."""
    under_way: bool
    """The machine was told to restart, and has not done it yet."""
    allowed: bool
    """An order lets the agent restart the machine."""
    in_vain: bool
    """The machine was restarted for all of these already."""
    asked_now: bool
    come: bool
    """The moment has come: the latest one, or the one that was picked if nothing holds."""
    closing: bool
    """It is minutes away."""
    picked: bool
    """The moment that the person picked has come."""
    services: bool
    """Starting services anew does: no restart of the machine is due."""


def _when(**facts: bool) -> dict[str, Condition]:
    return conditions(Facts._fields, facts)


# fmt: off
RULES: tuple[Rule[Step], ...] = (
    Rule("no-restart",        "A6",   _when(pending=False),              Step.REST,          "no update waits for a restart"),
    Rule("restarting",        "A6",   _when(under_way=True),             Step.AWAIT_RESTART, "the restart is under way"),
    Rule("people-restart",    "A6",   _when(allowed=False),              Step.AWAIT_RESTART, "a person restarts the machine, or its services"),
    Rule("restarted-in-vain", "A6",   _when(in_vain=True),               Step.AWAIT_RESTART, "restarted, and still not in force: never twice for the same"),
    Rule("ask-first",         "A7",   _when(come=True, asked_now=False), Step.CHECK_IN,      "the server is asked right before a restart"),
    Rule("renew-services",    "A6",   _when(come=True, services=True),   Step.RESTART_SERVICES, "the services with the old code are started anew, the machine is not"),
    Rule("restart",           "A6",   _when(come=True),                  Step.RESTART,       "one restart for all that is due"),
    Rule("restart-soon",      "A6",   _when(closing=True),               Step.COUNT_DOWN,    "minutes until the restart: the person is told"),
    Rule("restart-in-use",    "P5.2", _when(picked=True),                Step.WAIT,          "the picked moment is a bad one: later, at the latest one at last"),
    Rule("restart-later",     "P5.2", _when(),                           Step.WAIT,          "the person picks the moment of the restart"),
)
"""All that an agent decides about a restart, in order: the first row that applies wins."""
# fmt: on


def next_restart(pending: Sequence[Pending], moment: Moment, now: datetime, limits: Limits) -> Decision:
    """Decide about the one restart for all; the earliest of their latest moments binds."""
    due = due_of(pending, moment)
    window = window_of(due, moment.back_at, limits)
    facts = facts_of(pending, due, window, moment, now, limits)
    rule = next(rule for rule in RULES if rule.applies(facts))
    return Decision(rule, _until(rule, window, moment, now, limits))


def due_of(pending: Sequence[Pending], moment: Moment) -> Due:
    """Find what is to be restarted: services, unless an order allows the machine's restart and only that does."""
    services = [
        each for each in pending if each.order.restart is not Restart.PERSON and _by_services(each, moment)
    ]
    machine = [
        each
        for each in pending
        if each.order.restart is Restart.DEADLINE and (each.machine or not _by_services(each, moment))
    ]
    untried = any(key_of(each.order) not in moment.restarted_for for each in machine)
    return Due(tuple(services), True) if services and not untried else Due(tuple(machine), False)


def _by_services(pending: Pending, moment: Moment) -> bool:
    return bool(pending.units) and key_of(pending.order) not in moment.renewed_for


def window_of(due: Due, back_at: datetime | None, limits: Limits) -> Window | None:
    """Say when the countdown begins and ends; None where only people restart this machine."""
    windows = [_window(each, back_at, limits) for each in due.pending]
    return min(windows, key=lambda each: each.latest_at, default=None)


def facts_of(
    pending: Sequence[Pending], due: Due, window: Window | None, moment: Moment, now: datetime, limits: Limits
) -> Facts:
    """Reduce instants to what the rules ask."""
    picked_at = moment.picked_at
    picked = picked_at is not None and now >= picked_at
    near = picked_at is not None and picked_at - limits.last_call <= now < picked_at
    return Facts(
        pending=bool(pending),
        under_way=moment.under_way,
        allowed=window is not None,
        in_vain=not due.services and {key_of(each.order) for each in due.pending} <= moment.restarted_for,
        asked_now=moment.asked_now,
        come=window is not None and (now >= window.latest_at or (picked and not moment.holds)),
        closing=near or (window is not None and now >= window.opens_at),
        picked=picked,
        services=due.services,
    )


def key_of(order: Order) -> str:
    """Name what a machine is restarted for: a campaign's version, or the way back from it."""
    back = " back" if order.verb is Verb.UNDO else ""
    return f"{order.campaign} {order.version}{back}"


def _window(pending: Pending, back_at: datetime | None, limits: Limits) -> Window:
    """Nobody is restarted before the deadline, nor without a countdown that was there to be seen."""
    order = pending.order
    wait = limits.last_call if order.imminent else limits.countdown
    instants = [order.force_at, pending.since + wait]
    if pending.returned_at is not None:
        instants.append(pending.returned_at + wait)
    if back_at is not None:
        instants.append(back_at + limits.last_call)
    latest_at = max(instants)
    return Window(latest_at - wait, latest_at)


def _until(
    rule: Rule[Step], window: Window | None, moment: Moment, now: datetime, limits: Limits
) -> datetime | None:
    if window is None:
        return None
    ahead = moment.picked_at if moment.picked_at is not None and moment.picked_at > now else window.latest_at
    match rule.name:
        case "restart-soon":
            return min(ahead, window.latest_at)
        case "restart-in-use":
            return window.opens_at
        case "restart-later":
            return min(ahead - limits.last_call, window.opens_at)
        case _:
            return None
