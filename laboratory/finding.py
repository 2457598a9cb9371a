"""Who is there: the server reads a real switch's tables by SNMP, with a login that may only read (P6.2, A13)."""

from functools import partial
from pathlib import Path

from forestall.clock import utc_now
from laboratory import host, network
from laboratory.break_glass import expect
from laboratory.network import Port, connect, plug, speak
from laboratory.server import Server, start_server
from laboratory.site import Site, until
from laboratory.switches import Switch
from laboratory.timeline import Timeline

_READER = (
    'user = "reader"\nauth = "sha"\nauth_key = "only-to-be-recognised"\npriv_key = "only-to-be-kept-secret"\n'
)
_MAY_READ = ("createUser reader SHA only-to-be-recognised AES only-to-be-kept-secret", "rouser reader priv")
_MACHINES = 5


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Let machines be found at their ports, one move, and the switch fall silent.

    Raises:
        LabError: something did not go as it should.
    """
    site = Site(directory, directory, network.make_switch(), [], b"")
    switch = Switch("fs-sw", "10.77.0.2")
    try:
        switch.give_address()
        machines = [plug(f"fs-m{n}", f"p{n}", f"10.77.0.{20 + n}") for n in range(1, _MACHINES + 1)]
        connect(switch.namespace, "p30", machines[0].namespace, "eth1")
        agent = switch.snmp(directory, extra=_MAY_READ)
        site.processes.append(agent)
        server = _server(site, switch)
        timeline.tell("the server reads the switch's tables with a login that may only read; nobody is known")
        _found(server, switch, machines, timeline)
        _moved(server, switch, machines[0], timeline)
        agent.kill()
        agent.wait()
        until("the silence is told", lambda: "no answer" in str(_source(server)["trouble"]), 90)
        expect("what was read before stays", _source(server)["forwarding"] != 0, True)
        expect("where it was stays", _at(server, machines[1].mac())[:1], [("fs-sw p2", "")])
        timeline.tell(f"the switch is silent: {_source(server)['trouble']}; what was known stays")
    finally:
        site.close()


def _server(site: Site, switch: Switch) -> Server:
    data = site.directory / "server"
    data.mkdir()
    (data / "readers.toml").touch(mode=0o600)
    (data / "readers.toml").write_text(_READER)
    (data / "policy.toml").write_text('tables_every = "5s"\n')
    (data / "forestall.toml").write_text(
        'policy = "policy.toml"\n[[network.sources]]\n'
        f'name = "{switch.namespace}"\naddress = "{switch.address}"\ncredentials = "readers.toml"\nsite = "lab"\n'
    )
    return start_server(site)


def _found(server: Server, switch: Switch, machines: list[Port], timeline: Timeline) -> None:
    began = utc_now()
    for machine in machines:
        speak(machine, switch.address)
    for number, machine in enumerate(machines, start=1):
        place = (f"{switch.namespace} p{number}", "")
        until(f"machine {number} is at its port", partial(_is_at, server, machine.mac(), place), 90)
    seconds = timeline.figures["spoken_to_found_s"] = (utc_now() - began).total_seconds()
    known = {mac: each for each in server.ask("find", "ls") for mac in each["hardware"]}
    addresses = [known[machine.mac()]["addresses"] for machine in machines]
    expect("their addresses, by the switch's neighbours", addresses, [[each.address] for each in machines])
    expect("nobody of them is managed", {each["managed"] for each in known.values()}, {False})
    timeline.tell(
        f"{len(machines)} machines are known, each at its port with its address, after {seconds:.1f} s"
    )


def _moved(server: Server, switch: Switch, machine: Port, timeline: Timeline) -> None:
    """Unplug a machine and plug it in elsewhere."""
    mac, space = machine.mac(), machine.namespace
    for words in ("link set eth0 down", f"link set eth1 address {mac}", "link set eth1 up"):
        host.run("ip", "-n", space, *words.split())
    host.run("ip", "-n", space, "addr", "add", f"{machine.address}/24", "dev", "eth1")
    began = utc_now()
    speak(machine, switch.address)
    place = (f"{switch.namespace} p30", f"{switch.namespace} p1")
    until("it is at its new port", partial(_is_at, server, mac, place), 90)
    seconds = timeline.figures["moved_to_noticed_s"] = (utc_now() - began).total_seconds()
    timeline.tell(f"one changed to another port: noticed, with the port before, after {seconds:.1f} s")


def _is_at(server: Server, mac: str, place: tuple[str, str]) -> bool:
    return _at(server, mac)[:1] == [place]


def _at(server: Server, mac: str) -> list[tuple[str, str]]:
    if not any(mac in each["addresses"] for each in server.ask("devices")):
        return []
    return [(each["port"], each["before"]) for each in server.ask("find", "where", mac)]


def _source(server: Server) -> dict[str, object]:
    (source,) = server.ask("find", "status")["sources"]
    return dict(source)
