"""What net-snmp lacks: BRIDGE-MIB and Q-BRIDGE-MIB of Linux bridges, as a `pass_persist` program of snmpd.

`br0` is VLAN 1, `brq` VLAN 99; setting a port's dot1qPvid really moves it. Ports whose names begin with `up` or `dn`
carry VLAN 99 with a tag: they lead to other switches. The kernel here has no VLAN filtering, so membership lists are
kept as registers, as a switch does; what decides is the PVID.

Called with `lying`, it says yes to a PVID and does nothing; with `slow`, it takes longer than anybody waits.
"""

import bisect
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

BRIDGE = (1, 3, 6, 1, 2, 1, 17)
BASE_PORT = (*BRIDGE, 1, 4, 1, 2)
FDB = (*BRIDGE, 7, 1, 2, 2, 1, 2)
EGRESS = (*BRIDGE, 7, 1, 4, 3, 1, 2)
UNTAGGED = (*BRIDGE, 7, 1, 4, 3, 1, 4)
PVID = (*BRIDGE, 7, 1, 4, 5, 1, 1)
VLANS = {"br0": 1, "brq": 99}
BRIDGES = {vlan: name for name, vlan in VLANS.items()}
_OFFSET = 10
"""Base ports are not numbered as interfaces are: whoever mixes them up is found out."""

Oid = tuple[int, ...]


class Switch:
    """The bridges of this namespace as two MIBs."""

    def __init__(self) -> None:
        self.lists: dict[Oid, bytearray] = {}
        self.names: dict[int, str] = {}
        self.masters: dict[int, str] = {}
        self.picture: list[tuple[Oid, tuple[str, str]]] = []
        self.last: Oid = ()
        self.refresh()
        for vlan in VLANS.values():
            self.lists[*EGRESS, vlan] = bytearray(16)
            self.lists[*UNTAGGED, vlan] = bytearray(16)
        for base, master in self.masters.items():
            leads_on = self.names[base].startswith(("up", "dn"))
            for vlan in VLANS.values() if leads_on else (VLANS[master],):
                self._put(self.lists[*EGRESS, vlan], base)
            self._put(self.lists[*UNTAGGED, VLANS[master]], base)

    @staticmethod
    def _put(bits: bytearray, base: int) -> None:
        bits[(base - 1) // 8] |= 0x80 >> (base - 1) % 8

    def refresh(self) -> None:
        """Read the ports anew."""
        links = [each for each in told("ip", "-j", "link", "show") if each.get("master") in VLANS]
        self.names = {each["ifindex"] + _OFFSET: each["ifname"] for each in links}
        self.masters = {each["ifindex"] + _OFFSET: each["master"] for each in links}

    def table(self) -> dict[Oid, tuple[str, str]]:
        """Give everything there is: OID -> (type, value)."""
        self.refresh()
        found: dict[Oid, tuple[str, str]] = {}
        for base, master in self.masters.items():
            found[*BASE_PORT, base] = ("integer", str(base - _OFFSET))
            found[*PVID, base] = ("gauge", str(VLANS[master]))
        for oid, bits in self.lists.items():
            found[oid] = ("octet", bits.hex(" "))
        found |= dict(self.forwarding())
        return found

    def forwarding(self) -> Iterator[tuple[Oid, tuple[str, str]]]:
        """Yield what the bridges have learned."""
        bases = {name: base for base, name in self.names.items()}
        for entry in told("bridge", "-j", "fdb", "show", "dynamic"):
            if entry.get("master") in VLANS and entry["ifname"] in bases:
                mac = tuple(int(octet, 16) for octet in entry["mac"].split(":"))
                yield (*FDB, VLANS[entry["master"]], *mac), ("integer", str(bases[entry["ifname"]]))

    def set(self, oid: Oid, value: str) -> bool:
        """Do what a SET asks for."""
        if oid in self.lists:
            self.lists[oid] = bytearray.fromhex(value).ljust(16, b"\0")
            return True
        name, bridge = self.names.get(oid[-1]), BRIDGES.get(int(value) if value.isdigit() else 0)
        if oid[:-1] != PVID or name is None or bridge is None:
            return False
        if "slow" in sys.argv:
            time.sleep(4)
        if "lying" in sys.argv:
            return True
        subprocess.run(["ip", "link", "set", name, "master", bridge], check=True)
        # Inmates do not see each other: the quarantine VLAN's own rules look at this set (A13).
        verb = "add" if bridge == "brq" else "delete"
        words = ["nft", verb, "element", "bridge", "room", "inmates", "{", name, "}"]
        subprocess.run(words, check=False, capture_output=True)
        return True


def told(*command: str) -> list[dict[str, Any]]:
    """Let iproute2 tell something."""
    return list(json.loads(subprocess.run(command, capture_output=True, check=True).stdout or b"[]"))


def main() -> None:
    """Talk as snmpd's pass_persist wants it."""
    switch = Switch()
    lines = iter(sys.stdin.readline, "")
    for line in lines:
        match line.strip():
            case "":  # snmpd ends an octet string with one
                continue
            case "PING":
                answer = "PONG"
            case "get" | "getnext" as verb:
                answer = read(switch, next(lines).strip(), after=verb == "getnext")
            case "set":
                oid, (kind, _, value) = next(lines).strip(), next(lines).strip().partition(" ")
                done = switch.set(numbers(oid), value.strip('"'))
                answer = "DONE" if done and kind else "not-writable"
            case _:
                answer = "NONE"
        print(answer, flush=True)


def read(switch: Switch, oid: str, *, after: bool) -> str:
    """Answer one question; a walk is answered from one picture, a GET from a new one."""
    wanted = numbers(oid)
    if not after or switch.last != wanted:
        switch.picture = sorted(switch.table().items())
    order = [each for each, _ in switch.picture]
    at = bisect.bisect_right(order, wanted) if after else bisect.bisect_left(order, wanted)
    if at >= len(order) or (not after and order[at] != wanted):
        return "NONE"
    switch.last, (kind, value) = switch.picture[at]
    return f".{'.'.join(map(str, switch.last))}\n{kind}\n{value}"


def numbers(oid: str) -> Oid:
    """Read an OID."""
    return tuple(map(int, oid.strip(".").split(".")))


if __name__ == "__main__":
    main()
