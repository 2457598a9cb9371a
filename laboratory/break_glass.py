"""Break-glass: what our driver closed is freed from the switches' own marks, with neither server nor database.

Before it, every way in which the driver must refuse; after it, switches that lie or are slow.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from laboratory import host, network
from laboratory.host import LabError
from laboratory.network import Port, connect, plug, speak
from laboratory.site import COMMANDS, until
from laboratory.switches import Switch, credentials, setting
from laboratory.timeline import Timeline

_CORE = "10.77.0.2"
_SWITCHES, _HOSTS = 4, 5
_GATEWAY_RULES = """
table bridge forestall {
 set quarantined { type ether_addr; }
 chain forward {
  type filter hook forward priority 0; policy accept;
  ether saddr @quarantined drop
  ether daddr @quarantined drop
 }
}
add element bridge forestall quarantined { 02:00:00:00:00:99 }
"""


@dataclass(slots=True)
class Company:
    """One core switch with the management at it, access switches below, five machines at each."""

    directory: Path
    management: Port
    access: list[Switch]
    machines: dict[str, Port]
    places: dict[str, tuple[Switch, str]]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def forestall(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
        """Run an operator's command where the network can be reached; there is no server."""
        command = (str(COMMANDS / "forestall"), *arguments, "--json", "--data", str(self.directory))
        return json.loads(host.run(*self.management.enter, *command))

    def close(self, *machines: str) -> list[dict[str, Any]]:
        """Let the driver take machines off; what it says of each."""
        said: list[dict[str, Any]] = self.driver(
            "close", *(f"{name}={self.machines[name].mac()}" for name in machines)
        )
        return said

    def driver(self, *words: str) -> Any:  # noqa: ANN401 - as above
        """Call the driver itself."""
        python = str(COMMANDS / "python")
        return json.loads(
            host.run(*self.management.enter, python, "-m", "laboratory.driver", str(self.directory), *words)
        )

    def reaches(self, machine: str) -> bool:
        """Try from a machine to the management: is it on the network?"""
        command = (*self.machines[machine].enter, str(COMMANDS / "python"), "-S", "-c", _ASK, "10.77.0.10")
        return host_works(*command)


_ANSWER = "import socket; s = socket.create_server(('', 7)); [s.accept()[0].close() for _ in iter(int, 1)]"
_ASK = "import socket, sys; socket.create_connection((sys.argv[1], 7), 1).close()"


def host_works(*command: str) -> bool:
    """Tell whether a command ends well."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Close what may be closed, be refused where it must be, free all.

    Raises:
        LabError: something did not go as it should.
    """
    company = _build(directory)
    try:
        timeline.tell(f"{_SWITCHES} switches with {len(company.machines)} machines; no server, no database")
        _refusals(company, timeline)
        _close_all(company, timeline)
        _free_all(company, timeline)
        _liars(company, timeline)
    finally:
        for process in reversed(company.processes):
            process.terminate()
            process.wait(timeout=15)


def _build(directory: Path) -> Company:
    core = Switch("fs-sw", _CORE)
    management = network.make_switch()
    core.give_address()
    access = [Switch(f"fs-a{n}", f"10.77.0.{20 + n}") for n in range(1, _SWITCHES + 1)]
    company = Company(directory, management, access, {}, {})
    for number, switch in enumerate(access, 1):
        network.make_bridge(switch.namespace, "br0")
        connect(core.namespace, f"dn{number}", switch.namespace, "up1")
        host.run("ip", "-n", switch.namespace, "link", "set", "up1", "master", "br0")
        switch.give_address()
        for n in range(1, _HOSTS + 1):
            name = f"m-{number}{n}"
            company.machines[name] = plug(
                f"fs-{name}", f"p{n}", f"10.77.0.{number * 20 + 40 + n}", switch.namespace
            )
            company.places[name] = (switch, f"p{n}")
    access[2].make_quarantine_vlan(management.address)
    company.machines["m-core"] = plug("fs-m-core", "p1", "10.77.0.200", core.namespace)
    company.machines["m-trunk"] = plug("fs-m-trunk", "dn9", "10.77.0.201", access[1].namespace)
    rules = ("ip", "netns", "exec", core.namespace, "nft", "-f", "-")
    subprocess.run(rules, input=_GATEWAY_RULES, text=True, check=True)
    _write_settings(directory, access, core.namespace)
    company.processes += [switch.snmp(directory) for switch in access]
    answering = (*management.enter, str(COMMANDS / "python"), "-S", "-c", _ANSWER)
    company.processes.append(host.start(directory / "answer.log", *answering))
    until("all machines reach the management", lambda: all(map(company.reaches, company.machines)), 30)
    until(
        "all switches answer",
        lambda: not any(row["trouble"] for row in company.forestall("network", "status")["points"]),
    )
    return company


