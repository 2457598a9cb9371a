"""One pass of the agent: gather, decide by the rule table, apply; what a person asks for goes the same way."""

import hashlib
import importlib.metadata
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from forestall import protocol
from forestall.agent import client, identity, journal, orders, schedule, state, trust
from forestall.agent.client import NoAnswer, Server, server_at
from forestall.agent.debian import Debian
from forestall.agent.identity import Identity
from forestall.agent.installers import apt
from forestall.agent.installers.outcome import Outcome
from forestall.agent.journal import Entry
from forestall.agent.sight import Sight, look, packages_of, report_of, status_on
from forestall.agent.state import Held, State
from forestall.clock import utc_now
from forestall.domain.authority import agreed_time
from forestall.domain.evidence import Status
from forestall.domain.order import Decision, Limits, Standing, Step, Verb, came_back, next_step
from forestall.trust.verifier import Reason

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_INSTALLED = {Status.FIXED, Status.PENDING_RESTART}
_OPEN = {Status.AFFECTED, Status.UNKNOWN}


def _spread() -> float:
    return secrets.randbelow(2**24) / 2**24


@dataclass(slots=True)
class Agent:
    """The agent of one Debian root; `clock` and `spread` are arguments so that nothing else reads them."""

    directory: Path
    debian: Debian
    identity: Identity
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], datetime] = utc_now
    spread: Callable[[], float] = _spread

    def run_pass(self, *, ask: bool = False) -> State:
        """Do all that is due now; `ask` checks in even where it is not yet time."""
        with state.alone(self.directory):
            work = _Pass(self)
            work.check_in_if_due(ask=ask)
            work.settle()
            work.check_in_if_due(ask=False)
            work.end()
            return work.state

    def install_chosen(self, campaign: str | None) -> list[tuple[Held, Outcome]]:
        """Install what the person picked: one campaign, or all that is offered (P5.2)."""
        with state.alone(self.directory):
            work = _Pass(self)
            work.check_in_if_due(ask=True)
            outcomes = [(held, work.install(held, chosen=True)) for held in work.offered(campaign)]
            work.settle()
            work.check_in_if_due(ask=False)
            work.end()
            return outcomes


