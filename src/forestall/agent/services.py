"""Services that ran before an installation and have failed since: is the machine still stable? (P4.2)."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from forestall.agent.memory import Agent, Memory
from forestall.agent.program import CLEAN_ENVIRONMENT, run
from forestall.agent.state import Held
from forestall.domain.units import Unit
from forestall.protocol import MAX_SERVICES

SHOW = (
    "/usr/bin/systemctl",
    "show",
    "--property=Id,ActiveState,UnitFileState,Job,Type,KillMode,RefuseManualStop",
    "*.service",
)
"""Every service that systemd has loaded; a machine without systemd says nothing."""
_LIMIT = timedelta(seconds=30)
_MOST_SAID = 2**20
_MOST_REMEMBERED = 512
_LONGEST_NAME = 255
"""systemd takes no longer ones (systemd.unit(5))."""
_WATCHED = timedelta(days=1)
"""What fails later than that after an installation is not laid at its door; what failed before is watched on."""
_STARTED_AT_BOOT = frozenset({"enabled", "enabled-runtime", "generated"})


class Service(NamedTuple):
    """How a service stands."""

    active: str
    """`active`, `inactive`, `failed`, or on its way: `activating`, `deactivating`, `reloading`."""
    meant: bool
    """It is started at every boot; others come and go as they are needed."""
    coming: bool
    """A job waits for it: at boot it is still to be started."""
    unit: Unit
    """What decides whether it may be started anew (A6)."""


def read(text: str) -> dict[str, Service]:
    """Read what `SHOW` prints: a block of `KEY=VALUE` a service; what is no such block is passed over."""
    found: dict[str, Service] = {}
    for block in text.split("\n\n"):
        said = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name = said.get("Id", "")
        if 0 < len(name) <= _LONGEST_NAME and name.isprintable():
            meant = said.get("UnitFileState", "") in _STARTED_AT_BOOT
            refuses = said.get("RefuseManualStop", "no") != "no"
            unit = Unit(name, said.get("Type", ""), said.get("KillMode", ""), refuses)
            found[name] = Service(said.get("ActiveState", ""), meant, bool(said.get("Job")), unit)
    return found


def down(ran: Iterable[str], now: Mapping[str, Service]) -> list[str]:
    """Name those of `ran` that have failed, or have stopped though they start at every boot; sorted, bounded.

    One that is gone or no longer enabled was taken away on purpose, one that ends when nobody needs it has not failed.
    """
    found = ((name, now[name]) for name in sorted(ran) if name in now)
    bad = [name for name, service in found if not service.coming and _stopped(service)]
    return bad[:MAX_SERVICES]


def _stopped(service: Service) -> bool:
    return service.active == "failed" or (service.active == "inactive" and service.meant)


def note_before(memory: Memory, held: Held) -> None:
    """Remember what runs before an installation; what a failed one before it broke is not forgotten."""
    now = look(memory.agent)
    running = {name for name, service in now.items() if service.active == "active"}
    held.ran = sorted({*held.ran, *running})[:_MOST_REMEMBERED]


def note_after(memory: Memory, held: Held) -> None:
    """See what an installation has broken; that is laid at no other order's door."""
    now = look(memory.agent)
    _take(memory, held, now)
    for other in memory.state.held.values():
        if other is not held:
            other.ran = _without(other.ran, set(held.services) - set(other.services))


def watch(memory: Memory) -> None:
    """See whether what ran before recent installations still runs, or runs again."""
    watched = [held for held in memory.state.held.values() if held.ran and _recent(memory, held)]
    if watched:
        now = look(memory.agent)
        for held in watched:
            _take(memory, held, now)


def _recent(memory: Memory, held: Held) -> bool:
    return bool(held.services) or (
        held.installed_at is not None and memory.now() - held.installed_at <= _WATCHED
    )


def _take(memory: Memory, held: Held, now: Mapping[str, Service]) -> None:
    failed = down(held.ran, now)
    if now and failed != held.services:
        held.services = failed
        event = "services have failed since the installation" if failed else "the services run again"
        memory.note(event, held, detail=", ".join(failed))


def _without(names: Iterable[str], gone: Collection[str]) -> list[str]:
    return [name for name in names if name not in gone]


def look(agent: Agent) -> Mapping[str, Service]:
    """Ask systemd; nothing where this root is not the machine itself, or systemd does not answer."""
    if not agent.services:
        return {}
    ran = run(CLEAN_ENVIRONMENT, agent.services, _LIMIT, most=_MOST_SAID)
    return read(ran.output) if ran.status == 0 else {}
