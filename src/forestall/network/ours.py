"""Who we are on the network: the addresses whose loss would cut us off. Linux; elsewhere nothing is known."""

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from forestall.domain.address import canonical_mac

_GATEWAY_FLAG = 0x2


def ours(towards: Iterable[str]) -> frozenset[str]:
    """Find our MAC addresses, those of our gateways, and the addresses from which we reach `towards`."""
    return frozenset({*_interfaces(), *_gateways(), *(own for each in towards if (own := _source(each)))})


def _interfaces() -> Iterator[str]:
    for path in Path("/sys/class/net").glob("*/address"):
        with suppress(OSError):
            if mac := canonical_mac(path.read_text()):
                yield mac


def _gateways() -> Iterator[str]:
    neighbours = dict(_neighbours())
    for fields in _lines(Path("/proc/net/route")):
        if len(fields) > 3 and int(fields[3], 16) & _GATEWAY_FLAG:
            gateway = socket.inet_ntoa(struct.pack("=I", int(fields[2], 16)))
            yield gateway
            if gateway in neighbours:
                yield neighbours[gateway]


def neighbour(ip: str) -> str:
    """Find the MAC address of a machine on a network of ours; empty where it is not known."""
    return dict(_neighbours()).get(ip, "")


def _neighbours() -> Iterator[tuple[str, str]]:
    for fields in _lines(Path("/proc/net/arp")):
        if len(fields) > 3 and (mac := canonical_mac(fields[3])):
            yield fields[0], mac


def _lines(path: Path) -> Iterator[list[str]]:
    with suppress(OSError):
        yield from (line.split() for line in path.read_text().splitlines()[1:])


def _source(towards: str) -> str:
    """Ask the routing table; nothing is sent."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((towards, 9))
        return str(probe.getsockname()[0])
    return ""
