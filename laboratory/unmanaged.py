"""Machines nobody manages: one is warned, checked again, taken off the network, mended inside, and let back.

All of it is real: a flaw of the main archive's squid, the server's own probes, a mail server, the ports of a switch and
its quarantine VLAN, the fix-it room, the content store and the update.
"""

import json
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from forestall.clock import utc_now
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.record import Record
from forestall.server.wiring import Installation, opened
from forestall.store import devices, evidence, records
from forestall.store.evidence import Observation
from laboratory import content, host, squid
from laboratory.break_glass import expect, host_works
from laboratory.content import Pending
from laboratory.host import LabError
from laboratory.network import connect, speak
from laboratory.probing import SERVICES
from laboratory.server import Server, start_server
from laboratory.site import COMMANDS, Machine, Site, knock, open_site, until
from laboratory.switches import Switch, credentials, setting
from laboratory.timeline import Timeline

_ROOM_PORT, _MAIL_PORT = 8081, 2525
_RECHECK_SECONDS, _AT_MOST_SECONDS = 2, 182
_POLICY = f"""
recheck_after = "{_RECHECK_SECONDS}s"
removal_after_warning = "{_AT_MOST_SECONDS}s"
look_again_after = "5s"
held_look_every = "5s"
sweep_every = "20s"
removals_site_share = 1.0
removals_fleet_share = 1.0
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
    mail: Path
    """What the mail server accepted, a line each."""
    machines: dict[str, Machine] = field(default_factory=dict)
    services: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    last_word: str = ""
    """What the record said last of a machine that should be somewhere else by now."""
    campaign: CampaignId = field(default=CampaignId(""))

    def bridge(self, name: str) -> str:
        """Look at the switch itself: `br0` is the company, `brq` the quarantine."""
        return self.switch.bridge_of((_PORTS | _BYSTANDERS)[name])

    def reaches(self, name: str, address: str, number: int) -> bool:
        """Try to open a connection from a machine."""
        enter = self.machines[name].port.enter
        return host_works(*enter, str(COMMANDS / "python"), "-S", "-c", _CONNECT, address, str(number))

    def sees(self, name: str, other: str) -> bool:
        """Try to reach one machine's service from another."""
        return self.reaches(name, self.machines[other].port.address, squid.PORT)

    def page(self, name: str, path: str = "", method: str = "GET") -> str:
        """Open a page of the fix-it room on a machine."""
        url = f"http://{self.site.management.address}:{_ROOM_PORT}/{path}"
        return host.run(
            *self.machines[name].port.enter, str(COMMANDS / "python"), "-S", "-c", _FETCH, url, method
        )

    def probe(self, name: str) -> set[str]:
        """Probe a machine now, as an operator may: what the probes for this update say of it."""
        forestall = str(COMMANDS / "forestall")
        words = (
            "probe",
            "run",
            self.machines[name].port.address,
            "--flaw",
            self.update.remediation,
            "--json",
        )
        enter = self.site.management.enter
        rows = json.loads(host.run(*enter, forestall, *words, "--data", str(self.server.data)))
        return {row["answer"]["status"] for row in rows}

    def letters(self, to: str) -> list[dict[str, Any]]:
        """Read what the mail server accepted for somebody."""
        lines = self.mail.read_text().splitlines() if self.mail.exists() else []
        return [letter for letter in map(json.loads, lines) if to in letter["to"]]

    def story(self, name: str) -> list[str]:
        """Read what the ledger says of a machine: rules, and what came of them."""
        entries = self.server.ask("ledger", "show", "--subject", name, "--limit", "1000")
        return [f"{e['event']['rule']} {(e['event']['body'] or {}).get('detail', '')}" for e in entries]


