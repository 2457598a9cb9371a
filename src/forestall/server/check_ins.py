"""Hears many machines in one transaction: a question to the database for all of them, never one for each (P5.3)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from forestall import protocol
from forestall.domain.address import canonical_mac, read_address
from forestall.domain.brakes import force_at
from forestall.domain.campaign import Campaign
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.identity import HEARD, Certificate, Count, Recognition, Void
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.ring import Ring
from forestall.server.publishing import ordered
from forestall.server.recognition import Speaker, recognise, void
from forestall.server.rings import take_part
from forestall.server.trying import tried
from forestall.store import campaigns, devices, evidence, inventories, ledger, records, rings
from forestall.store.database import Connection
from forestall.store.devices import Contact
from forestall.store.evidence import Attempts, Observation


class Caller(NamedTuple):
    """A machine, by its certificate, and what it says."""

    certificate: Certificate
    message: protocol.CheckIn
    address: str = ""
    """From where its connection came."""


Reply = protocol.CheckInAnswer | Recognition | None
"""The answer; or why the machine is not heard; None where it speaks already in the same transaction."""


def hear(
    con: Connection, callers: Sequence[Caller], now: datetime, policy: Policy, published: int
) -> list[Reply]:
    """Hear callers whose certificates count, and answer each, in their order.

    What is then known is what it would be had they come one by one, by their ids. Of several callers that are one
    machine the first is heard: nobody makes a transaction long by talking a lot.
    """
    first: dict[DeviceId, Caller] = {}
    for caller in callers:
        first.setdefault(caller.certificate.device, caller)
    speakers = [Speaker(caller.certificate, _count(caller.message)) for caller in first.values()]
    verdicts = dict(zip(first, recognise(con, speakers, now), strict=True))
    messages = {device: first[device].message for device, verdict in verdicts.items() if verdict in HEARD}
    sources = {device: first[device].address for device in messages}
    answers = answer(con, messages, now, policy, published, sources)
    void(con, sorted(d for d, verdict in verdicts.items() if verdict is Recognition.CLONED), Void.CLONED, now)
    replies: dict[DeviceId, Reply] = {**verdicts, **answers}
    return [
        replies[device] if first[device := caller.certificate.device] is caller else None
        for caller in callers
    ]


def _count(message: protocol.CheckIn) -> Count:
    return Count(message.boot_id, message.sequence)


def answer(
    con: Connection,
    messages: Mapping[DeviceId, protocol.CheckIn],
    now: datetime,
    policy: Policy,
    published: int,
    sources: Mapping[DeviceId, str] | None = None,
) -> dict[DeviceId, protocol.CheckInAnswer]:
    """Take in what machines say, and tell each the names of its orders.

    `published` is the newest timestamp's version, `sources` from which address each connection came. Rows are locked
    machines first, then records, then the ledger, as everywhere.
    """
    if not messages:
        return {}
    machines = sorted(messages)
    came_from = sources or {}
    contacts = [_contact(device, messages[device], came_from.get(device, ""), now) for device in machines]
    devices.heard(con, contacts)
    said = _states(con, messages)
    evidence.take_all(con, _observations(said, now), now)
    tried(con, messages, said, now)
    take_part(con, {d: m.volunteers for d, m in messages.items() if m.volunteers is not None}, now)
    # What a restored backup says may have been taken back since (A12).
    orders = {} if ledger.unreplayed(con) else campaigns.ordered(con, machines, now)
    fleet = devices.count(con) if orders else 0
    listed = rings.of(con, list(orders)) if orders else {}
    known = inventories.reported_hashes(con, machines)
    return {
        device: protocol.CheckInAnswer(
            server_time=now,
            send_inventory=known.get(device) != message.inventory_sha256,
            next_check_seconds=int(policy.check_every.total_seconds()),
            published=published,
            hints=[
                protocol.OrderHint(
                    campaign.id,
                    offered_at,
                    _force_at(campaign, device, listed.get(device), fleet, now, policy),
                )
                for campaign, offered_at in orders.get(device, ())
                if ordered(campaign)
            ],
        )
        for device, message in messages.items()
    }


def _contact(device: DeviceId, message: protocol.CheckIn, source: str, now: datetime) -> Contact:
    """Note a word, with the address its connection came from where the machine says that it is its own."""
    claim = message.interface or protocol.Interface("")
    came_from = read_address(source)
    # One that is at the other end of the connection only is another's: the machine speaks through somebody.
    own = came_from is not None and came_from == read_address(claim.address)
    if came_from is None or not own or came_from.is_loopback or came_from.is_link_local:
        return Contact(device, now, message.agent_version, message.boot_id, message.sequence)
    return Contact(
        device, now, message.agent_version, message.boot_id, message.sequence,
        str(came_from), canonical_mac(claim.hardware),
    )  # fmt: skip


def _force_at(
    campaign: Campaign, device: DeviceId, ring: Ring | None, fleet: int, now: datetime, policy: Policy
) -> datetime:
    """Say when a machine may be forced; while a patch is tested never: always after its order has run out."""
    if campaign.deadline_at is None:
        return now + 2 * policy.order_valid_for
    return force_at(campaign, device, fleet, policy, last=ring is Ring.CRITICAL_LAST)


def _states(
    con: Connection, messages: Mapping[DeviceId, protocol.CheckIn]
) -> dict[CampaignId, dict[DeviceId, protocol.OrderState]]:
    """Sort what is said by campaign, of a machine's words on one the last; campaigns it is not in are left out."""
    speaking = [device for device, message in messages.items() if message.states]
    said = defaultdict[CampaignId, dict[DeviceId, protocol.OrderState]](dict)
    # Asked first: made-up names cost no query each.
    for campaign, device in records.memberships(con, speaking) if speaking else ():
        for state in reversed(messages[device].states):
            if state.campaign == campaign:
                said[campaign][device] = state
                break
    return dict(said)


def _observations(
    said: Mapping[CampaignId, Mapping[DeviceId, protocol.OrderState]], now: datetime
) -> dict[CampaignId, list[Observation]]:
    return {
        campaign: [_observation(device, state, now) for device, state in states.items()]
        for campaign, states in said.items()
    }


def _observation(device: DeviceId, state: protocol.OrderState, now: datetime) -> Observation:
    word = Evidence(Witness.AGENT, Status(state.status), now, _detail(state))
    return Observation(device, word, Attempts(state.failures, state.forced, state.forcing))


def _detail(state: protocol.OrderState) -> str:
    """Write down beside a machine's word what its person picked, and what keeps that moment from being used."""
    picked = f"its person picked {state.picked_at:%Y-%m-%d %H:%M %Z}" if state.picked_at is not None else ""
    in_use = f"in use: {', '.join(state.held_by)}" if state.held_by else ""
    return "; ".join(part for part in (state.detail, picked, in_use) if part)
