"""What a simulated run is about: which campaigns, how long, and what comes in between."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from forestall.domain.policy import DAY, HOUR


class Name(StrEnum):
    """The scenarios one can ask for."""

    BLASTER = "blaster"
    IMMINENT = "imminent"
    SERVICE_PACK = "service-pack"
    RINGS = "rings"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One or two campaigns and the threat between them; periods count from the publication."""

    name: Name
    voluntary_period: timedelta
    imminent_after: timedelta | None = None
    """An exploit appears so long after the distribution (P8.1)."""
    pack_after: timedelta | None = None
    """A service pack that contains the patch comes so long after the distribution (P7.2)."""
    pack_period: timedelta = timedelta()
    days: int = 16
    """How long it takes to see all of it."""
    rings: bool = False
    """The rings test the patch, and open one after the other (P4)."""
    breaks: bool = False
    """After the install a service does not start any more, on all machines but the team's."""


DRIVEN = (Name.BLASTER, Name.IMMINENT, Name.SERVICE_PACK)
"""Those in which people distribute, and everything else happens: thousands of companies live through them."""

SCENARIOS = {
    Name.BLASTER: Scenario(Name.BLASTER, 8 * DAY),
    Name.IMMINENT: Scenario(Name.IMMINENT, 14 * DAY, imminent_after=4 * DAY + 7 * HOUR),
    Name.SERVICE_PACK: Scenario(
        Name.SERVICE_PACK, 8 * DAY, pack_after=11 * DAY, pack_period=21 * DAY, days=40
    ),
    Name.RINGS: Scenario(Name.RINGS, 8 * DAY, rings=True),
    Name.BROKEN: Scenario(Name.BROKEN, 8 * DAY, rings=True, breaks=True),
}


def squeezed(scenario: Scenario, days: int) -> Scenario:
    """Fit a scenario into fewer days, so that short runs see all of it too."""
    if days >= scenario.days:
        return scenario
    share = days / scenario.days
    return replace(
        scenario,
        voluntary_period=scenario.voluntary_period * share,
        imminent_after=None if scenario.imminent_after is None else scenario.imminent_after * share,
        pack_after=None if scenario.pack_after is None else scenario.pack_after * share,
        pack_period=scenario.pack_period * share,
        days=days,
    )
