"""The decisions that the made-up company runs on, as one value: a planted fault replaces a part of it."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from forestall.domain import brakes, case, intent, order, plan, record
from forestall.domain.action import Action
from forestall.domain.brakes import Braked
from forestall.domain.case import Case, Moment
from forestall.domain.device import DeviceId
from forestall.domain.events import Event, Head
from forestall.domain.evidence import Evidence
from forestall.domain.intent import Intent
from forestall.domain.order import CampaignId, Decision
from forestall.domain.record import Receipt, Record
from forestall.domain.rule import Rule

Mark = tuple[DeviceId, CampaignId]
"""A closed port carries the mark of the campaign that closed it."""


def observing(ours: Head, outside: Head) -> str:
    """Say why only harmless things may happen: our ledger is shorter than its copy outside (R17)."""
    return "restored-backup" if ours.sequence < outside.sequence else ""


def fenced(epoch: int, newest: int) -> bool:
    """Say whether somebody else holds the lease by now (R12)."""
    return epoch != newest


def ledger_first(events: Sequence[Event]) -> tuple[Sequence[Event], Sequence[Event]]:
    """Split events into what is written together with the intents and what after the effect (R11)."""
    return events, ()


def server_time(now: datetime, _skew: timedelta) -> datetime:
    """Tell the agent's time: the server's at the last check-in, carried on by a clock that nobody sets (R19)."""
    return now


def read_ports(closed: AbstractSet[Mark]) -> AbstractSet[Mark] | None:
    """Read the switches; None would mean that their word is taken for it."""
    return closed


@dataclass(frozen=True, slots=True)
class Core:
    """Every function through which the company's fate is decided."""

    case_of: Callable[[Record, Moment], Case] = case.case_of
    decide: Callable[[Case], Rule[Action | None]] = plan.decide
    intend: Callable[[Record, Rule[Action | None], CampaignId, int], Intent | None] = intent.intend
    brake: Callable[..., Braked] = brakes.brake
    guard: Callable[[Action, Case], Rule[Action | None] | None] = plan.still_wanted
    after_evidence: Callable[[Record, Evidence], Record] = record.after_evidence
    after_intent: Callable[[Record, Action, datetime], Record] = record.after_intent
    after_receipt: Callable[[Record, Action, Receipt], Record] = record.after_receipt
    after_reading: Callable[[Record, bool, datetime], Record] = record.after_reading
    next_step: Callable[..., Decision] = order.next_step
    agent_time: Callable[[datetime, timedelta], datetime] = server_time
    observing: Callable[[Head, Head], str] = observing
    fenced: Callable[[int, int], bool] = fenced
    written: Callable[[Sequence[Event]], tuple[Sequence[Event], Sequence[Event]]] = ledger_first
    read_ports: Callable[[AbstractSet[Mark]], AbstractSet[Mark] | None] = read_ports
