"""Bridges that are switches: net-snmp answers for them, really sets their ports up and down, and moves their VLANs."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from laboratory.host import run, start
from laboratory.network import connect, make_bridge

USER = 'user = "forestall"\nauth = "sha"\nauth_key = "to-be-recognised"\npriv_key = "to-be-kept-secret"\n'
"""The credentials file: SNMPv3 with authPriv."""
_HERE = Path(__file__).parent
_ROOM = """
table bridge room {
 set inmates { type ifname; }
 chain forward {
  type filter hook forward priority 0; policy accept;
  iifname @inmates oifname @inmates counter drop comment "inmates do not see each other"
  iifname @inmates jump leaving
  oifname @inmates jump arriving
 }
 chain leaving {
  ether type arp arp daddr ip ADDRESS accept
  ip daddr ADDRESS tcp dport { 80, 8081 } accept comment "the content store and the fix-it room"
  ip daddr ADDRESS tcp flags & (syn | ack) != syn accept comment "answers to probes"
  ip daddr ADDRESS udp sport 3130 udp dport >= 32768 accept comment "answers to probes"
  counter drop
 }
 chain arriving {
  ether type arp accept
  ip saddr ADDRESS accept
  counter drop
 }
}
"""
"""The rules of the quarantine VLAN's gateway (A13)."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch with an SNMP agent."""

    namespace: str
    address: str

    def snmp(self, directory: Path, *words: str, extra: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start its agent; ports that are made later are seen later.

        `words` go to `bridge_mib.py`, `extra` are lines for snmpd.
        """
        name = self.namespace
        config = directory / f"{name}.snmpd"
        handler = f"pass_persist .1.3.6.1.2.1.17 {sys.executable} {_HERE / 'bridge_mib.py'} {' '.join(words)}"
        lines = (
            f"agentaddress udp:{self.address}:161",
            "createUser forestall SHA to-be-recognised AES to-be-kept-secret",
            "rwuser forestall priv",
            "dontLogTCPWrappersConnects yes",
            handler,
            *extra,
        )
        config.write_text("".join(f"{line}\n" for line in lines))
        own = directory / f"{name}-snmp"
        own.mkdir(exist_ok=True)
        command = ("snmpd", "-f", "-Lo", "-C", "-c", config, "-x", f"unix:{own}/agentx", "-p", own / "pid")
        quiet = {"MIBS": "", "SNMP_PERSISTENT_DIR": str(own)}
        return start(directory / f"{name}.log", "ip", "netns", "exec", name, *command, environment=quiet)

    def give_address(self) -> None:
        """Let the switch itself be reached."""
        run("ip", "-n", self.namespace, "addr", "add", f"{self.address}/24", "dev", "br0")

    def make_quarantine_vlan(self, management: str) -> None:
        """Make VLAN 99: a bridge of its own, and one way out with the gateway's rules on it."""
        make_bridge(self.namespace, "brq")
        connect(self.namespace, "dnq", self.namespace, "upq")
        run("ip", "-n", self.namespace, "link", "set", "upq", "master", "brq")
        rules = _ROOM.replace("ADDRESS", management)
        subprocess.run(
            ["ip", "netns", "exec", self.namespace, "nft", "-f", "-"], input=rules, text=True, check=True
        )

    def admin_up(self, port: str) -> bool:
        """Look at the port itself, not at what the agent says."""
        return "UP" in run("ip", "-n", self.namespace, "-o", "link", "show", "dev", port).split("<")[1].split(
            ">"
        )[0].split(",")

    def bridge_of(self, port: str) -> str:
        """Look at which bridge the port belongs to."""
        words = run("ip", "-n", self.namespace, "-o", "link", "show", "dev", port).split()
        return words[words.index("master") + 1]


def credentials(directory: Path, name: str = "switches.toml") -> str:
    """Write the file of secrets as it must be; return its name."""
    path = directory / name
    path.touch(mode=0o600)
    path.write_text(USER)
    return name


def setting(switch: Switch, **more: object) -> str:
    """Write a switch as a table of forestall.toml."""
    lines = {
        "kind": "snmp",
        "name": switch.namespace,
        "address": switch.address,
        "credentials": "switches.toml",
        **more,
    }
    return "[[network.points]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in lines.items())


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
