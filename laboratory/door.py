"""The door: FreeRADIUS asks Forestall who may come in, and tells who is in; Forestall ends sessions there (P8.5, A13).

FreeRADIUS runs with the configuration that docs/network.md gives; as a RADIUS client it is also the enforcement point.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from forestall.clock import utc_now
from forestall.domain.campaign import Campaign, Kind, Phase
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY, HOUR
from forestall.domain.record import Record
from forestall.domain.remediation import RemediationId
from forestall.server.wiring import opened
from forestall.store import campaigns, devices, evidence, records
from forestall.store.evidence import Observation
from laboratory import host, network
from laboratory.break_glass import expect
from laboratory.host import LabError
from laboratory.server import Server, start_server
from laboratory.site import Site, until
from laboratory.timeline import Timeline

_DOCUMENT = Path(__file__).parents[1] / "docs" / "network.md"
_SECRET = "a-secret-for-the-laboratory"  # noqa: S105 - of a namespace that vanishes
_VISITOR, _VISITOR_IP = "52:54:00:00:00:13", "10.77.0.77"
_REMOVED, _CLEAN = "52:54:00:00:00:11", "52:54:00:00:00:12"
_CONFIGURATION = """
prefix = /usr
localstatedir = PLACE
logdir = PLACE
run_dir = PLACE
libdir = /usr/lib/freeradius
pidfile = PLACE/pid
client management {
  ipaddr = ADDRESS
  secret = SECRET
}
modules {
  always ok {
    rcode = ok
  }
  always reject {
    rcode = reject
  }
  REST
}
server door {
  listen {
    type = auth
    ipaddr = ADDRESS
    port = 1812
  }
  listen {
    type = acct
    ipaddr = ADDRESS
    port = 1813
  }
  listen {
    type = coa
    ipaddr = ADDRESS
    port = 3799
  }
  AUTHORIZE
  ACCOUNTING
  recv-coa {
    ok
  }
  send-coa {
    ok
  }
}
"""
CAMPAIGN = CampaignId("openssl-1")


@dataclass(slots=True)
class Door:
    """FreeRADIUS and what it answers."""

    site: Site
    server: Server
    place: Path

    def asks(self, mac: str) -> str:
        """Log a machine in by its address (MAC authentication), and read the answer."""
        station = mac.upper().replace(":", "-")
        lines = f'User-Name = "{station}"\nCalling-Station-Id = "{station}"\nUser-Password = "{station}"\n'
        said = self._sent(1812, "auth", lines)
        found = re.search(r"Received (Access-\w+)", said)
        vlan = re.search(r'Tunnel-Private-Group-Id\S* = "(\d+)"', said)
        return f"{found[1] if found else 'nothing'}{' VLAN ' + vlan[1] if vlan else ''}"

    def tells(self, status: str, port: str, *, session: str = "s1", delay: int = 0) -> bool:
        """Account for a session of `_VISITOR` at a port of the access point; says whether it was answered."""
        lines = (
            f'Acct-Status-Type = {status}\nAcct-Session-Id = "{session}"\nUser-Name = "LAB\\\\ann"\n'
            f'Calling-Station-Id = "{_VISITOR.upper().replace(":", "-")}"\nFramed-IP-Address = {_VISITOR_IP}\n'
            f'NAS-IP-Address = {self.site.management.address}\nNAS-Port-Id = "{port}"\nAcct-Delay-Time = {delay}\n'
        )
        return "Received Accounting-Response" in self._sent(1813, "acct", lines)

    def _sent(self, port: int, kind: str, lines: str) -> str:
        where = f"{self.site.management.address}:{port}"
        client = ("radclient", "-x", "-r", "1", "-t", "5", where, kind, _SECRET)
        done = subprocess.run(
            [*self.site.management.enter, *client], input=lines, text=True, capture_output=True, check=False
        )
        return done.stdout

    def log(self) -> str:
        """Read what FreeRADIUS says it did."""
        return (self.site.directory / "freeradius.log").read_text(errors="replace")


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Let machines come to the door.

    Raises:
        LabError: something did not go as it should.
    """
    host.install(("freeradius", "freeradius-rest", "freeradius-utils"), "radclient")
    site = Site(directory, directory, network.make_switch(), [], b"")
    try:
        door = _build(site)
        timeline.tell("FreeRADIUS runs with the configuration of docs/network.md; the server is up")
        expect("a machine nobody accuses comes in", door.asks(_CLEAN), "Access-Accept")
        expect("a removed machine gets the quarantine VLAN", door.asks(_REMOVED), "Access-Accept VLAN 99")
        timeline.tell("a clean machine comes in; a removed one gets the quarantine VLAN")
        _sessions(door, timeline)
        _release(door, timeline)
        _without_server(door, timeline)
    finally:
        site.close()


def _build(site: Site) -> Door:
    data, address, place = site.directory / "server", site.management.address, site.directory / "radius"
    data.mkdir()
    secret = data / "secret.toml"
    secret.touch(mode=0o600)
    secret.write_text(f'secret = "{_SECRET}"\n')
    (data / "forestall.toml").write_text(
        '[network]\nmode = "enforce"\n[network.admission]\ncredentials = "secret.toml"\nquarantine_vlan = "99"\n'
        f'[[network.points]]\nkind = "radius"\nname = "nas"\naddress = "{address}"\ncredentials = "secret.toml"\n'
    )
    rest, authorize, accounting = re.findall(
        r"^(?:rest|authorize|accounting) \{$.*?^\}$", _DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )
    rest = rest.replace("http://10.0.0.10:8470/", f"http://{address}:8080/")
    text = _CONFIGURATION.replace("REST", rest.replace("the secret of radius-password.toml", _SECRET))
    text = text.replace("AUTHORIZE", authorize).replace("ACCOUNTING", accounting)
    text = text.replace("ADDRESS", address).replace("SECRET", _SECRET)
    place.mkdir()
    (place / "radiusd.conf").write_text(text.replace("PLACE", str(place)))
    door = Door(site, start_server(site), place)
    _remember(door.server)
    # -xx tells every packet; -f keeps it ours to stop.
    command = ("freeradius", "-f", "-l", "stdout", "-xx", "-d", str(place), "-n", "radiusd")
    site.start("freeradius", *site.management.enter, *command)
    until("FreeRADIUS is ready", lambda: "Ready to process requests" in door.log(), 30)
    return door