class _Pass:
    """One pass under the lock: the state as read, the machine as seen."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._directory = agent.directory
        self._server: Server = server_at(agent.identity.server)
        self._trust = trust.load(agent.directory, self._server)
        self.state, complaint = state.load(agent.directory)
        self._unanswered = False
        if complaint:
            self._note("state set aside", detail=complaint)
        if self.state.installing:
            self._repair()
        self._see()

    def now(self) -> datetime:
        """Read the time as the server has it: the deadline is the server's, not this clock's."""
        return self._agent.clock() + timedelta(seconds=self.state.skew_seconds)

    def end(self) -> None:
        """Remember the pass."""
        self.state.passed_at = self.now()
        state.save(self._directory, self.state)

    def offered(self, campaign: str | None) -> list[Held]:
        """List the orders that a person may carry out now."""
        return [
            held
            for held in self.state.held.values()
            if campaign in {None, held.order.campaign}
            and held.order.verb == Verb.UPGRADE
            and held.status in _OPEN
            and self.now() < held.order.expires_at
        ]

    # -- gather -----------------------------------------------------------------------------------------------

    def _see(self) -> None:
        self.sight: Sight = look(self._agent.debian)
        for held in self.state.held.values():
            self._observe(held)

    def _observe(self, held: Held) -> None:
        order, now = orders.order_of(held.order), self.now()
        status, reason = status_on(order, self.sight, self._agent.debian)
        if held.status == Status.AFFECTED and status in _INSTALLED and not held.forced:
            held.chosen, held.installed_at = True, held.installed_at or now
        held.status, held.detail = status, reason
        if status in _INSTALLED:
            held.failures, held.failed_at, held.problem = 0, None, ""
        passed_at = self.state.passed_at
        if held.returned_at is None and came_back(order, held.held_since, passed_at, now, self._agent.limits):
            held.returned_at = now

    def _repair(self) -> None:
        outcome = apt.repair(self._agent.debian, self._transcript)
        self._note("repair", detail=outcome.detail)
        self.state.installing = not outcome.done
        state.save(self._directory, self.state)

    # -- the server -------------------------------------------------------------------------------------------

    def check_in_if_due(self, *, ask: bool) -> None:
        """Check in when it is time, when something changed since the last report, or when asked to."""
        due = self.state.next_check_at is None or self.now() >= self.state.next_check_at
        news = self.state.silent_checks == 0 and self._digest() != self.state.reported
        if ask or due or news:
            self._check_in()

    def _check_in(self) -> None:
        self.state.sequence += 1
        state.save(self._directory, self.state)  # a sequence number is never used twice, whatever happens
        credential = identity.authorization(self._agent.identity)
        digest = self._digest()
        answer = client.check_in(self._server, credential, self._report())
        if isinstance(answer, NoAnswer):
            self._fell_silent(answer)
            # A recall reaches this machine while anybody serves the signed files, the server or a mirror.
            if self._read_orders([held.hint for held in self.state.held.values()], 0):
                self.state.checked_at = self.now()
            return
        self._heard(answer, digest)
        if answer.send_inventory:
            failed = client.put_inventory(self._server, credential, report_of(self.sight))
            if failed is not None:
                self.state.last_problem = failed.reason

    def _heard(self, answer: protocol.CheckInAnswer, digest: str) -> None:
        found = self.state
        own = self._agent.clock()
        found.skew_seconds = (agreed_time(own, answer.server_time) - own).total_seconds()
        found.silent_checks, found.last_problem = 0, ""
        found.reported = digest
        found.next_check_at = self.now() + schedule.after_answer(timedelta(seconds=answer.next_check_seconds))
        if answer.server_time > self.now():
            behind = answer.server_time - own
            found.last_problem = f"this machine's clock is {behind} behind the server's: set it right"
        if self._read_orders(answer.hints, answer.published):
            found.checked_at = self.now()
        else:
            self._fell_silent(NoAnswer(f"signed files refused: {self._trust.refusals[-1]}"))
        state.save(self._directory, found)

    def _read_orders(self, hints: list[protocol.OrderHint], published: int) -> bool:
        """Take in what is signed now; where nothing can be verified, the last valid orders stay."""
        found, now = self.state, self.now()
        fresh = self._trust.refresh(now, published)
        if not fresh:
            for refusal in self._trust.refusals:
                if refusal.reason is not Reason.UNREACHABLE or not self._unanswered:
                    self._note("signed files refused", detail=str(refusal))
            return False
        accepted = orders.accept(hints, found.held, self._trust, self._agent.identity.device, now)
        for sentence in accepted.refused:
            self._note("order refused", detail=sentence)
        found.held = accepted.held
        for held in found.held.values():
            self._observe(held)
        return True

    def _fell_silent(self, answer: NoAnswer) -> None:
        self._unanswered = True
        pause = schedule.after_silence(self.state.silent_checks, answer.retry_after, self._agent.spread())
        if self.state.silent_checks == 0:
            self._note("no answer", detail=answer.reason)
        self.state.silent_checks += 1
        self.state.last_problem = answer.reason
        self.state.next_check_at = self.now() + pause

    def _report(self) -> protocol.CheckIn:
        return protocol.CheckIn(
            agent_version=importlib.metadata.version("forestall"),
            boot_id=_BOOT_ID.read_text().strip(),
            sequence=self.state.sequence,
            inventory_sha256=self.sight.sha256,
            states=[_state_of(held) for held in self.state.held.values()],
        )

    def _digest(self) -> str:
        states = [_state_of(held) for held in self.state.held.values()]
        return hashlib.sha256(self.sight.sha256.encode() + msgspec.json.encode(states)).hexdigest()

    # -- decide and apply -------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Go through the orders until each one waits for something."""
        tried: set[tuple[str, Step]] = set()
        campaigns = list(self.state.held)
        while campaigns:
            held = self.state.held.get(campaigns[0])
            if held is None or not self._step(held, tried):
                campaigns.pop(0)

    def _step(self, held: Held, tried: set[tuple[str, Step]]) -> bool:
        """Take one step about one order; tell whether there may be another."""
        decision = next_step(
            orders.order_of(held.order), self._standing(held), self.now(), self._agent.limits
        )
        self._decided(held, decision)
        if (held.order.campaign, decision.step) in tried:
            return False
        tried.add((held.order.campaign, decision.step))
        match decision.step:
            case Step.OFFER:
                held.offered_at = self.now()
            case Step.DOWNLOAD:
                self._download(held)
            case Step.CHECK_IN if not self._unanswered:
                self._check_in()
            case Step.FORCE:
                self.install(held, chosen=False)
            case _:
                return False
        return True

    def _standing(self, held: Held) -> Standing:
        return Standing(
            status=Status(held.status),
            offered=held.offered_at is not None,
            downloaded=held.downloaded,
            checked_at=self.state.checked_at,
            unanswered=self._unanswered,
            returned_at=held.returned_at,
            failed_at=held.failed_at,
        )

    def _decided(self, held: Held, decision: Decision) -> None:
        rule = decision.rule
        held.until, held.forcing = decision.until, decision.forcing
        if held.rule != rule.name:
            held.step, held.rule, held.paragraph = rule.then, rule.name, rule.paragraph
            self._note(rule.meaning, held)

    def _download(self, held: Held) -> None:
        names = packages_of(orders.order_of(held.order), self.sight)
        outcome = apt.download(self._agent.debian, names)
        held.downloaded = outcome.done
        held.problem = "" if outcome.done else outcome.detail
        self._note("downloaded" if outcome.done else "download failed", held, detail=outcome.detail)

    def install(self, held: Held, *, chosen: bool) -> Outcome:
        """Install, look, and believe only what is seen."""
        self.state.installing = True
        held.attempts += 1
        state.save(self._directory, self.state)
        names = packages_of(orders.order_of(held.order), self.sight)
        outcome = apt.install(self._agent.debian, names, self._transcript)
        self.state.installing = False
        held.forced = not chosen
        self._see()
        if held.status in _INSTALLED:
            held.installed_at = self.now()
            outcome = Outcome(True, outcome.detail)
        else:
            outcome = self._failed(held, outcome, chosen=chosen)
        event = ("installed" if outcome.done else "failed") + (" as chosen" if chosen else " by force")
        self._note(event, held, detail=outcome.detail)
        state.save(self._directory, self.state)
        return outcome

    def _failed(self, held: Held, outcome: Outcome, *, chosen: bool) -> Outcome:
        held.forced = False
        if outcome.done:
            outcome = Outcome(False, f"{outcome.detail}, yet {held.detail}")
        if not chosen:
            held.failures += 1
            held.failed_at = self.now()
        held.problem = outcome.detail
        return outcome

    @property
    def _transcript(self) -> Path:
        return self._directory / "installation.log"

    def _note(self, event: str, held: Held | None = None, detail: str = "") -> None:
        entry = Entry(self.now(), event, detail=detail)
        if held is not None:
            entry = Entry(self.now(), event, held.order.campaign, held.rule, held.paragraph, detail)
        journal.append(self._directory, entry)


def _state_of(held: Held) -> protocol.OrderState:
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
        detail=(held.problem or held.detail)[:2_000],
    )
