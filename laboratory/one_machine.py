"""The main job with real parts: an advisory becomes a patched machine, by force on one, by choice on the other."""

import json
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from forestall.agent import restarts
from forestall.agent.debian import debian_at
from forestall.agent.inventory import dpkg
from laboratory import content, host
from laboratory.content import Pending
from laboratory.drive import agent, await_shown, begin, expect, join
from laboratory.host import LabError
from laboratory.server import Server, start_server
from laboratory.site import Machine, Site, open_site, until
from laboratory.timeline import Timeline

_VOLUNTARY = "60s"


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Live through one campaign.

    Raises:
        LabError: something did not go as PROCESS.md says.
    """
    site = open_site(directory, timeline)
    try:
        update = content.choose(site.pending)
        server = start_server(site)
        timeline.tell(f"server is up at {server.agents}")
        ignorer, chooser = site.new_machine("ignorer"), site.new_machine("chooser")
        for machine in (ignorer, chooser):
            join(site, server, machine)
        timeline.tell("two machines are enrolled and have sent their inventories")
        old = _start_old_process(site, ignorer, update)
        timeline.tell(f"{old} runs on ignorer with the code that the update will replace")
        before = _versions(ignorer, update)
        campaign = _campaign(site, server, update, (ignorer, chooser), timeline)
        _way_back(server, campaign, update, (ignorer, chooser), before, timeline)
    finally:
        site.close()


def _campaign(
    site: Site, server: Server, update: Pending, machines: tuple[Machine, Machine], timeline: Timeline
) -> str:
    ignorer, chooser = machines
    campaign = begin(site, server, update, timeline, _VOLUNTARY)
    for machine in machines:
        until(f"{machine.name} is offered it", partial(_is_offered, machine), 10)
    timeline.tell("both machines are offered it; neither has installed anything by itself")
    expect("nothing was installed", _versions(ignorer, update) & {update.version}, set())

    agent(chooser, "install", campaign)
    timeline.tell("the person at chooser installs it")
    await_shown(server, campaign, {"voluntary": 1}, 60)
    timeline.tell("the server counts chooser as fixed voluntarily")
    expect("ignorer still has the old version", _versions(ignorer, update) & {update.version}, set())

    await_shown(server, campaign, {"affected": 0, "pending_restart": 1}, 180)
    timeline.tell("deadline passed: ignorer was forced; an old process runs on: pending_restart, not fixed")
    expect("the new version is on disk", _versions(ignorer, update), {update.version})

    _stop_old_processes(ignorer)
    timeline.tell("the old process is stopped")
    shown = await_shown(server, campaign, {"fixed": 2, "voluntary": 1, "forced": 1, "concerned": 2}, 60)
    timeline.tell(f"both machines are fixed, compliance {shown['compliance'][0]:.0%}")
    expect("compliance is certain", shown["compliance"], [1.0, 1.0])
    _tell_ledger(server, campaign, ignorer, chooser, timeline)
    for machine in machines:
        _tell_why(server, machine, timeline)
    return campaign


def _way_back(
    server: Server,
    campaign: str,
    update: Pending,
    machines: tuple[Machine, Machine],
    before: set[str],
    timeline: Timeline,
) -> None:
    """A7: the update turns out to do harm; it is withdrawn, and taken back where it was installed."""
    chooser, (old,) = machines[1], before
    server.ask("campaign", "withdraw", campaign, "--by", "distributor")
    server.ask(
        "keys", "approve", "--undo", f"{update.remediation}={old}", "--voluntary", "45s", "--by", "tester"
    )
    undo = str(
        server.ask("campaign", "undo", campaign, "--voluntary", "45s", "--by", "distributor")["campaign"]
    )
    timeline.tell(
        f"{campaign} is withdrawn; two offline keys have signed the way back to {old}; {undo} starts"
    )
    for machine in machines:
        until(f"{machine.name} is offered it", partial(_is_offered, machine), 15)
    agent(chooser, "install", undo)
    await_shown(server, undo, {"voluntary": 1}, 60)
    timeline.tell("the person at chooser takes it back, and the server counts that")
    await_shown(server, undo, {"fixed": 2, "forced": 1}, 120)
    for machine in machines:
        expect(f"{machine.name} has the old version again", _versions(machine, update), before)
    timeline.tell("ignorer was forced back; both machines have the old version again")


def _is_offered(machine: Machine) -> bool:
    return [order["status"] for order in agent(machine, "check")["orders"]] == ["affected"]


def _start_old_process(site: Site, machine: Machine, update: Pending) -> str:
    """Start sshd; where it does not use the update's libraries, a process that holds on to one of them."""
    (machine.root / "run/sshd").mkdir(parents=True, exist_ok=True)
    enter = (*machine.port.enter, "chroot", str(machine.root))
    sshd = site.start("sshd", *enter, "/usr/sbin/sshd", "-D", "-e")
    until("sshd runs", lambda: "libc.so" in _maps(sshd))
    libraries = content.libraries(update)
    if any(library in _maps(sshd) for library in libraries):
        return "sshd"
    sleeper = site.start("sleep", *enter, "/usr/bin/env", f"LD_PRELOAD={libraries[0]}", "sleep", "10000")
    until("sleep holds the library", lambda: libraries[0] in _maps(sleeper))
    return "sleep"


