"""Machines nobody manages: one is warned, checked again, taken off the network, mended inside, and let back.

Real are the switch's ports, its quarantine VLAN, the fix-it room, the content store and the update. The probe is a
stand-in: a service that tells the version it was started with, asked over the network.
"""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from forestall.clock import utc_now
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.record import Record
from forestall.server.wiring import Installation, opened
from forestall.store import campaigns, devices, evidence, records
from forestall.store.evidence import Observation
from laboratory import content, host
from laboratory.break_glass import expect, host_works
from laboratory.content import Pending
from laboratory.host import LabError
from laboratory.network import connect, speak
from laboratory.server import Server, start_server
from laboratory.site import COMMANDS, Machine, Site, open_site, until
from laboratory.switches import Switch, credentials, setting
from laboratory.timeline import Timeline

_ROOM_PORT, _SERVICE_PORT = 8081, 7000
_POLICY = """
recheck_after = "2s"
removal_after_warning = "3m2s"
removals_site_share = 1.0
removals_fleet_share = 1.0
"""
_SERVICE = (
    "use IO::Socket::INET; my $v = `dpkg-query -W -f '\\${source:Version}' $ARGV[0]`;"
    "my $s = IO::Socket::INET->new(LocalPort => 7000, Listen => 9, ReuseAddr => 1) or die;"
    "while (my $c = $s->accept) { print $c $v; close $c }"
)
"""A daemon that works with the library it was started with: installed is not effective until it is restarted."""
_PROBE = """
import concurrent.futures, json, socket, sys
def ask(address):
    try:
        with socket.create_connection((address, 7000), 1) as s:
            return s.recv(200).decode()
    except OSError:
        return ""
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(ask, sys.argv[1:])))))
"""
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()"
_FETCH = (
    "import sys, urllib.request as u; "
    "print(u.urlopen(u.Request(sys.argv[1], method=sys.argv[2]), timeout=20).read().decode())"
)


@dataclass(slots=True)
class Lab:
    """The site with its switch and its machines."""

    site: Site
    server: Server
    switch: Switch
    update: Pending
    machines: dict[str, Machine] = field(default_factory=dict)
    services: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    last_word: str = ""
    """What the record said last of a machine that should be somewhere else by now."""
    campaign: CampaignId = field(default=CampaignId(""))

    def bridge(self, name: str) -> str:
        """Look at the switch itself: `br0` is the company, `brq` the quarantine."""
        return self.switch.bridge_of(_PORTS[name])

    def reaches(self, name: str, address: str, number: int) -> bool:
        """Try to open a connection from a machine."""
        enter = self.machines[name].port.enter
        return host_works(*enter, str(COMMANDS / "python"), "-S", "-c", _CONNECT, address, str(number))

    def sees(self, name: str, other: str) -> bool:
        """Try to reach one machine's service from another."""
        return self.reaches(name, self.machines[other].port.address, _SERVICE_PORT)

    def page(self, name: str, path: str = "", method: str = "GET") -> str:
        """Open a page of the fix-it room on a machine."""
        url = f"http://{self.site.management.address}:{_ROOM_PORT}/{path}"
        return host.run(
            *self.machines[name].port.enter, str(COMMANDS / "python"), "-S", "-c", _FETCH, url, method
        )

    def restart_service(self, name: str) -> None:
        """Start the daemon, or start it anew with what is installed now."""
        machine, old = self.machines[name], self.services.pop(name, None)
        if old is not None:
            old.kill()
            old.wait()
        command = ("chroot", str(machine.root), "perl", "-e", _SERVICE, self.update.debs[0].name)
        self.services[name] = self.site.start(f"service-{name}", *machine.port.enter, *command)

    def sweep(self, names: Iterable[str]) -> dict[str, Status]:
        """Probe machines from the server's network and hand in what was seen."""
        addresses = {name: self.machines[name].port.address for name in names}
        probe = (
            *self.site.management.enter,
            str(COMMANDS / "python"),
            "-S",
            "-c",
            _PROBE,
            *addresses.values(),
        )
        answers: Mapping[str, str] = json.loads(host.run(*probe))
        found = {
            name: Status.FIXED if answers[address] == self.update.version else Status.AFFECTED
            for name, address in addresses.items()
            if answers[address]
        }
        now = utc_now()
        seen = [
            Observation(DeviceId(name), Evidence(Witness.PROBE, status, now))
            for name, status in found.items()
        ]
        with opened(self.server.data) as installation, installation.database.begin() as con:
            evidence.take(con, self.campaign, seen, now)
        return found

    def story(self, name: str) -> list[str]:
        """Read what the ledger says of a machine: rules, and what came of them."""
        entries = self.server.ask("ledger", "show", "--subject", name, "--limit", "1000")
        return [f"{e['event']['rule']} {(e['event']['body'] or {}).get('detail', '')}" for e in entries]


