"""The agent as a service of a machine that really boots: services anew, one that breaks, kill -9, one real restart."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from forestall.agent import channel_rpm
from forestall.agent.rpm import rpm_at
from forestall.clock import utc_now
from laboratory import content, host
from laboratory.booted import PACKAGES, Booted, boot
from laboratory.content import Pending
from laboratory.drive import agent, await_shown, begin, expect
from laboratory.homemade import Package
from laboratory.host import LabError
from laboratory.power_cut import dpkgs
from laboratory.server import Server, start_server
from laboratory.site import Site, open_site, until
from laboratory.timeline import Timeline

_VOLUNTARY = "60s"
_SETTINGS = 'policy = "policy.toml"\n'
_POLICY = 'restart = "deadline"\n'
_STATE = "var/lib/forestall-agent/state.json"
_JOURNAL = "var/lib/forestall-agent/journal.jsonl"
_LIBRARY = "usr/lib/laboratory/liblaboratory.so.1"
_WEB = "usr/lib/labweb/serve"
_UNIT = """[Unit]
Description={what}
[Service]
ExecStart={command}
{more}
[Install]
WantedBy=multi-user.target
"""
_BREAKS = "systemctl daemon-reload\nsystemctl restart labweb.service || true"
_ASKS = "touch /run/reboot-required\necho labstub >> /run/reboot-required.pkgs"
_TMPFILES = b"f /run/reboot-required 0644 - - -\nf /run/reboot-required.pkgs 0644 - - - labstub\n"
"""An update that waits for a restart after every restart."""


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Live through it on one machine.

    Raises:
        LabError: something did not go as PROCESS.md says.
    """
    site = open_site(directory, timeline, PACKAGES)
    booted: Booted | None = None
    try:
        update = content.choose(site.pending)
        booted = _boot(site, timeline)
        data = site.directory / "server"
        data.mkdir()
        (data / "policy.toml").write_text(_POLICY)
        (data / "forestall.toml").write_text(_SETTINGS)
        server = start_server(site)
        _enrol(server, booted, timeline)
        _services_anew(site, server, booted, timeline)
        _broken_service(site, server, booted, timeline)
        _silence_by_systemd(booted, timeline)
        _real_restart(site, server, booted, update, timeline)
    finally:
        if booted is not None:
            (directory / "agent.log").write_text((booted.machine.root / _JOURNAL).read_text())
            booted.switch_off()
        site.close()


def _boot(site: Site, timeline: Timeline) -> Booted:
    """Give the machine what it runs, then let it start."""
    machine = site.new_machine("booted")
    root = machine.root
    library = next((root / "usr/lib/x86_64-linux-gnu").glob("libz.so.1.*")).read_bytes()
    program = (root / "usr/bin/sleep").read_bytes()
    (root / "etc/systemd/system/labd.service").write_text(
        _UNIT.format(
            what="A daemon that uses a library",
            command="/usr/bin/sleep infinity",
            more=f"Environment=LD_PRELOAD=/{_LIBRARY}",
        )
    )
    for package in (
        Package("laboratory", "1.0", {_LIBRARY: library}),
        _web("1.0", program, f"/{_WEB} infinity", "systemctl enable labd.service labweb.service"),
        Package("labstub", "1.0"),
    ):
        deb = package.build(site)
        (root / "root/package.deb").write_bytes(deb.read_bytes())
        machine.inside("dpkg", "--install", "/root/package.deb")
    Package("laboratory", "1.1", {_LIBRARY: library}).offer(site)
    booted = boot(site, machine)
    expect(
        "what systemd could not start", booted.inside("systemctl", "--failed", "--plain", "--no-legend"), ""
    )
    running = booted.inside(
        "systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend"
    )
    names = [line.split()[0].removesuffix(".service") for line in running.splitlines()]
    timeline.tell(f"the machine has booted: {', '.join(names)} run")
    return booted


def _web(version: str, program: bytes, command: str, script: str) -> Package:
    unit = _UNIT.format(what="A web server", command=command, more="")
    files = {_WEB: program, "usr/lib/systemd/system/labweb.service": unit.encode()}
    return Package("labweb", version, files, {"postinst": script})


def _enrol(server: Server, booted: Booted, timeline: Timeline) -> None:
    made = server.ask("enroll", "token", "--site", "lab", "--uses", "1")
    known = ("--token", made["token"], "--fingerprint", made["fingerprint"])
    host.run(*booted.agent("enrol", "--server", server.agents, *known))
    unit = booted.machine.root / "etc/systemd/system/forestall-agent.service"
    unit.write_text(host.run(*booted.agent("unit")))
    booted.inside("systemctl", "daemon-reload")
    booted.inside("systemctl", "enable", "--now", "forestall-agent.service")
    until("the agent has checked in", lambda: _remembered(booted).get("checked_at") is not None)
    complaints = booted.inside("systemd-analyze", "verify", "forestall-agent.service")
    expect("what systemd says of the unit", complaints, "")
    timeline.tell("enrolled; forestall-agent.service runs by its own unit and has checked in")