def _write_settings(directory: Path, access: Sequence[Switch], gateway: str) -> None:
    credentials(directory)
    more: dict[int, dict[str, object]] = {
        1: {"never": ["p5"]},
        2: {"quarantine_vlan": 99},
        3: {"longest_mark": 50},
    }
    points = [setting(switch, **more.get(number, {})) for number, switch in enumerate(access)]
    command = json.dumps(["ip", "netns", "exec", gateway, "nft"])
    points.append(
        f'[[network.points]]\nkind = "nftables"\nname = "gateway"\nfamily = "bridge"\ntable = "forestall"\n'
        f'macs = "quarantined"\ncommand = {command}\nsites = ["core"]\n'
    )
    head = '[network]\nmode = "enforce"\nprotected = ["10.77.0.250"]\ncloses_a_minute = 1000\n'
    (directory / "forestall.toml").write_text(head + "\n".join(points))


def _refusals(company: Company, timeline: Timeline) -> None:
    """Order what must never be done; every port must stay as it is."""
    machines = company.machines
    neighbour = machines["m-12"]
    host.run("ip", "-n", neighbour.namespace, "link", "add", "mv0", "link", "eth0", "type", "macvlan")
    host.run("ip", "-n", neighbour.namespace, "link", "set", "mv0", "up")
    host.run("ip", "-n", neighbour.namespace, "addr", "add", "10.77.0.250/24", "dev", "mv0")
    protected = Port(neighbour.namespace, "10.77.0.250")
    cases = {
        "our own machine": ("infrastructure", [company.management.mac()]),
        "a protected address": ("protected", ["10.77.0.250"]),
        "a port with another machine's address, too": ("many-addresses", [neighbour.mac()]),
        "a port the settings exclude": ("never", [machines["m-25"].mac()]),
        "a machine behind the port through which we come": ("own-path", [machines["m-core"].mac()]),
        "a machine at a trunk": ("trunk", [machines["m-trunk"].mac()]),
        "a machine nobody sees": ("not-seen", ["02:00:00:00:00:01"]),
        "a machine without addresses": ("no-address", []),
        "a switch": (
            "infrastructure",
            [json.loads(host.run("ip", "-n", "fs-a1", "-j", "link", "show", "dev", "br0"))[0]["address"]],
        ),
    }
    for switch in company.access:
        speak(protected, switch.address)
        speak(machines["m-core"], switch.address)
        speak(machines["m-trunk"], switch.address)
    said = company.driver("close", *(f"m-wrong={','.join(addresses)}" for _, addresses in cases.values()))
    for (what, (reason, _)), told in zip(cases.items(), said, strict=True):
        expect(f"{what} is refused", told["reason"], reason)
        timeline.tell(f"refused: {what}: {told['detail']}")
    host.run("ip", "-n", neighbour.namespace, "link", "del", "mv0")
    host.run("ip", "-n", "fs-a1", "link", "set", "p2", "down")
    host.run("ip", "-n", "fs-a1", "link", "set", "p2", "up")
    expect("nothing was closed", company.forestall("network", "status")["closed"], [])
    expect("everybody is on the network", [name for name in machines if not company.reaches(name)], [])


def _close_all(company: Company, timeline: Timeline) -> None:
    """Close one port by hand and all others by the driver; the machine at each is really cut off."""
    company.driver("describe", "fs-a1", "p1", "Room 12, desk 3")
    company.driver("describe", "fs-a4", "p1", "A description that leaves no room for our own mark, really")
    host.run("ip", "-n", "fs-a1", "link", "set", "p5", "down")
    wanted = [name for name in company.places if name not in {"m-15", "m-25"}]
    for name in wanted:
        until(f"{name} is on the network", partial(company.reaches, name), 20)
        speak(company.machines[name], company.places[name][0].address)
    *said, by_hand = company.close(*wanted, "m-15")
    for name, told in zip(wanted, said, strict=True):
        switch, port = company.places[name]
        expect(f"{name} is closed", told["closed"], [f"{switch.namespace} {port}"])
    expect("the port that was closed by hand is left alone", by_hand["closed"], [])
    slowest = max(told["seconds"] for told in said)
    cut_off = [name for name in company.places if not company.reaches(name)]
    timeline.tell(f"{len(said)} machines closed and read back, {slowest} s the slowest")
    # A quarantine VLAN leaves the way to our address open, on the ports of the room alone.
    expect("who is cut off", sorted(cut_off), sorted(name for name in company.places if name != "m-25"))
    shown = host.run("ip", "-n", "fs-a1", "-o", "link", "show", "dev", "p1")
    expect("the kernel has the port down", ",UP" in shown, False)


