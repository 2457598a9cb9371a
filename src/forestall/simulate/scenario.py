"""What a simulated run is about: which campaigns, how long, and what comes in between."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from forestall.domain.policy import DAY, HOUR


class Name(StrEnum):
    """The scenarios one can ask for."""

    BLASTER = "blaster"
    IMMINENT = "imminent"
    SERVICE_PACK = "service-pack"


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


SCENARIOS = {
    Name.BLASTER: Scenario(Name.BLASTER, 8 * DAY),
    Name.IMMINENT: Scenario(Name.IMMINENT, 14 * DAY, imminent_after=4 * DAY + 7 * HOUR),
    Name.SERVICE_PACK: Scenario(
        Name.SERVICE_PACK, 8 * DAY, pack_after=11 * DAY, pack_period=21 * DAY, days=40
    ),
}


def squeezed(scenario: Scenario, days: int) -> Scenario:
    """Fit a scenario into fewer days, so that short runs see all of it too."""
    if days >= scenario.days:
        return scenario
    share = days / scenario.days
    return Scenario(
        scenario.name,
        scenario.voluntary_period * share,
        None if scenario.imminent_after is None else scenario.imminent_after * share,
        None if scenario.pack_after is None else scenario.pack_after * share,
        scenario.pack_period * share,
        days,
    )