# -- services in place of the machine ---------------------------------------------------------------------------


def _services_anew(site: Site, server: Server, booted: Booted, timeline: Timeline) -> None:
    """A library below a running service: installed, not in force, in force (A6)."""
    update = _pending(site, "laboratory", "1.1")
    old = booted.inside("systemctl", "show", "--property=MainPID", "--value", "labd.service").strip()
    campaign = begin(site, server, update, timeline, "1h")
    until("it is offered", lambda: _order(booted, campaign, "check")["status"] == "affected", 30)
    agent(booted, "install", campaign)
    order = _order(booted, campaign)
    expect("installed, and not in force", order["status"], "pending_restart")
    until("the server hears of it", lambda: _shown(server, campaign)["pending_restart"] == 1)
    timeline.tell(
        f"the person installs {update.source}: {order['detail']}; the server counts it as pending_restart"
    )
    until("the person is asked", lambda: bool(_asked(booted)))
    timeline.tell(f"asked: {_asked(booted)['title']}: {_asked(booted)['sentences'][0]}")
    host.run(*booted.agent("ask", "--now", "--json"))
    await_shown(server, campaign, {"fixed": 1, "pending_restart": 0}, 60)
    new = booted.inside("systemctl", "show", "--property=MainPID", "--value", "labd.service").strip()
    expect("labd is another process", new != old, True)
    expect("the machine was not restarted", booted.boots, 1)
    (told,) = _told(booted, "services started anew")
    timeline.tell(f"now: {told['detail']} started anew (process {old} is {new}), the machine stays up; fixed")


# -- an update that breaks a service ----------------------------------------------------------------------------


def _broken_service(site: Site, server: Server, booted: Booted, timeline: Timeline) -> None:
    """P4.2: its service does not come up any more, and the next ring does not get it."""
    program = (booted.machine.root / "usr/bin/sleep").read_bytes()
    update = _web("1.1", program, f"/{_WEB} --no-such-option", _BREAKS).offer(site)
    server.ask("rings", "add", "team", booted.name)
    campaign = begin(site, server, update, timeline, "1h", "--rings")
    until("it is offered", lambda: _order(booted, campaign, "check")["status"] == "affected", 30)
    agent(booted, "install", campaign)
    until("the server hears of the service", lambda: bool(_testers(server, campaign)[0]["services"]))
    (tester,) = _testers(server, campaign)
    found = (tester["services"], tester["verdict"])
    expect("what the server knows of its test", found, (["labweb.service"], "broke"))
    timeline.tell(
        f"{update.source} 1.1 is installed, and its service does not come up: the server hears of it at once"
    )


# -- what systemd makes of the silence --------------------------------------------------------------------------


def _silence_by_systemd(booted: Booted, timeline: Timeline) -> None:
    """P5.5: a service of dnf-automatic's name sees the copy while the lease lasts, and its own file afterwards."""
    root = booted.machine.root
    (root / "etc/dnf").mkdir()
    (root / channel_rpm.AUTOMATIC).write_text("[base]\ndebuglevel = 1\n")
    unit = root / "etc/systemd/system/dnf-automatic-install.service"
    unit.write_text(f"[Service]\nType=oneshot\nExecStart=/usr/bin/cp /{channel_rpm.AUTOMATIC} /root/seen\n")
    outcome = channel_rpm.keep(rpm_at(root, root / "root"), ["bash"])
    expect("silenced", outcome.done, True)
    booted.inside("systemctl", "daemon-reload")
    for hours, wanted in ((0, True), (25, False)):
        then = (utc_now() - timedelta(hours=hours)).timestamp()
        os.utime(root / channel_rpm.COPY, (then, then))
        booted.inside("systemctl", "start", "dnf-automatic-install.service")
        seen = (root / "root/seen").read_text()
        expect(f"bash is excluded {hours} hours after a renewal", "excludepkgs = bash" in seen, wanted)
    expect(
        "its own file is as it was", (root / channel_rpm.AUTOMATIC).read_text(), "[base]\ndebuglevel = 1\n"
    )
    timeline.tell(
        "dnf-automatic's services see the covered packages excluded, and no longer once nobody renews it"
    )


# -- a cut, a restart -------------------------------------------------------------------------------------------


