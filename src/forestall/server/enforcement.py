"""Takes machines off the network and lets them back: intents in, receipts out (P6.4, P6.5).

Right before a machine is closed everything is asked once more: has somebody broken the glass, is it protected by now,
where is it really. What a point answers becomes the receipt.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from forestall.clock import stopwatch
from forestall.domain import address
from forestall.domain.action import Action
from forestall.domain.device import Device, DeviceId
from forestall.domain.intent import Intent
from forestall.domain.record import Outcome, Receipt
from forestall.network.enforcement import Pace, Removed, look_at, remove, restore
from forestall.network.ours import ours
from forestall.network.point import LATER, Point, Reason, Refusal, Target, listed, serves
from forestall.network.snmp import Engines
from forestall.server.effects import Effects
from forestall.server.network_file import points_of, protected_of
from forestall.server.settings import Settings
from forestall.store import devices
from forestall.store.database import Database

STOPPED = "enforcement-stopped"
"""A file of this name in the server's directory: somebody broke the glass, and nothing is closed until it is gone."""
_T = TypeVar("_T")
_CALL_SECONDS = 30.0
"""For the machines of one turn; what is not reached in it is left to the next."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """The enforcement points of an installation, and how far they may be used."""

    points: tuple[Point, ...]
    directory: Path
    simulate: bool = True
    protected: frozenset[str] = frozenset()
    pace: Pace = field(default_factory=lambda: Pace(10))
    engines: Engines = field(default_factory=Engines)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    """One event loop for all conversations; used from one thread at a time."""

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Talk to points."""
        return self.runner.run(work)

    def close(self) -> None:
        """End all conversations."""
        self.engines.close()
        self.runner.close()

    @property
    def stop_file(self) -> Path:
        """Where it is written that somebody broke the glass."""
        return self.directory / STOPPED

    @property
    def stopped(self) -> bool:
        """Whether somebody broke the glass."""
        return self.stop_file.exists()

    def effects(self, database: Database) -> Effects:
        """Give what can be done to the network; nothing where no point is named."""
        if not self.points:
            return {}
        return {
            Action.QUARANTINE: lambda intents, now: self.quarantine(database, intents, now),
            Action.RELEASE: lambda intents, now: self.release(database, intents, now),
        }

    def quarantine(self, database: Database, intents: Sequence[Intent], now: datetime) -> list[Receipt]:
        """Take machines off, one after the other."""
        known, protected = self.gather(database, [intent.device for intent in intents])
        return self.run(self._quarantine([target_of(each, known) for each in intents], protected, now))

    async def _quarantine(
        self, targets: Sequence[Target], protected: frozenset[str], now: datetime
    ) -> list[Receipt]:
        end = stopwatch() + _CALL_SECONDS
        receipts: list[Receipt] = []
        for target in targets:
            if stopwatch() > end:
                receipts.append(Receipt(Outcome.FAILED, now, "the points before it took too long; next turn"))
            else:
                receipts.append(receipt_of(await self.take_off(target, protected), now, "closed"))
        return receipts

    async def take_off(self, target: Target, protected: frozenset[str]) -> Removed | Refusal:
        """Take one machine off, if nothing speaks against it."""
        if self.stopped:
            why = "the glass was broken: forestall network resume lets enforcement go on"
            return Refusal(Reason.STOPPED, str(self.stop_file), why)
        return await remove(self.points, target, protected, self.pace, simulate=self.simulate)

    def release(self, database: Database, intents: Sequence[Intent], now: datetime) -> list[Receipt]:
        """Let machines back; what was closed is opened in every mode."""
        known = self.gather(database, [intent.device for intent in intents])[0]
        return self.run(self._release([target_of(each, known) for each in intents], now))

    async def _release(self, targets: Sequence[Target], now: datetime) -> list[Receipt]:
        serving = [point for point in self.points if any(serves(point, target.site) for target in targets)]
        receipts: list[Receipt] = []
        for target in targets:
            here = [point for point in serving if serves(point, target.site)]
            sights = await look_at(here, marks_only=True)
            result = await restore(here, target, sights)
            receipts.append(receipt_of(result, now, "opened"))
        return receipts

    def gather(
        self, database: Database, wanted: Sequence[DeviceId]
    ) -> tuple[dict[DeviceId, Device], frozenset[str]]:
        """Read the machines, and the addresses of all that are never removed."""
        with database.begin() as con:
            known = devices.some(con, wanted)
            protected = {each for device in devices.protected(con) for each in device.addresses}
        return known, self.protected | frozenset(filter(None, map(address.canonical, protected)))


def enforcement_of(settings: Settings) -> Enforcement:
    """Put together what the settings name.

    Raises:
        InputError: a point, an address or a file of secrets that cannot be used.
    """
    table = settings.network
    towards = [each.address for each in table.points if hasattr(each, "address")]
    engines = Engines()
    points = points_of(table, settings.directory, ours(towards) if table.points else frozenset(), engines)
    return Enforcement(
        points=tuple(points),
        directory=settings.directory,
        simulate=table.mode == "simulate",
        protected=protected_of(table),
        pace=Pace(table.closes_a_minute),
        engines=engines,
    )


def target_of(intent: Intent, known: dict[DeviceId, Device]) -> Target:
    """Describe the machine of an intent with all its addresses; one that is unknown by now has none."""
    device = known.get(intent.device)
    if device is None:
        return Target(intent.device, intent.campaign, intent.site)
    return Target(device.id, intent.campaign, device.site, device.addresses, device.protected)


def receipt_of(result: Removed | Refusal, now: datetime, word: str) -> Receipt:
    """Write down what became of it; what may be otherwise in a minute is tried again."""
    if isinstance(result, Removed):
        acted = [plan for plan in result.plans if plan.steps]
        return Receipt(Outcome.DONE, now, f"{word}: {listed(acted)}" if acted else f"was {word} already")
    outcome = Outcome.FAILED if result.reason in LATER else Outcome.REFUSED
    return Receipt(outcome, now, str(result))