_PORTS = {
    "laggard": "p1", "mover": "p2", "shared": "p3", "trunked": "dn4", "guarded": "p5", "silent": "p6", "exempt": "p7",
    "unwarned": "p8", "ours": "mg",
}  # fmt: skip
_STAY = {
    "shared": "many-addresses", "trunked": "trunk", "guarded": "protected", "silent": "unknown", "exempt": "exempt",
    "unwarned": "unwarned", "ours": "infrastructure",
}  # fmt: skip
"""Who must stay on the network, and the word that says why."""
_BYSTANDERS = {f"bystander{number}": f"p{number}" for number in range(9, 21)}
"""Machines on which nothing is wrong: no squid runs there."""


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Live through a removal and a release.

    Raises:
        LabError: something did not go as PROCESS.md says.
    """
    site = open_site(directory, timeline, SERVICES)
    try:
        lab = _build(site, timeline)
        _start(lab, timeline)
        _without_mail(lab, timeline)
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
    update = next((each for each in site.pending if each.source == "squid"), None)
    if update is None:
        raise LabError("squid of the main archive lacks nothing today: there is no flaw to see from outside")
    lab = Lab(site, Server("", site.directory / "server"), switch, update, site.directory / "mail.jsonl")
    for name, port in (_PORTS | _BYSTANDERS).items():
        if name != "ours":
            lab.machines[name] = site.new_machine(name, port)
    for name in _PORTS:
        if name not in {"ours", "silent"}:
            lab.services[name] = squid.start_squid(site, lab.machines[name])
    for name in lab.services:
        squid.await_squid(site, lab.machines[name])
    connect(switch.namespace, "p30", "fs-mover", "eth1")
    host.run("ip", "-n", "fs-mover", "link", "set", "eth1", "down")
    _second_address(lab.machines["shared"])
    site.processes.append(switch.snmp(site.directory))
    _settings(lab)
    lab.server = start_server(site)
    timeline.tell(
        f"server and switch are up; {len(lab.machines)} unmanaged machines, {len(lab.services)} with an old squid"
    )
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
    scope = f'[[scope]]\nsite = "lab"\nnetworks = ["10.77.0.0/24"]\nspared = ["{management.address}/32"]\n'
    mail = (
        f'[mail]\nserver = "{management.address}"\nport = {_MAIL_PORT}\ntls = "none"\n'
        f'sender = "Patch Desk <patch@example.org>"\nlink_base = "http://{management.address}:8080"\n'
        'everybody = ["all@example.org"]\n'
    )
    (data / "forestall.toml").write_text(
        f'policy = "policy.toml"\n{scope}{mail}[network]\nmode = "enforce"\n{point}{room}'
    )


def _start(lab: Lab, timeline: Timeline) -> None:
    """Start the campaign, and let the server's own probes find who is vulnerable."""
    with opened(lab.server.data) as installation:
        _enlist(lab, installation)
    timeline.tell(f"campaign {lab.campaign} for {lab.update.remediation}; the mail server is dead")
    for name in lab.machines:
        speak(lab.machines[name].port, lab.switch.address)
    host.run(*lab.machines["shared"].port.enter, "python3", "-S", "-c", _FROM_HUB, lab.switch.address)
    until("the probes have found laggard", lambda: _record(lab, "laggard").probe_at is not None, 90)
    expect("the server's own probe of laggard", _record(lab, "laggard").probe_status, Status.AFFECTED)
    timeline.tell("the server's own probes say so: squid of laggard answers strangers from its memory (P6.2)")


def _without_mail(lab: Lab, timeline: Timeline) -> None:
    """See that nobody is removed while no mail server takes the warnings, then bring it up."""
    until("laggard's final warning is ordered", lambda: _record(lab, "laggard").warning_at is not None, 90)
    expect("nobody has accepted the warning", _record(lab, "laggard").warned_at, None)
    expect("laggard, not warned, stays where it is", lab.bridge("laggard"), "br0")
    address = lab.site.management.address
    command = (COMMANDS / "python", "-m", "laboratory.mail_host", address, str(_MAIL_PORT), lab.mail)
    lab.site.start("mail", *lab.site.management.enter, *command)
    until("the mail server answers", lambda: knock(lab.site.management, address, _MAIL_PORT))
    timeline.tell(
        "the deadline is over and the warning waits: nobody is removed (A14); now the mail server is up"
    )


