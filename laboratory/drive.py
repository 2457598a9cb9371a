"""What every campaign in the laboratory does: enrol machines, start it, watch its numbers."""

import json
import subprocess
from typing import Any

from laboratory import content, host
from laboratory.content import Pending
from laboratory.host import LabError
from laboratory.server import Server
from laboratory.site import Machine, Served, Site, until
from laboratory.timeline import Timeline


def join(site: Site, server: Server, machine: Machine, *more: str) -> subprocess.Popen[bytes]:
    """Enrol a machine and start its agent as a service."""
    made = server.ask("enroll", "token", "--site", "lab", "--uses", "1")
    known = ("--token", made["token"], "--fingerprint", made["fingerprint"])
    host.run(*machine.agent("enrol", "--server", server.agents, *known, *more))
    service = start_agent(site, machine)
    state = machine.root / "var/lib/forestall-agent/state.json"
    until(
        f"{machine.name} has checked in",
        lambda: state.exists() and '"checked_at": null' not in state.read_text(),
    )
    return service


def start_agent(site: Site, machine: Machine) -> subprocess.Popen[bytes]:
    """Start the agent of an enrolled machine."""
    return site.start(f"agent-{machine.name}", *machine.agent("run"))


def begin(site: Site, server: Server, update: Pending, timeline: Timeline, voluntary: str, *more: str) -> str:
    """Rate an update, have it approved, and start its campaign, with more options; give the campaign's name."""
    known = [row["remediation"] for row in server.ask("advisory", "ls")]
    if update.remediation not in known:
        upload = site.directory / "bookworm-uploads.jsonl"
        upload.write_text(content.advisory_of(update) + "\n")
        server.ask("advisory", "pull", str(upload))
        timeline.tell(f"advisory of {update.source} read from the changelog in its package")
        known = [row["remediation"] for row in server.ask("advisory", "ls")]
    expect("the server finds what the machines lack", update.remediation in known, True)
    timeline.tell(f"the server finds {update.remediation} open on the machines")
    es = ("--escalation", "--expansion", "--exposure")
    server.ask("rate", update.remediation, *es, "--reason", "reachable from everywhere", "--by", "rater")
    server.ask("keys", "approve", update.remediation, "--voluntary", voluntary, "--by", "tester")
    timeline.tell("approved: two offline keys have signed the update; no order counts without")
    made = server.ask(
        "campaign", "start", update.remediation, "--voluntary", voluntary, "--by", "distributor", *more
    )
    timeline.tell(f"rated critical; campaign {made['campaign']} starts, {voluntary} voluntary")
    return str(made["campaign"])


def agent(machine: Served, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
    """Run an agent's command and read what it prints."""
    return json.loads(host.run(*machine.agent(*arguments, "--json")))


def await_shown(server: Server, campaign: str, wanted: dict[str, int], limit: float) -> Any:  # noqa: ANN401 - as above
    """Wait until the campaign's numbers are these.

    Raises:
        LabError: they were not within `limit` seconds.
    """
    shown: dict[str, Any] = {}

    def met() -> bool:
        shown.update(server.ask("campaign", "show", campaign))
        return all(shown[key] == value for key, value in wanted.items())

    try:
        until(f"{campaign} shows {wanted}", met, limit)
    except LabError as error:
        raise LabError(f"{error}; it shows {shown}") from None
    return shown


def expect(what: str, found: object, wanted: object) -> None:
    """Go on only if it is so.

    Raises:
        LabError: it is not.
    """
    if found != wanted:
        raise LabError(f"{what}: wanted {wanted}, found {found}")
