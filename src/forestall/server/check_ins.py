"""Hears many machines in one transaction: a question to the database for all of them, never one for each (P5.3)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from forestall import protocol
from forestall.domain.brakes import force_at
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.server.publishing import ordered
from forestall.store import campaigns, devices, enrolment, evidence, inventories, ledger, records
from forestall.store.database import Connection
from forestall.store.devices import Contact
from forestall.store.evidence import Attempts, Observation


class Caller(NamedTuple):
    """A machine as it says it is, and what it says."""

    device: DeviceId
    secret: str
    message: protocol.CheckIn


class Unheard(StrEnum):
    """Why a caller was not listened to."""

    STRANGER = "stranger"
    """The credential is not ours."""
    REPEATED = "repeated"
    """The same machine speaks already in this transaction."""


Reply = protocol.CheckInAnswer | Unheard


def hear(
    con: Connection, callers: Sequence[Caller], now: datetime, policy: Policy, published: int
) -> list[Reply]:
    """Hear callers whose credentials are good, and answer each, in their order.

    What is then known is what it would be had they come one by one, by their ids. Of several callers that are one
    machine the first is heard: nobody makes a transaction long by talking a lot.
    """
    good = enrolment.all_authentic(con, [(caller.device, caller.secret) for caller in callers])
    messages: dict[DeviceId, protocol.CheckIn] = {}
    replies: list[Unheard | None] = []
    for caller, known in zip(callers, good, strict=True):
        unheard = _unheard(caller, known, messages)
        if unheard is None:
            messages[caller.device] = caller.message
        replies.append(unheard)
    answers = answer(con, messages, now, policy, published)
    return [reply or answers[caller.device] for reply, caller in zip(replies, callers, strict=True)]


def _unheard(caller: Caller, known: bool, heard: Mapping[DeviceId, object]) -> Unheard | None:
    if not known:
        return Unheard.STRANGER
    return Unheard.REPEATED if caller.device in heard else None


def answer(
    con: Connection,
    messages: Mapping[DeviceId, protocol.CheckIn],
    now: datetime,
    policy: Policy,
    published: int,
) -> dict[DeviceId, protocol.CheckInAnswer]:
    """Take in what machines say, and tell each the names of its orders; `published` is the newest timestamp's version.

    Rows are locked machines first, then records, then the ledger, as everywhere.
    """
    if not messages:
        return {}
    machines = sorted(messages)
    devices.heard(con, [_contact(device, messages[device], now) for device in machines])
    evidence.take_all(con, _observations(con, messages, now), now)
    # What a restored backup says may have been taken back since (A12).
    orders = {} if ledger.unreplayed(con) else campaigns.ordered(con, machines, now)
    fleet = devices.count(con) if orders else 0
    known = inventories.reported_hashes(con, machines)
    return {
        device: protocol.CheckInAnswer(
            server_time=now,
            send_inventory=known.get(device) != message.inventory_sha256,
            next_check_seconds=int(policy.check_every.total_seconds()),
            published=published,
            hints=[
                protocol.OrderHint(campaign.id, offered_at, force_at(campaign, device, fleet, policy))
                for campaign, offered_at in orders.get(device, ())
                if ordered(campaign)
            ],
        )
        for device, message in messages.items()
    }


def _contact(device: DeviceId, message: protocol.CheckIn, now: datetime) -> Contact:
    return Contact(device, now, message.agent_version, message.boot_id, message.sequence)


def _observations(
    con: Connection, messages: Mapping[DeviceId, protocol.CheckIn], now: datetime
) -> dict[CampaignId, list[Observation]]:
    """Sort what is said by campaign, of a machine's words on one the last; campaigns it is not in are left out."""
    speaking = [device for device, message in messages.items() if message.states]
    said = defaultdict[CampaignId, list[Observation]](list)
    # Asked first: made-up names cost no query each.
    for campaign, device in records.memberships(con, speaking) if speaking else ():
        for state in reversed(messages[device].states):
            if state.campaign == campaign:
                said[campaign].append(_observation(device, state, now))
                break
    return dict(said)


def _observation(device: DeviceId, state: protocol.OrderState, now: datetime) -> Observation:
    word = Evidence(Witness.AGENT, Status(state.status), now, _detail(state))
    return Observation(device, word, Attempts(state.failures, state.forced, state.forcing))


def _detail(state: protocol.OrderState) -> str:
    """Write down beside a machine's word what its person picked, and what keeps that moment from being used."""
    picked = f"its person picked {state.picked_at:%Y-%m-%d %H:%M %Z}" if state.picked_at is not None else ""
    in_use = f"in use: {', '.join(state.held_by)}" if state.held_by else ""
    return "; ".join(part for part in (state.detail, picked, in_use) if part)