_PORTS = {
    "laggard": "p1", "mover": "p2", "shared": "p3", "trunked": "dn4", "guarded": "p5", "silent": "p6", "exempt": "p7",
    "ours": "mg",
}  # fmt: skip
_STAY = {
    "shared": "many-addresses", "trunked": "trunk", "guarded": "protected", "silent": "unknown", "exempt": "exempt",
    "ours": "infrastructure",
}  # fmt: skip
"""Who must stay on the network, and the word that says why."""


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Live through a removal and a release.

    Raises:
        LabError: something did not go as PROCESS.md says.
    """
    site = open_site(directory, timeline)
    try:
        lab = _build(site, timeline)
        _deadline(lab, timeline)
        _inside(lab, timeline)
        _moved(lab, timeline)
        _mended(lab, timeline)
    finally:
        site.close()


def _build(site: Site, timeline: Timeline) -> Lab:
    """Plug in the machines, connect the switch, start the server."""
    switch = Switch("fs-sw", "10.77.0.2")
    switch.give_address()
    switch.make_quarantine_vlan(site.management.address)
    update = content.choose(site.pending)
    lab = Lab(site, Server("", site.directory / "server"), switch, update)
    for name, port in _PORTS.items():
        if name != "ours":
            lab.machines[name] = site.new_machine(name, port)
            lab.restart_service(name)
    connect(switch.namespace, "p20", "fs-mover", "eth1")
    host.run("ip", "-n", "fs-mover", "link", "set", "eth1", "down")
    _second_address(lab.machines["shared"])
    site.processes.append(switch.snmp(site.directory))
    _settings(lab)
    lab.server = start_server(site)
    timeline.tell(f"server and switch are up; {len(lab.machines)} unmanaged machines with {update.source}")
    return lab


def _second_address(machine: Machine) -> None:
    """Let a second machine hang at the same port, as behind a small hub."""
    for words in (
        "link add hub0 link eth0 type macvlan",
        "addr add 10.77.0.240/24 dev hub0",
        "link set hub0 up",
    ):
        host.run("ip", "-n", machine.port.namespace, *words.split())


def _settings(lab: Lab) -> None:
    data, management = lab.server.data, lab.site.management
    data.mkdir(parents=True)
    credentials(data)
    (data / "policy.toml").write_text(_POLICY)
    room = f'[room]\nbind = "{management.address}:{_ROOM_PORT}"\npatches = "http://{management.address}/"\n'
    point = setting(lab.switch, quarantine_vlan=99, uplinks=["dnq"])
    (data / "forestall.toml").write_text(
        f'policy = "policy.toml"\n[network]\nmode = "enforce"\n{point}{room}'
    )


def _deadline(lab: Lab, timeline: Timeline) -> None:
    """Start the campaign, let the deadline pass, and see who goes and who stays."""
    with opened(lab.server.data) as installation:
        _enlist(lab, installation)
    timeline.tell(f"campaign {lab.campaign}: two people decided that it goes on without mail (A14)")
    everybody = [name for name in lab.machines if name != "silent"]
    for name in lab.machines:
        speak(lab.machines[name].port, lab.switch.address)
    host.run(*lab.machines["shared"].port.enter, "python3", "-S", "-c", _FROM_HUB, lab.switch.address)

    def gone() -> bool:
        lab.sweep(everybody)
        _ours(lab)
        return lab.bridge("laggard") == "brq" and lab.bridge("mover") == "brq"

    until("laggard and mover are off the network", gone, 120)
    until("the removal is on record", lambda: _record(lab, "laggard").quarantined_at is not None, 30)
    record = _record(lab, "laggard")
    took = _warning_to_removal(record)
    timeline.tell(f"laggard and mover are in quarantine, {took:.1f} s after the final warning counted (P6.4)")
    if not 2 <= took <= 182:
        raise LabError(
            f"{took} s from the warning to the removal: not between the re-check and the end of P6.4"
        )
    for name, why in _STAY.items():
        try:
            until(f"the record says {why} of {name}", partial(_says, lab, name, why), 60)
        except LabError as error:
            raise LabError(f"{error}; it says {lab.last_word}") from None
        expect(f"{name} stays where it was", lab.bridge(name), "br0")
    timeline.tell(f"still on the network: {', '.join(f'{name} ({why})' for name, why in _STAY.items())}")
    expect("who stays sees each other", lab.sees("exempt", "guarded"), True)


_FROM_HUB = (
    "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); "
    "s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'hub0'); s.sendto(b'here', (sys.argv[1], 9))"
)


def _enlist(lab: Lab, installation: Installation) -> None:
    """Put the machines and the campaign on record, as finding, rating and two people would."""
    now = utc_now()
    known = [
        Device(
            DeviceId(name), name, SiteId("lab"), managed=False, owner=f"{name}@example.org", seen_at=now,
            addresses=(machine.port.mac(), machine.port.address), protected=name == "guarded",
        )
        for name, machine in lab.machines.items()
    ]  # fmt: skip
    own = lab.site.management
    known.append(
        Device(DeviceId("ours"), "ours", SiteId("lab"), managed=False, owner="ours@example.org", seen_at=now,
               addresses=(own.mac(), own.address))
    )  # fmt: skip
    with installation.database.begin() as con:
        devices.save(con, known)
    upload = lab.site.directory / "bookworm-uploads.jsonl"
    upload.write_text(content.advisory_of(lab.update) + "\n")
    lab.server.ask("advisory", "pull", str(upload))
    update = lab.update.remediation
    lab.server.ask("rate", update, "--expansion", "--reason", "it spreads", "--by", "rater")
    made = lab.server.ask("campaign", "start", update, "--voluntary", "5s", "--by", "distributor")
    lab.campaign = CampaignId(made["campaign"])
    with installation.database.begin() as con:
        campaign = campaigns.locked(con, lab.campaign)
        if campaign is None:
            raise LabError("the campaign is not there")
        campaigns.save(con, replace(campaign, mail_waived=True))
        records.exempt(
            con, lab.campaign, DeviceId("exempt"), campaign.handed_over_at.replace(year=now.year + 1)
        )


def _ours(lab: Lab) -> None:
    """Accuse the server's own machine, which must not cut itself off."""
    now = utc_now()
    seen = [Observation(DeviceId("ours"), Evidence(Witness.PROBE, Status.AFFECTED, now))]
    with opened(lab.server.data) as installation, installation.database.begin() as con:
        evidence.take(con, lab.campaign, seen, now)


