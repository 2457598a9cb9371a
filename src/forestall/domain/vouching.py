"""What an agent says of the interface it speaks through, held against its connection and against the network.

Nobody is believed alone. The connection says from which address the word came, and not whose that is: a router, a proxy
or a VPN stands in for many. The agent says that the address is its own, and on which hardware: a hostile one says what
it likes. The network says which hardware holds the address: anybody's, managed or not. Only where all three agree is
that hardware the managed machine's (docs/adr/0031-one-machine-once.md).
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from forestall.domain.device import DeviceId, SiteId
from forestall.domain.sighting import ADDRESS_HELD_FOR, Sighting, Source, is_shared

NAMES_HOLDERS = frozenset({Source.NEIGHBOUR, Source.LEASE, Source.LOGIN})
"""What says which hardware holds an IP address."""
STANDS_FOR = timedelta(days=7)
"""A machine that has spoken for so long through other interfaces only no longer vouches for the first."""


class Word(NamedTuple):
    """A machine's newest word over a connection with its certificate."""

    device: DeviceId
    site: SiteId
    at: datetime
    address: str
    """Of the connection, where the agent says that it is its own; else empty."""
    hardware: str = ""
    """What it says it has there."""


def borne_out(words: Iterable[Word], sightings: Iterable[Sighting]) -> list[Sighting]:
    """Make sightings of those words that nothing contradicts; the others say nothing of where their machine is."""
    holders = defaultdict[str, dict[SiteId, tuple[datetime, str]]](dict)
    for each in sightings:
        if each.source in NAMES_HOLDERS and each.address and each.hardware:
            at = holders[each.address]
            said = (each.seen_at, each.hardware)
            at[each.site] = max(at.get(each.site, said), said)
    found = (_held_against(word, holders.get(word.address, {})) for word in words if word.address)
    return [sighting for sighting in found if sighting is not None]


def _held_against(word: Word, holders: dict[SiteId, tuple[datetime, str]]) -> Sighting | None:
    """Hold one word against who, at each site, was the last to be seen with its address."""
    named = {
        site: hardware for site, (at, hardware) in holders.items() if abs(at - word.at) <= ADDRESS_HELD_FOR
    }
    if not named:
        return Sighting(Source.CHECK_IN, word.site, word.at, "", word.address, certificate=word.device)
    # A laptop travels: it speaks where the network shows it, not where it was enrolled.
    here = sorted(site for site, hardware in named.items() if hardware == word.hardware)
    if len(here) != 1 or is_shared(word.hardware):
        return None
    return Sighting(Source.CHECK_IN, here[0], word.at, word.hardware, word.address, certificate=word.device)


def standing(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Leave out what a machine vouched for long ago, and has not since, though it spoke."""
    kept = list(sightings)
    spoke = dict[str, datetime]()
    for each in kept:
        if each.source is Source.CHECK_IN:
            spoke[each.certificate] = max(spoke.get(each.certificate, each.seen_at), each.seen_at)
    return [
        each
        for each in kept
        if each.source is not Source.CHECK_IN or spoke[each.certificate] - each.seen_at <= STANDS_FOR
    ]
