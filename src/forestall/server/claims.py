"""Self-registration: a machine that nobody owns says whose it is, and the person named confirms it by mail (P6.1).

Which machine speaks is known by where it speaks from. A mail goes only to addresses of the company, and only so often.
"""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from forestall.domain.device import Device, OwnerSource
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.notice import MessageId, address_of
from forestall.domain.ownership import Became, Claim, ClaimId, judge_claim, judge_confirmation
from forestall.domain.policy import DAY, Policy
from forestall.domain.record import Outcome
from forestall.notify.letters import claim_letter
from forestall.notify.message import Envelope
from forestall.notify.smtp import Courier, Parcel
from forestall.server.links import CLAIM_PATH, Links
from forestall.server.mail_settings import MailSettings
from forestall.server.room import machine_behind
from forestall.store import claims, devices, ledger, notices
from forestall.store.database import Connection, Database

_AT_ONCE = 20
_LONGEST_ADDRESS = 254


@dataclass(frozen=True, slots=True)
class ClaimView:
    """What a machine is shown of itself: never whose it is, for anybody may sit at it."""

    name: str
    managed: bool
    owned: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the person named is shown."""

    name: str
    site: str
    address: str
    became: Became
    """What confirming would come to, or came to."""


@dataclass(frozen=True, slots=True)
class ClaimDesk:
    """Answers machines, and the people that they name."""

    database: Database
    policy: Policy
    links: Links
    domains: Collection[str]
    """Of these mail domains, and of no others, people may be named."""

    def view(self, ip: str) -> ClaimView | None:
        """Show the machine behind an address; None for an address that is nobody's."""
        with self.database.begin() as con:
            device = machine_behind(con, ip)
        return None if device is None else ClaimView(device.name, device.managed, bool(device.owner))

    def claim(self, ip: str, said: str, language: str, now: datetime) -> Became:
        """Take in whose the machine behind an address is said to be; the person is asked by mail."""
        address = self._of_the_company(said)
        with self.database.begin() as con:
            claims.lock(con)
            device = machine_behind(con, ip)
            counts = claims.counted(con, device.id, address, now - DAY) if device else (0, 0)
            became = judge_claim(device, address, *counts, self.policy)
            if became is Became.ASKED and device is not None:
                name = ClaimId(f"o-{secrets.token_hex(12)}")
                claims.put(con, Claim(name, device.id, address, language, now))
                body: dict[str, JsonValue] = {"claim": name, "address": address}
                event = Event(EventKind.CLAIMED, ip, device.id, paragraph="P6.1", body=body)
                ledger.append(con, [event], now)
        return became

    def see(self, token: str, now: datetime) -> Claimed | None:
        """Show what a link asks to be confirmed; None where it is not ours or has ended."""
        with self.database.begin() as con:
            found = self._find(con, token, now)
        return None if found is None else _shown(*found, now)

    def confirm(self, token: str, now: datetime) -> Claimed | None:
        """Make the person the machine's owner; None where the link is not ours or has ended."""
        with self.database.begin() as con:
            found = self._find(con, token, now)
            if found is None:
                return None
            claim, device = found
            shown = _shown(claim, device, now)
            if shown.became is Became.CONFIRMED and not device.owner:
                own(con, replace(device, owner=claim.address, language=claim.language), OwnerSource.SELF, now)
                claims.confirm(con, claim.id, now)
        return shown

    def _find(self, con: Connection, token: str, now: datetime) -> tuple[Claim, Device] | None:
        name = self.links.message(token, now)
        claim = claims.get(con, ClaimId(name)) if name else None
        device = devices.get(con, claim.device) if claim else None
        return None if claim is None or device is None else (claim, device)

    def _of_the_company(self, said: str) -> str:
        address = address_of(said.strip()[: _LONGEST_ADDRESS + 1])
        return address if address.rpartition("@")[2] in self.domains else ""


@dataclass(frozen=True, slots=True)
class ClaimPost:
    """Asks the people named."""

    database: Database
    mail: MailSettings
    links: Links
    policy: Policy
    clock: Callable[[], datetime]

    def hand_over(self, courier: Courier) -> int:
        """Hand over what waits, a few at a time; returns how many are over.

        Nothing is handed over where another process hands over mail.
        """
        with self.database.begin() as right:
            if not notices.alone(right):
                return 0
            now = self.clock()
            with self.database.begin() as con:
                waiting = claims.begin(con, now - self.policy.mail_given_up_after, now, _AT_ONCE)
                known = devices.some(con, [claim.device for claim in waiting])
            parcels = [self._parcel(claim, known[claim.device]) for claim in waiting]
            answers = courier.hand_over(parcels) if parcels else []
            # What may have arrived is not sent again: who got nothing is asked again by claiming again.
            told = [
                (claim.id, answer)
                for claim, answer in zip(waiting, answers, strict=True)
                if answer.outcome is not Outcome.FAILED or answer.doubtful
            ]
            with self.database.begin() as con:
                for name, answer in told:
                    claims.answered(con, [name], self.clock(), answer.detail)
        return len(told)

    def _parcel(self, claim: Claim, device: Device) -> Parcel:
        token = self.links.token(MessageId(claim.id), claim.asked_at)
        envelope = Envelope(claim.address, claim.language, claim.asked_at, message=claim.id)
        content = claim_letter(
            device.name, f"{self.mail.link_base}{CLAIM_PATH}{token}", envelope, self.mail.sender
        )
        return Parcel(self.mail.return_path, claim.address, content)


def own(con: Connection, device: Device, source: OwnerSource | None, now: datetime) -> None:
    """Note whose a machine is from now on, or that it is nobody's any more, with its entry in the ledger."""
    devices.own(con, device.id, device.owner, source, device.language, device.disowned)
    body: dict[str, JsonValue] = {
        "owner": device.owner, "source": source.value if source else None, "language": device.language,
        "disowned": device.disowned,
    }  # fmt: skip
    actor = device.owner or device.disowned
    ledger.append(con, [Event(EventKind.OWNED, actor, device.id, paragraph="P6.1", body=body)], now)


def _shown(claim: Claim, device: Device, now: datetime) -> Claimed:
    return Claimed(device.name, device.site, claim.address, judge_confirmation(claim, device, now))
