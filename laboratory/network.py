"""A switch and the machines at it: a bridge in one network namespace, one namespace a machine."""

from dataclasses import dataclass

from laboratory.host import run

_SWITCH = "fs-sw"
MANAGEMENT = "fs-mg"
MANAGEMENT_ADDRESS = "10.77.0.10"


@dataclass(frozen=True, slots=True)
class Port:
    """A namespace with one address at the switch."""

    namespace: str
    address: str

    @property
    def enter(self) -> tuple[str, ...]:
        """What goes before a command that runs there."""
        return ("ip", "netns", "exec", self.namespace)


def make_switch() -> Port:
    """Make the switch and the management namespace at it."""
    run("ip", "netns", "add", _SWITCH)
    run("ip", "-n", _SWITCH, "link", "set", "lo", "up")
    run("ip", "-n", _SWITCH, "link", "add", "br0", "type", "bridge")
    run("ip", "-n", _SWITCH, "link", "set", "br0", "up")
    return plug(MANAGEMENT, "mg", MANAGEMENT_ADDRESS)


def plug(namespace: str, port: str, address: str) -> Port:
    """Make a namespace and connect it to the switch; nothing leads from here to the outside."""
    run("ip", "netns", "add", namespace)
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", _SWITCH, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "-n", _SWITCH, "link", "set", port, "master", "br0", "up")
    run("ip", "-n", namespace, "link", "set", "eth0", "up")
    run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
    return Port(namespace, address)
