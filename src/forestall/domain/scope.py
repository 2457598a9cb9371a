"""Where probes may go: the networks that are named, each with its site and its pace; all else is refused (P6.2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from forestall.domain.address import Address
from forestall.domain.device import SiteId

Network = IPv4Network | IPv6Network

LARGEST_SWEEP = 2**20
"""Addresses in one network that is swept; an IPv6 network is never counted through."""


@dataclass(frozen=True, slots=True)
class Area:
    """Networks of one site that may be probed, and how fast."""

    site: SiteId
    networks: tuple[Network, ...]
    spared: tuple[Network, ...] = ()
    """Parts of them where no probe ever goes."""
    per_second: int = 500
    """Connections and datagrams a second, at most."""


@dataclass(frozen=True, slots=True)
class Scope:
    """All areas. An empty scope allows nothing."""

    areas: tuple[Area, ...] = ()

    def area_of(self, address: Address) -> Area | None:
        """Find the area that allows an address; None where it must not be probed.

        A spared network is spared in every area. Multicast, broadcast and unspecified addresses are never allowed.
        """
        if address.is_multicast or address.is_unspecified or address == _EVERYBODY:
            return None
        if any(address in network for area in self.areas for network in area.spared):
            return None
        return next((area for area in self.areas if any(address in each for each in area.networks)), None)

    def addresses(self) -> Iterator[tuple[Address, Area]]:
        """Count through every address that a sweep visits, each once; large networks are left to sightings."""
        seen: set[Network] = set()
        for area in self.areas:
            for network in area.networks:
                if network in seen or network.num_addresses > LARGEST_SWEEP:
                    continue
                seen.add(network)
                for address in network.hosts():
                    if self.area_of(address) is area:
                        yield address, area


_EVERYBODY = IPv4Address("255.255.255.255")
