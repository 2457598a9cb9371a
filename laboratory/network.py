"""Switches and the machines at them: a bridge in a network namespace each, one namespace a machine."""

import json
import sys
from dataclasses import dataclass

from laboratory.host import run

_SWITCH = "fs-sw"
MANAGEMENT = "fs-mg"
MANAGEMENT_ADDRESS = "10.77.0.10"


@dataclass(frozen=True, slots=True)
class Port:
    """A namespace with one address at a switch."""

    namespace: str
    address: str

    @property
    def enter(self) -> tuple[str, ...]:
        """What goes before a command that runs there."""
        return ("ip", "netns", "exec", self.namespace)

    def mac(self, interface: str = "eth0") -> str:
        """Read the hardware address."""
        shown = json.loads(run("ip", "-n", self.namespace, "-j", "link", "show", "dev", interface))
        return str(shown[0]["address"])


def make_switch(name: str = _SWITCH) -> Port:
    """Make the switch and the management namespace at it."""
    make_bridge(name, "br0")
    return plug(MANAGEMENT, "mg", MANAGEMENT_ADDRESS, name)


def make_bridge(switch: str, bridge: str) -> None:
    """Make a bridge, and the namespace for it where there is none yet."""
    if switch not in run("ip", "netns", "list").split():
        run("ip", "netns", "add", switch)
        run("ip", "-n", switch, "link", "set", "lo", "up")
    run("ip", "-n", switch, "link", "add", bridge, "type", "bridge")
    run("ip", "-n", switch, "link", "set", bridge, "up")


def plug(namespace: str, port: str, address: str, switch: str = _SWITCH) -> Port:
    """Make a namespace and connect it to a switch; nothing leads from here to the outside."""
    run("ip", "netns", "add", namespace)
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    connect(switch, port, namespace, "eth0")
    run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
    return Port(namespace, address)


def connect(switch: str, port: str, namespace: str, interface: str, bridge: str = "br0") -> None:
    """Lead a cable from a port of a switch to an interface elsewhere."""
    cable = ("type", "veth", "peer", "name", interface, "netns", namespace)
    run("ip", "-n", switch, "link", "add", port, *cable)
    run("ip", "-n", switch, "link", "set", port, "master", bridge, "up")
    run("ip", "-n", namespace, "link", "set", interface, "up")


_SPEAK = "import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(b'here', (sys.argv[1], 9))"


def speak(port: Port, towards: str) -> None:
    """Let a machine say something, so that its switch knows where it is."""
    run(*port.enter, sys.executable, "-S", "-c", _SPEAK, towards)
