"""The talk with the server: check in, take in what is signed, bear silence."""

import hashlib
import importlib.metadata
from datetime import datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from pathlib import Path

import msgspec

from forestall import protocol
from forestall.agent import client, identity, orders, schedule
from forestall.agent.client import NoAnswer
from forestall.agent.interface import interface_towards
from forestall.agent.memory import Memory
from forestall.agent.orders import Reader
from forestall.agent.sight import report_of
from forestall.agent.state import Held, Person
from forestall.domain.authority import agreed_time
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Status
from forestall.domain.identity import due
from forestall.domain.restart import key_of
from forestall.trust.device_key import new_key, request_for
from forestall.trust.verifier import Reason


def boot_id() -> str:
    """Name this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Contact:
    """What one pass says to the server and hears from it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._identity = memory.identity
        self._line = self._identity.line()
        self._trust = memory.trust
        self._silent_at: datetime | None = None
        """When the server was last asked in vain."""

    @cached_property
    def _interface(self) -> protocol.Interface | None:
        """What this pass speaks through; asked for once, because the name of a server that is away takes long."""
        return interface_towards(self._line.server.host, self._line.server.port)

    @property
    def unanswered(self) -> bool:
        """Say whether the server was asked just now and did not answer; after a minute it is asked anew (A7)."""
        return self._lately(self._silent_at)

    @property
    def asked_now(self) -> bool:
        """Say whether the server was asked within the last minute, in vain or not."""
        return self.unanswered or self._lately(self._memory.state.checked_at)

    def _lately(self, at: datetime | None) -> bool:
        fresh = self._memory.agent.limits.recall_check_fresh
        return at is not None and timedelta() <= self._memory.now() - at <= fresh

    def ask_again(self) -> None:
        """Check in, unless that was tried within the last minute: a recall may have come since (A7)."""
        if not self.asked_now:
            self.check_in()

    def check_in_if_due(self) -> None:
        """Check in when it is time, or when something changed since the last report."""
        found = self._memory.state
        due = found.next_check_at is None or self._memory.now() >= found.next_check_at
        if due or (found.silent_checks == 0 and self._digest() != found.reported):
            self.check_in()

    def check_in(self) -> None:
        """Report how the machine stands, and take in the orders that the answer names."""
        memory, found = self._memory, self._memory.state
        answer = self._say()
        if isinstance(answer, NoAnswer):
            # A recall reaches this machine while anybody serves the signed files, the server or a mirror.
            if self._read_orders([held.hint for held in found.held.values()], 0, answered=False):
                found.checked_at = memory.now()
            self._fell_silent(answer)  # from now on: a slow mirror does not use the minute up
            return
        self._heard(answer)
        if answer.send_inventory:
            failed = client.put_inventory(self._line, report_of(memory.sight))
            if failed is not None:
                found.last_problem = failed.reason

    def _say(self) -> protocol.CheckInAnswer | NoAnswer:
        """Say how the machine stands, with a certificate that is in its time and whose words are counted."""
        if not self._counted() or due(self._identity.certificate, self._memory.now()):
            failed = self._renew()
            if failed is not None and not self._counted():
                return failed
        answer = self._speak()
        if (
            isinstance(answer, NoAnswer)
            and answer.status == HTTPStatus.UNAUTHORIZED
            and self._renew() is None
        ):
            return self._speak()  # its end had come by the server's clock
        return answer

    def _counted(self) -> bool:
        """Say whether the state counts this certificate's words; one that was lost counts nobody's."""
        return self._memory.state.certificate == self._identity.serial

    def _speak(self) -> protocol.CheckInAnswer | NoAnswer:
        self._memory.state.sequence += 1
        self._memory.save()  # a sequence number is never used twice, whatever happens
        return client.check_in(self._line, self._report())

    def _renew(self) -> NoAnswer | None:
        """Change over to a new key and certificate; the old ones stay good until the new ones have spoken."""
        key = new_key()
        answer = client.renew(self._line, protocol.RenewRequest(request_for(key)))
        if isinstance(answer, NoAnswer):
            return answer
        renewed = identity.renew(self._identity, key, answer.certificate)
        if renewed is None:
            return NoAnswer("the server gave a certificate that is not for this machine's key")
        self._identity, self._line = renewed, renewed.line()
        self._memory.state.certificate, self._memory.state.sequence = renewed.serial, 0
        self._memory.note("certificate renewed", detail=f"until {renewed.certificate.ends_at:%Y-%m-%d}")
        self._memory.save()
        return None

    def _heard(self, answer: protocol.CheckInAnswer) -> None:
        memory, found = self._memory, self._memory.state
        own = memory.agent.clock()
        found.skew_seconds = (agreed_time(own, answer.server_time) - own).total_seconds()
        found.silent_checks, found.last_problem = 0, ""
        for held in found.held.values():
            held.broke = ""  # it is with the server now, which keeps it
        found.reported = self._digest()
        pause = schedule.after_answer(timedelta(seconds=answer.next_check_seconds))
        found.next_check_at = memory.now() + pause
        if answer.server_time > memory.now():
            behind = answer.server_time - own
            found.last_problem = f"this machine's clock is {behind} behind the server's: set it right"
        if self._read_orders(answer.hints, answer.published, answered=True):
            found.checked_at = memory.now()
        else:
            self._fell_silent(NoAnswer(f"signed files refused: {self._trust.refusals[-1]}"))
        memory.save()

    def _read_orders(self, hints: list[protocol.OrderHint], published: int, *, answered: bool) -> bool:
        """Take in what is signed now; where nothing can be verified, the last valid orders stay."""
        memory, now = self._memory, self._memory.now()
        if not self._trust.refresh(now, published):
            for refusal in self._trust.refusals:
                if refusal.reason is not Reason.UNREACHABLE or answered:
                    memory.note("signed files refused", detail=str(refusal))
            return False
        reader = Reader(DeviceId(self._identity.device), frozenset(memory.installers))
        accepted = orders.accept(hints, memory.state.held, self._trust, reader, now)
        for sentence in accepted.refused:
            memory.note("order refused", detail=sentence)
        memory.state.held = accepted.held
        for held in accepted.held.values():
            memory.observe(held)
        return True

    def _fell_silent(self, answer: NoAnswer) -> None:
        memory, found = self._memory, self._memory.state
        self._silent_at = memory.now()
        pause = schedule.after_silence(found.silent_checks, answer.retry_after, memory.agent.spread())
        if found.silent_checks == 0:
            memory.note("no answer", detail=answer.reason)
        found.silent_checks += 1
        found.last_problem = answer.reason
        found.next_check_at = memory.now() + pause

    def _report(self) -> protocol.CheckIn:
        return protocol.CheckIn(
            agent_version=importlib.metadata.version("forestall"),
            boot_id=boot_id(),
            sequence=self._memory.state.sequence,
            inventory_sha256=self._memory.sight.sha256,
            states=self._states(),
            volunteers=self._memory.state.person.volunteers,
            interface=self._interface,
        )

    def _digest(self) -> str:
        volunteers = self._memory.state.person.volunteers
        said = (self._memory.sight.sha256, self._states(), volunteers, self._interface)
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()

    def _states(self) -> list[protocol.OrderState]:
        person = self._memory.state.person
        return [_state_of(held, person) for held in self._memory.state.held.values()]


def _state_of(held: Held, person: Person) -> protocol.OrderState:
    pending = held.awaits_machine
    detail = held.problem or held.detail
    if pending and person.restart_rule == "restarted-in-vain":
        detail = f"restarted in vain: {detail}"
    elif pending and key_of(orders.order_of(held)) in person.renewed_for:
        detail = f"services started anew in vain: {detail}"
    return protocol.OrderState(
        campaign=held.order.campaign,
        revision=held.order.revision,
        status=held.status or Status.UNKNOWN,
        chosen=held.chosen,
        forced=held.forced,
        installed_at=held.installed_at,
        attempts=held.attempts,
        failures=held.failures,
        forcing=held.forcing,
        picked_at=person.restart_picked_at if pending else held.picked_at,
        held_by=held.held_by,
        detail=detail[:2_000],
        services=held.services,
        broke=held.broke,
    )
