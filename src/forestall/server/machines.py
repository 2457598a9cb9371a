"""What people decide about one machine: exempt it for a while (A1), protect it from removal (A8), hear it no more."""

from datetime import datetime, timedelta
from typing import NamedTuple

from forestall.domain.approval import Matter, Request
from forestall.domain.device import Device
from forestall.domain.duration import format_duration
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.identity import Void
from forestall.domain.order import CampaignId
from forestall.server.approvals import Waiting, put
from forestall.server.recognition import void
from forestall.server.steps import locked, person, sentence
from forestall.server.wiring import Installation
from forestall.store import approvals, devices, ledger, records
from forestall.store.approvals import Exemption
from forestall.store.database import Connection


class Terms(NamedTuple):
    """On what terms a machine is left alone."""

    period: timedelta
    reason: str
    control: str
    """What protects it instead."""


def ask_exemption(
    installation: Installation, machine: str, campaign: str, terms: Terms, by: str, now: datetime
) -> Waiting:
    """Ask to leave a machine alone in one campaign; somebody else approves, and it ends by itself (A1).

    Raises:
        InputError: the period is none or too long, the machine is not in the campaign, or something is not said.
    """
    policy = installation.policy
    if not timedelta() < terms.period <= policy.exemption_at_most:
        most = format_duration(policy.exemption_at_most)
        raise InputError(f"An exemption lasts {most} at most, counted from now (A1); ask again when it ends")
    by, reason = person(by), sentence(terms.reason, "why it is exempted")
    control = sentence(terms.control, "what protects it instead (--control)")
    with installation.database.begin() as con:
        device = the_machine(con, machine)
        request = Request(
            Matter.EXEMPT, CampaignId(campaign), by, now, now + policy.request_valid_for, subject=device.id,
            reason=reason, control=control, until=now + terms.period,
        )  # fmt: skip
        return put(con, request, now, policy)


def end_exemption(
    installation: Installation, machine: str, campaign: str, reason: str, by: str, now: datetime
) -> Device:
    """End an exemption before its time; one person may, because it only takes a privilege away.

    Raises:
        InputError: the machine is not exempt from that campaign now.
    """
    by, reason = person(by), sentence(reason, "why the exemption ends")
    with installation.database.begin() as con:
        device = the_machine(con, machine)
        name = locked(con, campaign).id
        found = records.some(con, name, [device.id])
        until = found[0].exempt_until if found else None
        if until is None or until <= now:
            raise InputError(f"{device.name} is not exempt from {name}. Who is: forestall exemptions")
        records.exempt(con, name, device.id, now)
        body: dict[str, JsonValue] = {"until": now.isoformat(), "reason": reason}
        event = Event(EventKind.EXEMPTED, by, device.id, name, paragraph="A1", body=body)
        ledger.append(con, [event], now)
    return device


def exemptions(installation: Installation, now: datetime, campaign: str = "") -> list[Exemption]:
    """List the exemptions in force, of one campaign or of all; those that end first come first."""
    with installation.database.begin() as con:
        return approvals.exemptions(con, now, campaign)


def protect(installation: Installation, machine: str, reason: str, by: str, now: datetime) -> Device:
    """Put a machine on the list of those that are never removed; one person suffices (A8).

    Raises:
        InputError: there is no such machine, or it is protected already.
    """
    by, reason = person(by), sentence(reason, "why it is protected")
    with installation.database.begin() as con:
        device = the_machine(con, machine)
        if device.protected:
            raise InputError(f"{device.name} is protected already")
        devices.protect(con, device.id, True)
        body: dict[str, JsonValue] = {"protected": True, "reason": reason}
        ledger.append(con, [Event(EventKind.PROTECTED, by, device.id, paragraph="A8", body=body)], now)
    return device


def ask_unprotect(installation: Installation, machine: str, reason: str, by: str, now: datetime) -> Waiting:
    """Ask to take a machine off the protected list; it stays on it until somebody else approves (A9).

    Raises:
        InputError: there is no such machine, or it is not protected.
    """
    by, reason = person(by), sentence(reason, "why it need not be protected")
    with installation.database.begin() as con:
        device = the_machine(con, machine)
        request = Request(
            Matter.PROTECT, CampaignId(""), by, now, now + installation.policy.request_valid_for,
            subject=device.id, reason=reason,
        )  # fmt: skip
        return put(con, request, now, installation.policy)


def revoke(installation: Installation, machine: str, reason: str, by: str, now: datetime) -> Device:
    """Hear a machine no more; one person suffices, because nothing else happens to it.

    Raises:
        InputError: there is no such machine, or it has no certificate that counts.
    """
    by, reason = person(by), sentence(reason, "why it is heard no more")
    with installation.database.begin() as con:
        device = the_machine(con, machine)
        if not void(con, [device.id], Void.REVOKED, now, by, reason):
            raise InputError(
                f"{device.name} has no certificate that counts: it was never enrolled, or is void already"
            )
    return device


def the_machine(con: Connection, name: str) -> Device:
    """Find the one machine of an id or name.

    Raises:
        InputError: there is none, or there are several of that name.
    """
    found = devices.find(con, name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"There is no machine “{name[:80]}”. List them: forestall devices")
    ids = ", ".join(device.id for device in found[:5])
    raise InputError(f"{len(found)} machines are called “{name[:80]}”; name one by its id: {ids}")