def _says(lab: Lab, name: str, word: str) -> bool:
    (answer,) = lab.server.ask("why", name)
    told = lab.story(name)
    lab.sweep([each for each in lab.machines if each != "silent"])
    if word in answer["rule"] or any(word in line for line in told):
        return True
    lab.last_word = f"{answer['rule']}: {told[-3:]}"
    return False


def _warning_to_removal(record: Record) -> float:
    """Count the seconds of P6.4; where two people waived the mail, from the instant it was refused."""
    counted = record.warned_at or record.refused_at
    if counted is None or record.quarantined_at is None:
        raise LabError(f"removed without a warning: {record}")
    return (record.quarantined_at - counted).total_seconds()


def _record(lab: Lab, name: str) -> Record:
    with opened(lab.server.data) as installation, installation.database.begin() as con:
        (record,) = records.some(con, lab.campaign, [DeviceId(name)])
    return record


def _inside(lab: Lab, timeline: Timeline) -> None:
    """See what a removed machine can reach: the page, the patch, nothing else, nobody else."""
    own = lab.site.management.address
    reached = {
        "the content store": lab.reaches("laggard", own, 80),
        "the fix-it room": lab.reaches("laggard", own, _ROOM_PORT),
        "the server's other pages": lab.reaches("laggard", own, 8080),
        "a colleague": lab.sees("laggard", "exempt"),
        "a fellow inmate": lab.sees("laggard", "mover"),
        "the switch": lab.reaches("laggard", lab.switch.address, 161),
    }
    wanted = {what: what in {"the content store", "the fix-it room"} for what in reached}
    expect("what laggard reaches from quarantine", reached, wanted)
    expect("a colleague does not reach laggard", lab.sees("exempt", "laggard"), False)
    before = _record(lab, "laggard")
    page, japanese = lab.page("laggard"), lab.page("laggard", "?lang=ja")
    missing = [
        word
        for word in (lab.update.source, lab.update.version, "Check me now", f"http://{own}/")
        if word not in page
    ]
    expect("the page says what is missing", missing, [])
    expect("the page is in Japanese, too", "今すぐ検査する" in japanese, True)
    expect("the page has no script", "<script" in page.lower(), False)
    expect(
        "looking at a page changes nothing",
        _record(lab, "laggard").check_asked_at,
        before.check_asked_at,
    )
    lab.page("exempt", "check", "POST")
    expect("a press elsewhere changes nothing here", _record(lab, "laggard").check_asked_at, None)
    timeline.tell("inside: the page and the patch are reached; colleagues, inmates and the server are not")