def _real_restart(site: Site, server: Server, booted: Booted, update: Pending, timeline: Timeline) -> None:
    """Two updates that need the machine (A6); one of them will ask for a restart for ever."""
    tmpfiles = {"usr/lib/tmpfiles.d/labstub.conf": _TMPFILES}
    stubborn = Package("labstub", "1.1", tmpfiles, {"postinst": _ASKS}).offer(site)
    vain, real = (begin(site, server, each, timeline, _VOLUNTARY) for each in (stubborn, update))
    _cut_off(booted, timeline)
    until("both are installed", lambda: not _open(booted, [vain, real]), 240)
    order = _order(booted, real)
    expect(f"{update.source} waits for the machine", order["status"], "pending_restart")
    timeline.tell(f"{update.source}: {order['detail']}")
    _grow_old(booted, timeline)
    until("it counts down", lambda: _asked(booted).get("counting_to") is not None, 60)
    timeline.tell(f"counted down: {_asked(booted)['title']}: {_asked(booted)['sentences'][-1]}")
    until("the agent asks for the restart", lambda: bool(_told(booted, "restart asked for")), 120)
    timeline.tell("the countdown is over: restart asked for, a minute's notice")
    booted.await_boot(2, 180)
    timeline.tell("the machine has restarted; the agent is back by itself")
    await_shown(server, real, {"fixed": 1}, 120)
    timeline.tell(f"{update.source} is fixed, seen so after the restart")
    _never_again(booted, vain, timeline)


def _cut_off(booted: Booted, timeline: Timeline) -> None:
    """Kill agent and package tool in the middle of it; systemd and the next start do the rest (R23)."""
    until("dpkg runs", lambda: bool(dpkgs(booted.machine.root)), 240)
    old = booted.main_pid()
    booted.inside("systemctl", "kill", "--signal=KILL", "--kill-whom=all", "forestall-agent.service")
    timeline.tell(
        f"kill -9 of the agent (process {old}) and of dpkg below it, in the middle of the installation"
    )
    until("systemd has started it again", lambda: booted.main_pid() not in {0, old}, 60)
    until("it has mended what was cut off", lambda: bool(_told(booted, "repair")), 120)
    expect("dpkg finds nothing wrong", booted.inside("dpkg", "--audit"), "")
    timeline.tell(
        f"started again by systemd as process {booted.main_pid()}: {_told(booted, 'repair')[-1]['detail']}"
    )


def _grow_old(booted: Booted, timeline: Timeline) -> None:
    """Let the agent believe that it installed half an hour ago, but for some seconds: nobody waits for that here."""
    booted.inside("systemctl", "stop", "forestall-agent.service")
    remembered = _remembered(booted)
    since = (utc_now() - timedelta(minutes=29, seconds=20)).isoformat()
    for held in remembered["held"].values():
        held["installed_at"] = held["installed_at"] and since
    (booted.machine.root / _STATE).write_text(json.dumps(remembered))
    booted.inside("systemctl", "start", "forestall-agent.service")
    timeline.tell("29 minutes later, as far as the agent knows")


def _never_again(booted: Booted, vain: str, timeline: Timeline) -> None:
    """A6: what a restart did not help is not restarted for again, in however many passes."""
    order = _order(booted, vain, "check")
    expect("labstub waits for another restart", order["status"], "pending_restart")
    for _ in range(3):
        agent(booted, "check")
    expect("restarts asked for", len(_told(booted, "restart asked for")), 1)
    expect("it is left to a person", _remembered(booted)["person"]["restart_rule"], "restarted-in-vain")
    expect("boots", booted.boots, 2)
    timeline.figures |= {"boots": booted.boots, "restarts_asked_for": 1}
    timeline.tell(
        "labstub asks for a restart still: restarted in vain, never again for the same; a person looks"
    )


# -- what it says -----------------------------------------------------------------------------------------------


def _pending(site: Site, source: str, version: str) -> Pending:
    path = next((site.directory / "store/pool").glob(f"{source}-*{version.rpartition('.')[2]}.deb"))
    return Pending(source, version, (content.read_deb(path),))


def _remembered(booted: Booted) -> Any:  # noqa: ANN401 - whatever JSON says
    path = booted.machine.root / _STATE
    return json.loads(path.read_text()) if path.exists() else {}


def _told(booted: Booted, event: str) -> list[Any]:
    lines = (booted.machine.root / _JOURNAL).read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def _order(booted: Booted, campaign: str, command: str = "status") -> Any:  # noqa: ANN401 - as above
    orders = {order["campaign"]: order for order in agent(booted, command)["orders"]}
    return orders.get(campaign, {"status": ""})


def _open(booted: Booted, campaigns: list[str]) -> list[str]:
    held = _remembered(booted)["held"]
    return [
        each for each in campaigns if held.get(each, {}).get("status") not in {"fixed", "pending_restart"}
    ]


def _asked(booted: Booted) -> Any:  # noqa: ANN401 - as above
    try:
        return agent(booted, "ask").get("question") or {}
    except LabError:  # its service has just been started: nobody listens yet
        return {}


def _shown(server: Server, campaign: str) -> Any:  # noqa: ANN401 - as above
    return server.ask("campaign", "show", campaign)


def _testers(server: Server, campaign: str) -> Any:  # noqa: ANN401 - as above
    return server.ask("rings", "testers", campaign)
