"""Installers on real machines: rpm and dnf, unattended-upgrades silenced and given back, a setting of the kernel."""

import json
import os
import re
import sys
from datetime import timedelta
from pathlib import Path

from forestall.agent import channel, channel_rpm
from forestall.agent.debian import debian_at
from forestall.agent.installers import dnf
from forestall.agent.installers.outcome import Outcome
from forestall.agent.inventory import rpm as packages
from forestall.domain.inventory import PackageState
from laboratory import clones, content, host
from laboratory.break_glass import expect
from laboratory.host import LabError
from laboratory.rpm_machine import PACKAGES, RpmMachine, make_rpm_machine
from laboratory.site import Machine, Site, open_site
from laboratory.timeline import Timeline

_STAGES = ("pre", "post", "posttrans", "preun", "postun")
"""The scripts of the new package, then of the old one, in which dnf is killed."""
_PAIRS = 2_000
_AUTOMATIC = """[commands]
random_sleep = 0
[emitters]
emit_via = stdio
[base]
excludepkgs = shut
"""
_SETTING = """
import json, sys
from pathlib import Path
from forestall.agent.installers import recipes
from forestall.agent.installers.steps import Machine
from forestall.domain.recipe import SetKernel
root = Path(sys.argv[1])
machine, log = Machine(root, root / "var/lib/forestall-agent"), root / "var/lib/forestall-agent/log"
name, recipe, live = "any/redirects/1", SetKernel("net.ipv4.conf.all.accept_redirects", "0"), []
def look():
    value = (root / "proc/sys/net/ipv4/conf/all/accept_redirects").read_text().strip()
    live.append([recipes.detect(machine, name, recipe).status, value])
look(); done = [recipes.install(machine, name, recipe, log).done]
look(); done += [recipes.undo(machine, name, recipe, log).done]
look(); print(json.dumps([live, done]))
"""


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Let each installer work on a machine of its kind.

    Raises:
        LabError: something did not go as it should.
    """
    site = open_site(directory, timeline)
    try:
        _one_channel(site, timeline)
        _setting(site, timeline)
        _rpm(site, timeline)
    finally:
        site.close()


def _equipped(site: Site, name: str, *packages: str) -> Machine:
    machine = site.new_machine(name)
    clones.install(machine.root, host.host_archive(), packages)
    content.point_at_store(machine.root, site.public_key, site.management.address)
    return machine


# -- one channel ----------------------------------------------------------------------------------------------


def _one_channel(site: Site, timeline: Timeline) -> None:
    machine, update = _equipped(site, "native", "unattended-upgrades"), content.choose(site.pending)
    debian, names = debian_at(machine.root), {deb.name for deb in update.debs}
    parts = machine.root / "etc/apt/apt.conf.d"
    (parts / "51laboratory").write_text('Unattended-Upgrade::Origins-Pattern { "origin=Laboratory"; };\n')
    machine.inside("apt-get", "-q", "update")
    would = _would_upgrade(machine)
    covered, others = would & names, would - names
    if not covered or not others:
        raise LabError(f"unattended-upgrades would bring {would}: not both covered packages and others")
    timeline.tell(
        f"unattended-upgrades would bring {len(would)} packages, {', '.join(sorted(covered))} among them"
    )

    channel.keep(debian, covered)
    expect("unattended-upgrades leaves alone what is covered, and only that", _would_upgrade(machine), others)
    timeline.tell(f"silenced for {', '.join(sorted(covered))}: it would bring the other {len(others)}")
    channel.keep(debian, ())
    expect("everything is given back", _would_upgrade(machine), would)

    channel.keep(debian, covered)
    drop_in = machine.root / channel.COVERED
    old = drop_in.stat().st_mtime - timedelta(hours=25).total_seconds()
    os.utime(drop_in, (old, old))
    (expire,) = re.findall(r"^ExecStartPre=-(.+)$", (machine.root / channel.LEASE).read_text(), re.MULTILINE)
    machine.inside(*expire.split())
    expect("a silence that nobody renewed has ended", _would_upgrade(machine), would)
    timeline.tell("given back; and a silence of a dead agent ended by itself")


def _would_upgrade(machine: Machine) -> set[str]:
    said = machine.inside("unattended-upgrade", "--dry-run", "--verbose")
    found = re.search(r"^Packages that will be upgraded: (.*)$", said, re.MULTILINE)
    return set(found[1].split()) if found else set()


# -- a setting ------------------------------------------------------------------------------------------------


def _setting(site: Site, timeline: Timeline) -> None:
    machine = site.new_machine("setting")
    (machine.root / "var/lib/forestall-agent").mkdir(mode=0o700)
    said = host.run(*machine.port.enter, sys.executable, "-c", _SETTING, machine.root)
    wanted = [[["affected", "1"], ["fixed", "0"], ["affected", "1"]], [True, True]]
    expect("a kernel parameter is set and taken back", json.loads(said), wanted)
    timeline.tell("a parameter of a real kernel: affected, fixed, taken back")


# -- rpm ------------------------------------------------------------------------------------------------------


def _rpm(site: Site, timeline: Timeline) -> None:
    agent = site.directory / "rpm-agent"
    agent.mkdir(mode=0o700)
    machine = make_rpm_machine(_equipped(site, "redhat", *PACKAGES), agent)
    asked = machine.compared(_PAIRS)
    timeline.tell(f"{asked} random pairs of versions asked of rpm itself: all as we put them")
    log = site.directory / "dnf.log"
    machine.offer("tool", "1.0")
    machine.have("tool")
    machine.offer("tool", "1.1")
    machine.offer("tool", "1.2")
    _upgrade(machine, log, timeline)
    _one_channel_rpm(machine, timeline)
    _refusals(machine, log, timeline)
    for stage in _STAGES:
        _cut_off(machine, stage, log, timeline)


def _upgrade(machine: RpmMachine, log: Path, timeline: Timeline) -> None:
    pins = dnf.pins_of(packages.take(machine.rpm), "tool", "1.1-1")
    _done("download", dnf.download(machine.rpm, pins))
    expect("a download installs nothing (P5.3)", machine.installed()[-1], "tool-1.0")
    _done("install", dnf.install(machine.rpm, pins, log))
    expect("the exact version is there, not the newest", machine.installed()[-1], "tool-1.1")
    back = dnf.pins_of(packages.take(machine.rpm), "tool", "1.0-1")
    _done("undo", dnf.undo(machine.rpm, back, log))
    expect("it was taken back (A7)", machine.installed()[-1], "tool-1.0")
    timeline.tell("dnf: downloaded ahead, installed exactly 1.1 with 1.2 in the archive, taken back to 1.0")


def _one_channel_rpm(machine: RpmMachine, timeline: Timeline) -> None:
    """P5.5: dnf-automatic by its own program, with the administrator's file and with the one that it is shown."""
    for version in ("1.0", "1.1"):
        machine.offer("other", version)
        machine.offer("shut", version)
        if version == "1.0":
            machine.have("other", "shut")
    root = machine.rpm.path
    (root / "etc/dnf/automatic.conf").write_text(_AUTOMATIC)
    expect("dnf-automatic would bring", machine.automatic("automatic.conf"), {"tool", "other"})
    _done("silence", channel_rpm.keep(machine.rpm, ["tool"]))
    expect("what is covered is left alone", machine.automatic("automatic-forestall.conf"), {"other"})
    _done("give back", channel_rpm.keep(machine.rpm, []))
    expect("nothing is left of it", (root / channel_rpm.COPY).exists(), False)
    timeline.tell(
        "dnf-automatic leaves tool alone while it is covered, and what its administrator excludes; brings the rest"
    )