def _deadline(lab: Lab, timeline: Timeline) -> None:
    """Let the warning go out, and see who goes and who stays."""
    until("laggard's owner has the final warning", lambda: bool(lab.letters("laggard@example.org")), 200)
    letter = lab.letters("laggard@example.org")[0]
    timeline.tell(
        f"the mail server took laggard's warning: {letter['subject']} ({', '.join(letter['kinds'])})"
    )
    expect("the final warning has a link", "http://" in letter["text"], True)

    def gone() -> bool:
        _ours(lab)
        return lab.bridge("laggard") == "brq" and lab.bridge("mover") == "brq"

    until("laggard and mover are off the network", gone, 200)
    until("the removal is on record", lambda: _record(lab, "laggard").quarantined_at is not None, 30)
    record = _record(lab, "laggard")
    took = _warning_to_removal(record)
    timeline.figures |= {"warning_to_removal_s": took, "warning_to_removal_at_most_s": _AT_MOST_SECONDS}
    timeline.tell(f"laggard and mover are in quarantine, {took:.1f} s after the final warning counted (P6.4)")
    if not _RECHECK_SECONDS <= took <= _AT_MOST_SECONDS:
        raise LabError(
            f"{took} s from the warning to the removal: not between the re-check and the end of P6.4"
        )
    for name, why in _STAY.items():
        try:
            until(f"the record says {why} of {name}", partial(_says, lab, name, why), 60)
        except LabError as error:
            raise LabError(f"{error}; it says {lab.last_word}") from None
        expect(f"{name} stays where it was", lab.bridge(name), "br0")
    for name in _BYSTANDERS:
        expect(f"{name} stays where it was", lab.bridge(name), "br0")
    timeline.figures |= {"machines": len(lab.machines), "stayed": len(_STAY) + len(_BYSTANDERS)}
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
        records.exempt(con, lab.campaign, DeviceId("exempt"), now.replace(year=now.year + 1))


def _ours(lab: Lab) -> None:
    """Accuse the server's own machine, which must not cut itself off."""
    now = utc_now()
    seen = [Observation(DeviceId("ours"), Evidence(Witness.PROBE, Status.AFFECTED, now))]
    with opened(lab.server.data) as installation, installation.database.begin() as con:
        evidence.take(con, lab.campaign, seen, now)


def _says(lab: Lab, name: str, word: str) -> bool:
    (answer,) = lab.server.ask("why", name)
    told = lab.story(name)
    _ours(lab)
    if word in {answer["status"], answer["rule"]} or any(word in line for line in told):
        return True
    lab.last_word = f"{answer['rule']}: {told[-3:]}"
    return False


def _warning_to_removal(record: Record) -> float:
    """Count the seconds of P6.4, from the instant at which a mail server accepted the warning."""
    if record.warned_at is None or record.quarantined_at is None:
        raise LabError(f"removed without a warning: {record}")
    return (record.quarantined_at - record.warned_at).total_seconds()


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
    expect("at its new port it is on the network", lab.switch.bridge_of("p30"), "br0")

    until("the new port is closed, too", lambda: lab.switch.bridge_of("p30") == "brq", 200)
    seconds = timeline.figures["moved_to_closed_s"] = (utc_now() - began).total_seconds()
    timeline.tell(f"mover changed to another port: closed, too, after {seconds:.1f} s")
    expect("a colleague does not reach it", lab.sees("exempt", name), False)


def _mended(lab: Lab, timeline: Timeline) -> None:
    """Patch from inside, find that installed is not effective, restart, press the button, be free."""
    laggard = lab.machines["laggard"]
    names = [deb.name for deb in lab.update.debs]
    keep = ("-o", "Dpkg::Options::=--force-confold")
    for words in (("update",), (*keep, "install", "-y", "--only-upgrade", *names)):
        laggard.inside("/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *words)
    expect("installed, and the old process still runs", "affected" in lab.probe("laggard"), True)
    timeline.tell("patched from inside quarantine; the old process still runs: still off the network")
    expect("it is still in quarantine", lab.bridge("laggard"), "brq")
    lab.services["laggard"] = squid.restart_squid(lab.site, laggard, lab.services["laggard"])
    squid.await_squid(lab.site, laggard)
    lab.page("laggard", "check", "POST")
    pressed = utc_now()
    until("the wish is on record", lambda: _record(lab, "laggard").check_asked_at is not None, 10)
    until(
        "a check is ordered", lambda: any(line.startswith("held-look") for line in lab.story("laggard")), 30
    )

    until("laggard is back", lambda: lab.bridge("laggard") == "br0", 60)
    seconds = timeline.figures["asked_to_back_s"] = (utc_now() - pressed).total_seconds()
    timeline.tell(f"restarted, pressed “check me now”: back on the network after {seconds:.1f} s (P6.5)")
    until("a colleague reaches it", lambda: lab.sees("exempt", "laggard"), 10)
    expect("mover is still off", [lab.bridge("mover"), lab.switch.bridge_of("p30")], ["brq", "brq"])
    lab.server.ask("campaign", "close", lab.campaign, "--by", "distributor")
    ports = ("p2", "p30")
    until(
        "the campaign is over: everybody is back",
        lambda: all(lab.switch.bridge_of(p) == "br0" for p in ports),
        60,
    )
    verified = lab.server.ask("ledger", "verify")
    timeline.tell(f"campaign closed: mover is back; the ledger's chain holds: {json.dumps(verified)[:90]}")
