"""Reads the tables of switches and routers by SNMP, many at a time, each within its own time; nothing is ever set."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from forestall.clock import stopwatch
from forestall.domain.device import SiteId
from forestall.network import snmp, switch_snmp
from forestall.network.seen import Seen, forwarded, neighbours, vlans_of
from forestall.network.snmp import V3, Engines, NoAnswer, V2c
from forestall.network.switch import SwitchRules

AT_ONCE = 32
"""Sources spoken to at the same time."""
MOST_SECONDS = 120.0
"""For all tables of one source; one that is not done by then is broken or hostile."""
_FDB_ID = "1.3.6.1.2.1.17.7.1.4.2.1.3"
_PHYSICAL_ADDRESS = "1.3.6.1.2.1.4.35.1.4"
_STATE = "1.3.6.1.2.1.4.35.1.7"


@dataclass(frozen=True, slots=True)
class TableSource:
    """A switch or router whose tables are read, with a login that need not be allowed more."""

    rules: SwitchRules
    """Its name, and which of its ports lead on."""
    address: str
    credential: V2c | V3
    site: SiteId
    port: int = snmp.PORT
    seconds: float = 2.0
    """For one answer."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.rules.name


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading one source."""

    name: str
    seen: Seen
    seconds: float
    trouble: str = ""


async def read_all(
    sources: Sequence[TableSource], engines: Engines, now: datetime, seconds: float = MOST_SECONDS
) -> list[Reading]:
    """Read sources, some at a time, in their order; one that is silent, slow or endless costs nobody else anything."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(source: TableSource) -> Reading:
        async with gate:
            began = stopwatch()
            try:
                async with asyncio.timeout(seconds):
                    seen, trouble = await _read(source, engines, now), ""
            except NoAnswer as silence:
                seen, trouble = Seen(), str(silence)
            except TimeoutError:
                seen, trouble = Seen(), f"its tables were not read to the end within {seconds:g} s"
            except Exception as error:  # noqa: BLE001 - what a stranger's tables do must not end the reading of others
                seen, trouble = (
                    Seen(),
                    f"its tables make no sense: {type(error).__name__}: {str(error)[:100]}",
                )
            return Reading(source.name, seen, stopwatch() - began, trouble)

    return list(await asyncio.gather(*map(one, sources)))


async def _read(source: TableSource, engines: Engines, now: datetime) -> Seen:
    session = await engines.session(source.address, source.port, source.credential, source.seconds, 3)
    names = (*switch_snmp.VIEWED, _FDB_ID, _PHYSICAL_ADDRESS, _STATE)
    # One after the other: a switch has a small processor, and other switches are asked meanwhile.
    tables = {name: await session.walk(name) for name in names}
    root, gateway = await session.get(switch_snmp.ROOT_PORT, switch_snmp.DEFAULT_ROUTE)
    view = switch_snmp.view_of(tables, root, gateway)
    vlans = vlans_of(tables[switch_snmp.VLAN_TABLE], tables[_FDB_ID])
    held = neighbours(tables[switch_snmp.ARP], tables[_PHYSICAL_ADDRESS], tables[_STATE], source.site, now)
    return Seen(tuple(forwarded(view, vlans, source.rules, source.site, now)), held.neighbours, held.stale)
