"""Run inside a network namespace of its own: points probes in and out of scope, prints how many packets left."""

import fcntl
import json
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

from forestall.domain.device import SiteId
from forestall.domain.scope import Area, Scope
from forestall.probes import nmap
from forestall.probes.probe import PROBES, run
from forestall.probes.sweep import sweep

SET_FLAGS, UP = 0x8914, 0x1


def main() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))
    inside = ["127.0.0.1", "127.0.0.2"]
    outside = ["127.0.1.1", "127.1.0.1", "::1", "::ffff:127.0.1.1", "127.0.0.3"]
    scope = Scope((Area(SiteId("lab"), (ip_network("127.0.0.0/24"),), (ip_network("127.0.0.3/32"),)),))
    script = nmap.SCRIPTS[0]
    sent = {
        "no scope": packets(lambda: run([(each, probe) for each in inside for probe in PROBES], Scope())),
        "out of scope, probed": packets(
            lambda: run([(each, probe) for each in outside for probe in PROBES], scope)
        ),
        "out of scope, swept": packets(lambda: sweep(map(ip_address, outside), 22, scope)),
        "out of scope, by nmap": packets(lambda: [nmap.run(each, script, scope) for each in outside]),
        "in scope, probed": packets(lambda: run([(inside[0], probe) for probe in PROBES], scope)),
        "in scope, swept": packets(lambda: sweep(map(ip_address, inside), 22, scope)),
    }
    print(json.dumps(sent))


def packets(work: Callable[[], object]) -> int:
    before = sent_so_far()
    work()
    return sent_so_far() - before


def sent_so_far() -> int:
    """Count what left by any interface; here there is only loopback."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return sum(int(line.split(":")[1].split()[9]) for line in lines)


if __name__ == "__main__":
    main()