def _maps(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/maps").read_text(errors="replace")


def _stop_old_processes(machine: Machine) -> None:
    for stale in restarts.scan(machine.root):
        host.run("kill", str(stale.pid))


def _versions(machine: Machine, update: Pending) -> set[str]:
    packages = dpkg.take(debian_at(machine.root)).packages
    return {package.source_version for package in packages if package.source == update.source}


def _tell_ledger(
    server: Server, campaign: str, ignorer: Machine, chooser: Machine, timeline: Timeline
) -> None:
    """Read the record: what happened to each machine, in order, with the rule that asked for it."""
    names = {device["id"]: device["name"] for device in server.ask("devices")}
    stories: dict[str, list[str]] = {ignorer.name: [], chooser.name: []}
    for entry in server.ask("ledger", "show", "--campaign", campaign):
        event = entry["event"]
        word = event["rule"] or (event["body"] or {}).get("status") or event["kind"]
        subject = names.get(event["subject"], event["subject"])
        for name, story in stories.items():
            if subject not in stories or subject == name:
                story.append(word)
        paragraph = event["paragraph"] and f" ({event['paragraph']})"
        timeline.tell(f"ledger {entry['sequence']}: {subject}: {word}{paragraph}, by {event['actor']}")
    # The agent keeps the deadline by itself: a busy server's turn may come after it.
    expect("the deadline passed", "deadline" in stories[ignorer.name], True)
    forced = ("campaign_started", "distribute", "offer", "affected", "pending_restart", "fixed")
    _in_order("the ledger's story of ignorer", stories[ignorer.name], forced)
    by_choice = ("campaign_started", "distribute", "offer", "affected", "fixed", "deadline")
    _in_order("the ledger's story of chooser", stories[chooser.name], by_choice)
    expect("chooser was not forced", "force" in stories[chooser.name], False)
    verified = server.ask("ledger", "verify")
    timeline.tell(f"the ledger's chain holds: {json.dumps(verified)[:120]}")


def _tell_why(server: Server, machine: Machine, timeline: Timeline) -> None:
    """Ask the server why, and the machine itself what was done to it."""
    (answer,) = server.ask("why", machine.name)
    expect(f"why {machine.name}", answer["status"], "fixed")
    rule = next(row for row in answer["rules"] if row["applies"])
    done = [entry["event"] for entry in agent(machine, "status")["done"]]
    timeline.tell(
        f"why {machine.name}: rule {rule['name']} ({rule['paragraph']}); its own journal: {'; '.join(done)}"
    )


def _in_order(what: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    rest = iter(found)
    if not all(one in rest for one in wanted):
        raise LabError(f"{what}: wanted {list(wanted)} in this order, found {list(found)}")
