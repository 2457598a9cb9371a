"""Probes against real services of Debian: unpatched, patched but not restarted, patched; nmap beside them (P6.2)."""

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from laboratory import content, host
from laboratory.content import Pending
from laboratory.host import LabError
from laboratory.server import Server, start_server
from laboratory.site import COMMANDS, Machine, Site, knock, open_site, until
from laboratory.squid import await_squid, restart_squid, start_squid
from laboratory.timeline import Timeline

SERVICES = ("squid", "python3-aiohttp", "bind9")
"""What the base of machines with services has besides Debian itself."""
_TELLS = {"squid-icp": "squid", "http-two-hosts": "python-aiohttp", "http-range": "python-aiohttp"}
"""Probes that see a flaw's behaviour, and the source package whose update mends it."""
_VERSIONS = {"ssh-banner": "openssh", "dns-version": "bind9"}

_NAMED = """
options { directory "/tmp"; recursion no; dnssec-validation no; listen-on-v6 { none; }; pid-file "/tmp/named.pid"; };
zone "." { type hint; file "/dev/null"; };
"""
_WEB = """
from aiohttp import web
async def page(request):
    return web.FileResponse("/etc/os-release")
app = web.Application()
app.router.add_get("/", page)
web.run_app(app, port=80)
"""
_COMMANDS = {
    "sshd": ("/usr/sbin/sshd", "-D", "-e"),
    "aiohttp": ("/usr/bin/python3", "/root/web.py"),
    "named": ("/usr/sbin/named", "-g", "-c", "/root/named.conf", "-u", "root"),
}
_SETTINGS = """
policy = "policy.toml"
[[scope]]
site = "lab"
networks = ["10.77.0.0/24"]
spared = ["10.77.0.10/32"]
"""
_POLICY = 'sweep_every = "61s"\nprobe_evidence_for = "61s"\n'
"""A machine is probed again when what was seen is no longer fresh: here after a minute, the shortest there is."""


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Sweep, probe, drive squid's update, and see when it is really fixed.

    Raises:
        LabError: something did not go as PROCESS.md says.
    """
    site = open_site(directory, timeline, SERVICES)
    try:
        server = _start_server(site)
        timeline.tell("server is up; its scope is the laboratory without the server itself")
        machine, spared = site.new_machine("services"), site.new_machine("bystander")
        running = _start_services(site, machine)
        timeline.tell("sshd, squid, aiohttp and BIND of the main archive run on a machine without an agent")
        _sweep(site, server, {machine.port.address, spared.port.address}, timeline)
        before = _probe(site, server, machine, timeline)
        _expect_as_pending(site.pending, before)
        _compare_with_nmap(site, machine, timeline)
        _ask_by_nmap(site, server, machine, timeline)
        _campaign(site, server, machine, running, before, timeline)
    finally:
        site.close()


def _start_server(site: Site) -> Server:
    data = site.directory / "server"
    data.mkdir()
    (data / "forestall.toml").write_text(_SETTINGS)
    (data / "policy.toml").write_text(_POLICY)
    return start_server(site)


def _start_services(site: Site, machine: Machine) -> dict[str, subprocess.Popen[bytes]]:
    (machine.root / "run/sshd").mkdir(parents=True, exist_ok=True)
    for name, text in (("named.conf", _NAMED), ("web.py", _WEB)):
        (machine.root / "root" / name).write_text(text)
    running = {name: _start(site, machine, name) for name in _COMMANDS}
    running["squid"] = start_squid(site, machine)
    await_squid(site, machine)
    for port in (22, 53, 80):
        until(f"port {port} answers", partial(knock, site.management, machine.port.address, port))
    return running


def _start(site: Site, machine: Machine, name: str) -> subprocess.Popen[bytes]:
    return site.start(name, *machine.port.enter, "chroot", machine.root, *_COMMANDS[name])


def _inside(site: Site, server: Server, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
    """Run an operator's command where the server is: probes leave from there."""
    command = (
        *site.management.enter,
        str(COMMANDS / "forestall"),
        *arguments,
        "--json",
        "--data",
        str(server.data),
    )
    return json.loads(host.run(*command))


def _sweep(site: Site, server: Server, wanted: set[str], timeline: Timeline) -> None:
    swept = _inside(site, server, "find", "sweep", "--port", "22")
    found = {address for machine in _inside(site, server, "find", "ls") for address in machine["addresses"]}
    if found != wanted:
        raise LabError(f"the sweep found {sorted(found)}, there are {sorted(wanted)}")
    timeline.tell(
        f"swept 253 addresses in {swept['seconds']:.1f} s: {swept['counts']}; all are found, none besides"
    )


def _probe(site: Site, server: Server, machine: Machine, timeline: Timeline) -> dict[str, Any]:
    rows = _inside(site, server, "probe", "run", machine.port.address)
    answers = {row["probe"]: row["answer"] for row in rows}
    for name in (*_TELLS, *_VERSIONS):
        timeline.tell(
            f"{name}: {answers[name]['status']}: {answers[name]['detail']} ({answers[name]['proof']})"
        )
    for name, package in _VERSIONS.items():
        installed = machine.inside(
            "dpkg-query", "-W", "-f", "${source:Version} ${source:Package}\n"
        ).splitlines()
        version = next(line.split()[0] for line in installed if line.endswith(f" {package}"))
        if version.partition(":")[2] != answers[name]["version"]:
            raise LabError(f"{name} reads {answers[name]['version']}, dpkg says {version}")
    return answers