def _moved(lab: Lab, timeline: Timeline) -> None:
    """Unplug a removed machine and plug it in elsewhere."""
    name, machine = "mover", lab.machines["mover"]
    mac, space = machine.port.mac(), machine.port.namespace
    new = ("link set eth0 down", f"link set eth1 address {mac}", "link set eth1 up")
    for words in (*new, f"addr add {machine.port.address}/24 dev eth1"):
        host.run("ip", "-n", space, *words.split())
    began = utc_now()
    speak(machine.port, lab.switch.address)
    expect("at its new port it is on the network", lab.switch.bridge_of("p20"), "br0")

    def followed() -> bool:
        lab.sweep([name])
        return lab.switch.bridge_of("p20") == "brq"

    until("the new port is closed, too", followed, 200)
    timeline.tell(
        f"mover changed to another port: closed, too, after {(utc_now() - began).total_seconds():.1f} s"
    )
    expect("a colleague does not reach it", lab.sees("exempt", name), False)


def _mended(lab: Lab, timeline: Timeline) -> None:
    """Patch from inside, find that installed is not effective, restart, press the button, be free."""
    laggard = lab.machines["laggard"]
    for words in (("update",), ("install", "-y", "--only-upgrade", *(deb.name for deb in lab.update.debs))):
        laggard.inside("/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *words)
    expect("installed, and the old process still runs", lab.sweep(["laggard"]), {"laggard": Status.AFFECTED})
    timeline.tell("patched from inside quarantine; the old process still runs: still off the network")
    expect("it is still in quarantine", lab.bridge("laggard"), "brq")
    lab.restart_service("laggard")
    until(
        "the service is up again",
        lambda: bool(lab.sweep([]) == {}) and lab.services["laggard"].poll() is None,
        10,
    )
    lab.page("laggard", "check", "POST")
    pressed = utc_now()
    until("the wish is on record", lambda: _record(lab, "laggard").check_asked_at is not None, 10)
    until(
        "a check is ordered", lambda: any(line.startswith("held-look") for line in lab.story("laggard")), 30
    )

    def free() -> bool:
        lab.sweep(["laggard"])
        return lab.bridge("laggard") == "br0"

    until("laggard is back", free, 60)
    seconds = (utc_now() - pressed).total_seconds()
    timeline.tell(f"restarted, pressed “check me now”: back on the network after {seconds:.1f} s (P6.5)")
    until("a colleague reaches it", lambda: lab.sees("exempt", "laggard"), 10)
    expect("mover is still off", [lab.bridge("mover"), lab.switch.bridge_of("p20")], ["brq", "brq"])
    lab.server.ask("campaign", "close", lab.campaign, "--by", "distributor")
    ports = ("p2", "p20")
    until(
        "the campaign is over: everybody is back",
        lambda: all(lab.switch.bridge_of(p) == "br0" for p in ports),
        60,
    )
    verified = lab.server.ask("ledger", "verify")
    timeline.tell(f"campaign closed: mover is back; the ledger's chain holds: {json.dumps(verified)[:90]}")
