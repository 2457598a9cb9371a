"""Rings: who gets a patch before whom, from the team that tests it to what the company cannot do without (P4.1)."""

from enum import StrEnum


class Ring(StrEnum):
    """A list of machines, from the inside out. Who is on no list is in the broad ring."""

    TEAM = "team"
    """The testers' own machines."""
    VOLUNTEERS = "volunteers"
    """Machines whose people join and leave by themselves."""
    EARLY = "early"
    BROAD = "broad"
    """Everybody else: opening it is the distribution (P4.4)."""
    CRITICAL_LAST = "critical-last"
    """What must not stop: offered after everybody else has had it, forced in the last wave."""


RINGS = tuple(Ring)
TESTERS = (Ring.TEAM, Ring.VOLUNTEERS)
"""Once they have answered, the patch is tested (P4.1)."""
LISTS = tuple(ring for ring in RINGS if ring is not Ring.BROAD)
"""The rings that are lists; a machine is on one at most."""


def up_to(ring: Ring | None) -> tuple[Ring, ...]:
    """List a ring and all inside it; none for none."""
    return RINGS[: RINGS.index(ring) + 1] if ring else ()


def beyond(ring: Ring) -> Ring | None:
    """Find the next ring outwards; None behind the last."""
    place = RINGS.index(ring) + 1
    return RINGS[place] if place < len(RINGS) else None


def volunteered(listed: Ring | None, *, joins: bool) -> Ring | None:
    """Say where a machine belongs after its person joined or left the volunteers; operators' lists stay theirs."""
    if joins:
        return listed or Ring.VOLUNTEERS
    return None if listed is Ring.VOLUNTEERS else listed
