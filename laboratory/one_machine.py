"""The main job with real parts: an advisory becomes a patched machine, by force on one, by choice on the other."""

import json
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from forestall.agent import restarts
from forestall.agent.debian import debian_at
from forestall.agent.inventory import dpkg
from laboratory import content, host
from laboratory.content import Pending
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
        ignorer, chooser = (_join(site, server, name) for name in ("ignorer", "chooser"))
        timeline.tell("two machines are enrolled and have sent their inventories")
        old = _start_old_process(site, ignorer, update)
        timeline.tell(f"{old} runs on ignorer with the code that the update will replace")
        _campaign(site, server, update, (ignorer, chooser), timeline)
    finally:
        site.close()


def _campaign(
    site: Site, server: Server, update: Pending, machines: tuple[Machine, Machine], timeline: Timeline
) -> None:
    ignorer, chooser = machines
    campaign = _begin(site, server, update, timeline)
    for machine in machines:
        until(f"{machine.name} is offered it", partial(_is_offered, machine), 10)
    timeline.tell("both machines are offered it; neither has installed anything by itself")
    _expect("nothing was installed", _versions(ignorer, update) & {update.version}, set())

    _agent(chooser, "install", campaign)
    timeline.tell("the person at chooser installs it")
    _await(server, campaign, {"voluntary": 1}, 60)
    timeline.tell("the server counts chooser as fixed voluntarily")
    _expect("ignorer still has the old version", _versions(ignorer, update) & {update.version}, set())

    _await(server, campaign, {"affected": 0, "pending_restart": 1}, 180)
    timeline.tell("deadline passed: ignorer was forced; an old process runs on: pending_restart, not fixed")
    _expect("the new version is on disk", _versions(ignorer, update), {update.version})

    _stop_old_processes(ignorer)
    timeline.tell("the old process is stopped")
    shown = _await(server, campaign, {"fixed": 2, "voluntary": 1, "forced": 1, "concerned": 2}, 60)
    timeline.tell(f"both machines are fixed, compliance {shown['compliance'][0]:.0%}")
    _expect("compliance is certain", shown["compliance"], [1.0, 1.0])
    _tell_ledger(server, campaign, ignorer, chooser, timeline)
    for machine in machines:
        _tell_why(server, machine, timeline)


def _join(site: Site, server: Server, name: str) -> Machine:
    machine = site.new_machine(name)
    made = server.ask("enroll", "token", "--site", "lab", "--uses", "1")
    known = ("--token", made["token"], "--fingerprint", made["fingerprint"])
    host.run(*machine.agent("enrol", "--server", server.agents, *known))
    site.start(f"agent-{name}", *machine.agent("run"))
    state = machine.root / "var/lib/forestall-agent/state.json"
    until(f"{name} has checked in", lambda: state.exists() and '"checked_at": null' not in state.read_text())
    return machine


def _begin(site: Site, server: Server, update: Pending, timeline: Timeline) -> str:
    known = [row["remediation"] for row in server.ask("advisory", "ls")]
    if update.remediation not in known:
        upload = site.directory / "bookworm-uploads.jsonl"
        upload.write_text(content.advisory_of(update) + "\n")
        server.ask("advisory", "pull", str(upload))
        timeline.tell(f"advisory of {update.source} read from the changelog in its package")
        known = [row["remediation"] for row in server.ask("advisory", "ls")]
    _expect("the server finds what the machines lack", update.remediation in known, True)
    timeline.tell(f"the server finds {update.remediation} open on the machines")
    es = ("--escalation", "--expansion", "--exposure")
    server.ask("rate", update.remediation, *es, "--reason", "reachable from everywhere", "--by", "rater")
    server.ask("keys", "approve", update.remediation, "--voluntary", _VOLUNTARY, "--by", "tester")
    timeline.tell("approved: two offline keys have signed the update; no order counts without")
    made = server.ask(
        "campaign", "start", update.remediation, "--voluntary", _VOLUNTARY, "--by", "distributor"
    )
    timeline.tell(f"rated critical; campaign {made['campaign']} starts, {_VOLUNTARY} voluntary")
    return str(made["campaign"])


def _agent(machine: Machine, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
    return json.loads(host.run(*machine.agent(*arguments, "--json")))


def _is_offered(machine: Machine) -> bool:
    return [order["status"] for order in _agent(machine, "check")["orders"]] == ["affected"]


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


def _await(server: Server, campaign: str, wanted: dict[str, int], limit: float) -> Any:  # noqa: ANN401 - as above
    shown: dict[str, Any] = {}

    def met() -> bool:
        shown.update(server.ask("campaign", "show", campaign))
        return all(shown[key] == value for key, value in wanted.items())

    try:
        until(f"{campaign} shows {wanted}", met, limit)
    except LabError as error:
        raise LabError(f"{error}; it shows {shown}") from None
    return shown


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
    forced = (
        "campaign_started",
        "distribute",
        "offer",
        "affected",
        "deadline",
        "force",
        "pending_restart",
        "fixed",
    )
    _in_order("the ledger's story of ignorer", stories[ignorer.name], forced)
    by_choice = ("campaign_started", "distribute", "offer", "affected", "fixed", "deadline")
    _in_order("the ledger's story of chooser", stories[chooser.name], by_choice)
    _expect("chooser was not forced", "force" in stories[chooser.name], False)
    verified = server.ask("ledger", "verify")
    timeline.tell(f"the ledger's chain holds: {json.dumps(verified)[:120]}")


def _tell_why(server: Server, machine: Machine, timeline: Timeline) -> None:
    """Ask the server why, and the machine itself what was done to it."""
    (answer,) = server.ask("why", machine.name)
    _expect(f"why {machine.name}", answer["status"], "fixed")
    rule = next(row for row in answer["rules"] if row["applies"])
    done = [entry["event"] for entry in _agent(machine, "status")["done"]]
    timeline.tell(
        f"why {machine.name}: rule {rule['name']} ({rule['paragraph']}); its own journal: {'; '.join(done)}"
    )


def _in_order(what: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    rest = iter(found)
    if not all(one in rest for one in wanted):
        raise LabError(f"{what}: wanted {list(wanted)} in this order, found {list(found)}")


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise LabError(f"{what}: wanted {wanted}, found {found}")