def _free_all(company: Company, timeline: Timeline) -> None:
    """Break the glass."""
    told = company.forestall("network", "free-all", "--by", "duty officer")
    expect("how many are freed", len(told["freed"]), len(company.places) - 2)
    expect("no trouble", [each for each in told["freed"] if each["trouble"]] + told["silent"], [])
    timeline.tell(
        f"free-all: {len(told['freed'])} ports at {len(company.access)} switches in {told['seconds']} s"
    )
    on = [name for name in company.places if name != "m-15"]
    until("everybody is back", lambda: all(map(company.reaches, on)), 10)
    expect("the port closed by hand stays closed", company.reaches("m-15"), False)
    expect(
        "the description is back",
        company.driver("describe", "fs-a1", "p1", "")["description"],
        "Room 12, desk 3",
    )
    elements = host.run(
        "ip", "netns", "exec", "fs-sw", "nft", "list", "set", "bridge", "forestall", "quarantined"
    )
    expect("other people's elements stay", "02:00:00:00:00:99" in elements, True)
    expect("a second time frees nothing", company.forestall("network", "free-all")["freed"], [])
    (told,) = company.close("m-11")
    expect("nothing is closed while the glass is broken", told["reason"], "stopped")
    company.forestall("network", "resume")
    timeline.tell("everybody is back, descriptions too; enforcement stays stopped until somebody resumes it")


def _liars(company: Company, timeline: Timeline) -> None:
    """Switches that say yes: one does nothing, one only claims to, one is too slow."""
    first, _, vlan, last = company.access
    index = json.loads(host.run("ip", "-n", first.namespace, "-j", "link", "show", "dev", "p1"))[0]["ifindex"]
    claims = [f"override -rw .1.3.6.1.2.1.2.2.1.7.{index} integer 1"]
    for number, switch, words, extra in (
        (0, first, (), claims),
        (2, vlan, ("lying",), []),
        (3, last, (), []),
    ):
        _restart(company, number, switch, words, extra)
    for name, what in (("m-11", "claims to have closed the port"), ("m-31", "says yes and does nothing")):
        switch, _ = company.places[name]
        speak(company.machines[name], switch.address)
        (told,) = company.close(name)
        expect(f"a switch that {what} is found out", told["reason"], "not-as-promised")
        expect(f"{name} is on the network", company.reaches(name), True)
        timeline.tell(f"a switch that {what}: {told['detail']}")
    _restart(company, 2, vlan, ("slow",), [])
    speak(company.machines["m-32"], vlan.address)
    (told,) = company.close("m-32")
    expect("a slow switch is no yes", told["reason"], "unreachable")
    timeline.tell(f"a slow switch: {told['detail']}, after {told['seconds']} s")
    _restart(company, 2, vlan, (), [])
    speak(company.machines["m-32"], vlan.address)
    (told,) = company.close("m-32")
    expect("asked again, it is closed", (told["reason"], vlan.bridge_of("p2")), ("", "brq"))
    timeline.tell("asked again, it is closed once, not twice")


def _restart(
    company: Company, number: int, switch: Switch, words: Sequence[str], extra: Sequence[str]
) -> None:
    old = company.processes[number]
    old.terminate()
    old.wait(timeout=15)
    company.processes[number] = switch.snmp(company.directory, *words, extra=extra)

    def answers() -> bool:
        rows = company.forestall("network", "status")["points"]
        return not any(row["trouble"] for row in rows if row["name"] == switch.namespace)

    until(f"{switch.namespace} answers", answers, 30)


def expect(what: str, found: object, wanted: object) -> None:
    """Go on only where it is so."""
    if found != wanted:
        raise LabError(f"{what}: wanted {wanted}, found {found}")