def _refusals(machine: RpmMachine, log: Path, timeline: Timeline) -> None:
    machine.offer("friend", "1.0")
    machine.have("friend")
    machine.offer("tool", "1.3", "Obsoletes: friend")
    machine.offer("tool", "1.4", "Requires: nothing-of-the-kind")
    machine.offer("tool", "1.5", signed=False)
    for version, why in {
        "1.3": "would remove friend",
        "1.4": "finds no way",
        "1.5": "not signed",
        "1.9": "finds no way",
    }.items():
        outcome = dnf.install(machine.rpm, [f"tool-0:{version}-1.noarch"], log)
        if outcome.done or why not in outcome.detail:
            raise LabError(f"tool {version}: wanted a refusal with {why!r}, found {outcome}")
    asked = [each for each in machine.installed() if each.startswith(("friend", "tool"))]
    expect("nothing changed", asked, ["friend-1.0", "tool-1.0"])
    timeline.tell("dnf refused what removes packages, cannot be resolved, is not signed, is not there")


def _cut_off(machine: RpmMachine, stage: str, log: Path, timeline: Timeline) -> None:
    name, old = f"part-{stage}", stage in {"preun", "postun"}
    machine.offer(name, "1.0", cut_in=stage if old else "")
    machine.have(name)
    machine.offer("brought", "1.0" if stage == "pre" else "2.0")
    machine.offer(name, "1.1", "Requires: brought", cut_in="" if old else stage)
    machine.arm()
    pins = [f"{name}-0:1.1-1.noarch"]
    expect(f"dnf was killed in %{stage}", dnf.install(machine.rpm, pins, log).done, False)
    broken = _broken(machine)
    if not broken:
        raise LabError(f"killed in %{stage}: rpm has {machine.installed()}, and nothing is called broken")
    _done(f"repair after %{stage}", dnf.repair(machine.rpm, log))
    expect("nothing is broken any more", _broken(machine), [])
    if f"{name}-1.1" not in machine.installed():  # cut off before its turn came
        _done("install", dnf.install(machine.rpm, pins, log))
    expect("it stands once", [each for each in machine.installed() if each.startswith(name)], [f"{name}-1.1"])
    expect("a second repair finds nothing", dnf.repair(machine.rpm, log).detail, "nothing to repair")
    timeline.tell(f"dnf killed in %{stage}: {', '.join(broken)} broken, never fixed; repaired")


def _broken(machine: RpmMachine) -> list[str]:
    return [
        f"{each.name} {each.version}"
        for each in packages.take(machine.rpm).packages
        if each.state is PackageState.BROKEN
    ]


def _done(what: str, outcome: Outcome) -> None:
    if not outcome.done:
        raise LabError(f"{what}: {outcome.detail}")
