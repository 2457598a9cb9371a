"""What one pass knows: the state under its lock, the machine as seen, the time as the server has it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from forestall.agent import identity, journal, orders, state, trust
from forestall.agent.client import server_at
from forestall.agent.debian import Debian
from forestall.agent.identity import Identity
from forestall.agent.installers.installer import Installer, Installers
from forestall.agent.installers.packages import DebianPackages, RpmPackages
from forestall.agent.installers.recipes import Recipes
from forestall.agent.installers.steps import Machine
from forestall.agent.installers.windows import WindowsUpdates
from forestall.agent.journal import Entry
from forestall.agent.sight import Sight, look
from forestall.agent.state import Held, State
from forestall.agent.system import System
from forestall.agent.windows import Windows
from forestall.clock import utc_now
from forestall.domain.evidence import Status
from forestall.domain.order import Hold, Limits, Order, came_back
from forestall.domain.product import ProductName
from forestall.trust.verifier import Trust

INSTALLED = frozenset({Status.FIXED, Status.PENDING_RESTART})


def _spread() -> float:
    return secrets.randbelow(2**24) / 2**24


@dataclass(slots=True)
class Agent:
    """One root and what its agent goes by; nothing else reads a clock or draws lots than these two."""

    directory: Path
    system: System
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], datetime] = utc_now
    spread: Callable[[], float] = _spread
    holds: Callable[[], frozenset[Hold]] = frozenset
    """What keeps a picked moment from being used just now."""
    restart: tuple[str, ...] = ()
    """The fixed command that restarts the machine; none where this root is not the machine itself."""
    services: tuple[str, ...] = ()
    """The fixed command that says how its services stand; none where this root is not the machine itself."""
    renew: tuple[str, ...] = ()
    """The fixed command that starts the services anew whose names follow it; as above."""


class Memory:
    """The state as read, the machine as seen, and the journal."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.identity: Identity = identity.load(
            agent.directory
        )  # under the lock: it changes when it is renewed
        self.trust: Trust = trust.load(
            agent.directory, server_at(self.identity.server), self.identity.authority
        )
        self.installers: Installers = self._installers()
        self.state: State
        self.state, complaint = state.load(agent.directory)
        if complaint:
            self.note("state set aside", detail=complaint)

    def now(self) -> datetime:
        """Read the time as the server has it: the deadline is the server's, not this clock's."""
        return self.agent.clock() + timedelta(seconds=self.state.skew_seconds)

    def save(self) -> None:
        """Keep the state, whatever happens next."""
        state.save(self.agent.directory, self.state)

    def see(self) -> None:
        """Look at the machine, and at each order in this light."""
        self.sight: Sight = look(self.agent.system)
        for held in self.state.held.values():
            self.observe(held)

    def observe(self, held: Held) -> None:
        """Tell how the machine stands on one order; what a person installed by other ways counts as chosen."""
        order, now = orders.order_of(held), self.now()
        status, reason = self.installer(order).status(order, self.sight)
        if held.status == Status.AFFECTED and status in INSTALLED:
            held.chosen, held.installed_at = held.chosen or not held.forced, held.installed_at or now
        elif status not in INSTALLED:
            held.forced = False
        held.status, held.detail = status, reason
        if status in INSTALLED:
            held.failures, held.failed_at, held.problem = 0, None, ""
        passed_at = self.state.passed_at
        if held.returned_at is None and came_back(order, held.held_since, passed_at, now, self.agent.limits):
            held.returned_at = now

    def installer(self, order: Order) -> Installer:
        """Find the one way in which an order is carried out here."""
        return self.installers[order.product]

    def _installers(self) -> Installers:
        system = self.agent.system
        if isinstance(system, Windows):
            return {ProductName.WINDOWS: WindowsUpdates(system)}
        recipes = Recipes(Machine(system.path, self.agent.directory), self.trust, self.now)
        if isinstance(system, Debian):
            return {ProductName.DEBIAN: DebianPackages(system), ProductName.RECIPE: recipes}
        return {ProductName.RPM: RpmPackages(system), ProductName.RECIPE: recipes}

    def note(self, event: str, held: Held | None = None, detail: str = "") -> None:
        """Write one line into the journal."""
        entry = Entry(self.now(), event, detail=detail)
        if held is not None:
            entry = Entry(self.now(), event, held.order.campaign, held.rule, held.paragraph, detail)
        journal.append(self.agent.directory, entry)