def _remember(server: Server) -> None:
    """Put one removed machine on record."""
    now = utc_now()
    update = RemediationId("bookworm/openssl/3.0.22-1~deb12u2")
    campaign = Campaign(
        CAMPAIGN, 1, update, Kind.PATCH, Level.CRITICAL, Phase.ENFORCING, DAY, 0.99, now - DAY, now - DAY, now - DAY,
        distributed_at=now - DAY, deadline_at=now - HOUR,
    )  # fmt: skip
    removed = DeviceId("removed")

    def off(record: Record) -> Record:
        return record._replace(quarantined_at=now - HOUR, probe_status=Status.AFFECTED, probe_at=now)

    with opened(server.data) as installation, installation.database.begin() as con:
        devices.save(con, [Device(removed, "removed", SiteId("lab"), managed=False, addresses=(_REMOVED,))])
        campaigns.save(con, campaign)
        records.enlist(con, CAMPAIGN, {removed: Status.AFFECTED}, now)
        records.revise(con, CAMPAIGN, {removed: off})


def _sessions(door: Door, timeline: Timeline) -> None:
    """Let somebody come in, move to another port, and repeat himself: he is one machine, and where he was seen last."""
    began = utc_now()
    expect("a start is answered", door.tells("Start", "ap-1"), True)
    (kept,) = [each for each in door.server.ask("find", "status")["seen_by"] if each["source"] == "login"]
    expect("it was kept before it was answered", kept["ways"], 1)
    until("a machine has been made of it", lambda: _places(door) == [("nas ap-1", "")], 60)
    seconds = (utc_now() - began).total_seconds()
    timeline.figures["login_to_machine_s"] = seconds
    timeline.tell(
        f"accounting by rlm_rest: a session of nobody known is a machine with its port, after {seconds:.1f} s"
    )
    (found,) = [each for each in door.server.ask("find", "ls") if _VISITOR in each["hardware"]]
    expect("who it is", (found["user"], found["addresses"], found["managed"]), ("ann", [_VISITOR_IP], False))
    expect("an interim update is answered", door.tells("Interim-Update", "ap-2"), True)
    expect("a start that was lost for an hour is answered", door.tells("Start", "ap-1", delay=3_600), True)
    expect("a repeated stop is answered", [door.tells("Stop", "ap-2") for _ in range(2)], [True, True])
    # The turns of the server make machines of what is new; an import, if only of nobody, does so at once.
    nobody = door.site.directory / "nobody.csv"
    nobody.write_text("hardware,address\n")
    door.server.ask("find", "import", str(nobody), "--as", "csv")
    expect("where it is", _places(door), [("nas ap-2", "nas ap-1")])
    machines = [each for each in door.server.ask("find", "ls") if _VISITOR in each["hardware"]]
    expect("it is one machine", len(machines), 1)
    timeline.tell(
        "update at another port, a late start, two stops: one machine, at its last port, with the one before"
    )


def _places(door: Door) -> list[tuple[str, str]]:
    if _VISITOR not in json.dumps(door.server.ask("devices")):
        return []
    return [(each["port"], each["before"]) for each in door.server.ask("find", "where", _VISITOR)]


def _release(door: Door, timeline: Timeline) -> None:
    """See it fixed: its session is ended, and at its next login it comes in."""
    now = utc_now()
    fixed = [Observation(DeviceId("removed"), Evidence(Witness.PROBE, Status.FIXED, now))]
    with opened(door.server.data) as installation, installation.database.begin() as con:
        evidence.take(con, CAMPAIGN, fixed, now)
    until("the session is ended", partial(_said, door, "Sent Disconnect-ACK"), 30)
    until("the machine comes in", lambda: door.asks(_REMOVED) == "Access-Accept", 10)
    seconds = (utc_now() - now).total_seconds()
    timeline.tell(
        f"seen fixed: Disconnect-Request acknowledged, and it comes in again, after {seconds:.1f} s"
    )
    events = [entry["event"] for entry in door.server.ask("ledger", "show", "--subject", "removed")]
    done = [event for event in events if event["kind"] == "done" and event["rule"] == "release-fixed"]
    expect("the receipt", ["Disconnect-Request" in json.dumps(event["body"]) for event in done], [True])


def _said(door: Door, words: str) -> bool:
    return words in door.log()


def _without_server(door: Door, timeline: Timeline) -> None:
    """Stop the server: what the site's configuration says about that holds."""
    running = next(process for process in door.site.processes if b"forestall" in _command(process))
    running.terminate()
    running.wait(timeout=30)
    expect("without the server the site's own rule holds", door.asks(_CLEAN), "Access-Accept")
    timeline.tell("server stopped: FreeRADIUS goes by the site's own rule")


def _command(process: subprocess.Popen[bytes]) -> bytes:
    if not isinstance(process.args, list):
        raise LabError("a process without words")
    return " ".join(map(str, process.args)).encode()
