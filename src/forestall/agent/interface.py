"""Through which interface this machine reaches the server: its address there, and the hardware that has it. Linux."""

import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from forestall.domain.address import canonical_mac
from forestall.protocol import Interface

_GET_ADDRESS = 0x8915
"""SIOCGIFADDR."""


def interface_towards(host: str, port: int) -> Interface | None:
    """Ask the routing table; nothing is sent. None where there is no way."""
    with suppress(OSError):
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
            with socket.socket(family, kind) as probe:
                probe.connect(address)
                own = str(probe.getsockname()[0])
            return Interface(own, next((mac for name in _holders(own) if (mac := _hardware(name))), ""))
    return None


def _holders(address: str) -> Iterator[str]:
    """Find the interfaces that have an address."""
    if ":" in address:
        digits = socket.inet_pton(socket.AF_INET6, address.partition("%")[0]).hex()
        for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
            fields = line.split()
            if fields[0] == digits:
                yield fields[-1]
        return
    with socket.socket(type=socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has no IPv4 address
                asked = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(any_socket.fileno(), _GET_ADDRESS, asked)
                if socket.inet_ntoa(answer[20:24]) == address:
                    yield name


def _hardware(name: str) -> str:
    with suppress(OSError):
        return canonical_mac(Path("/sys/class/net", name, "address").read_text(encoding="ascii"))
    return ""