def _expect_as_pending(pending: Sequence[Pending], answers: dict[str, Any]) -> None:
    """Who lacks the update that mends a flaw is affected; who has it is not."""
    telling = [update for update in pending if update.source in _TELLS.values()]
    mends = {update.source: json.loads(content.advisory_of(update))["cves"] for update in telling}
    flaws = {
        "squid-icp": "CVE-2026-33526",
        "http-two-hosts": "CVE-2026-34525",
        "http-range": "CVE-2025-69225",
    }
    for name, source in _TELLS.items():
        wanted = "affected" if flaws[name] in mends.get(source, ()) else "fixed"
        if answers[name]["status"] != wanted:
            raise LabError(f"{name}: wanted {wanted}, found {answers[name]}")


def _compare_with_nmap(site: Site, machine: Machine, timeline: Timeline) -> None:
    """Nmap's own greeting of SSH and DNS must read the same versions."""
    command = (
        "nmap",
        "-n",
        "-Pn",
        "-sT",
        "-sU",
        "-p",
        "T:22,U:53",
        "--script",
        "banner,dns-nsid",
        "-oX",
        "-",
    )
    told = host.run(*site.management.enter, *command, machine.port.address)
    root = ET.fromstring(told)  # noqa: S314 - written by nmap just now
    outputs = {each.get("id"): each.get("output") or "" for each in root.iter("script")}
    ours = {name: json.loads(host.run(*_own_probe(site, machine, name)))["version"] for name in _VERSIONS}
    pairs = (("banner", ours["ssh-banner"].partition("-")[2]), ("dns-nsid", ours["dns-version"]))
    for script, version in pairs:
        if version not in outputs.get(script, ""):
            raise LabError(f"nmap's {script} says {outputs.get(script)!r}, we read {version}")
    timeline.tell(f"nmap reads the same: {outputs['banner']}; {' '.join(outputs['dns-nsid'].split())}")


def _ask_by_nmap(site: Site, server: Server, machine: Machine, timeline: Timeline) -> None:
    """The second engine: one of nmap's own scripts, through our command."""
    flaw = ("--flaw", "CVE-2015-1635", "--engine", "nmap")
    (row,) = _inside(site, server, "probe", "run", machine.port.address, *flaw)
    if row["answer"]["status"] != "not_affected":
        raise LabError(f"aiohttp is no HTTP.sys, yet nmap's script says {row}")
    timeline.tell(f"{row['probe']}: {row['answer']['status']}: {row['answer']['detail']}")


_OWN = """
import json, sys
from ipaddress import ip_network
from forestall.domain.device import SiteId
from forestall.domain.scope import Area, Scope
from forestall.probes.probe import probe_named, run
scope = Scope((Area(SiteId("lab"), (ip_network(sys.argv[1]),)),))
print(json.dumps({"version": run([(sys.argv[1], probe_named(sys.argv[2]))], scope)[0].answer.version}))
"""


def _own_probe(site: Site, machine: Machine, name: str) -> tuple[str, ...]:
    return (*site.management.enter, sys.executable, "-c", _OWN, machine.port.address, name)


def _campaign(
    site: Site,
    server: Server,
    machine: Machine,
    running: dict[str, subprocess.Popen[bytes]],
    before: dict[str, Any],
    timeline: Timeline,
) -> None:
    update = next((each for each in site.pending if each.source == "squid"), None)
    if update is None or before["squid-icp"]["status"] != "affected":
        timeline.tell("squid lacks nothing today that a probe could see: no campaign")
        return
    upload = site.directory / "bookworm-uploads.jsonl"
    upload.write_text(content.advisory_of(update) + "\n")
    server.ask("advisory", "pull", str(upload))
    server.ask("rate", update.remediation, "--exposure", "--reason", "memory of others", "--by", "rater")
    made = server.ask("campaign", "start", update.remediation, "--voluntary", "1d", "--by", "distributor")
    timeline.tell(f"campaign {made['campaign']} for {update.remediation}")
    address = machine.port.address
    _await(server, address, "affected", timeline)
    machine.inside("apt-get", "-q", "update")
    names = [deb.name for deb in update.debs]
    machine.inside("apt-get", "-q", "-y", "-o", "Dpkg::Options::=--force-confold", "install", *names)
    still = _inside(site, server, "probe", "run", address, "--flaw", update.remediation)
    if "affected" not in {row["answer"]["status"] for row in still}:
        raise LabError(f"the old process runs on, yet no probe says so: {still}")
    timeline.tell("the update is installed, the old process runs on: still affected")
    running["squid"] = restart_squid(site, machine, running["squid"])
    timeline.tell("squid is restarted")
    _await(server, address, "fixed", timeline)


def _await(server: Server, address: str, status: str, timeline: Timeline) -> None:
    """Wait until the server itself has probed the machine and says so."""
    name = next(each["id"] for each in server.ask("devices") if address in each["addresses"])
    found: dict[str, Any] = {}

    def met() -> bool:
        (answer,) = server.ask("why", name)
        found.update(answer)
        return bool(answer["status"] == status)

    try:
        until(f"{address} is {status}", met, 180)
    except LabError as error:
        raise LabError(f"{error}; {found['status']}: {found['evidence']}, {found['story'][-3:]}") from None
    seen = [line for line in found["evidence"] if "probe" in line]
    timeline.tell(f"the server's own probe: {seen[-1] if seen else status}")
