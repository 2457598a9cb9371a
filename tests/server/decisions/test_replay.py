"""A database put back from a backup in the middle of a campaign: it observes, frees, and is replayed (A12, R17)."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from certificates import REQUEST, authority
from domain.made import DAY, HOUR, MINUTE, START
from forestall import protocol
from forestall.domain.action import Action
from forestall.domain.approval import Matter
from forestall.domain.campaign import Phase, Step
from forestall.domain.device import DeviceId
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, Head, verify
from forestall.domain.evidence import Side, Status
from forestall.domain.identity import Recognition
from forestall.server.agents import AgentDesk
from forestall.server.approvals import approve, ask, waiting
from forestall.server.disagreements import Terms as Trust
from forestall.server.disagreements import ask_belief, open_case
from forestall.server.machines import Terms, ask_exemption, end_exemption, exemptions, protect, revoke
from forestall.server.operators import halt_campaign, make_token, move_campaign, resume_campaign
from forestall.server.passes import run_pass
from forestall.server.watermark import RESTORED, Watermark
from forestall.store import approvals, campaigns, devices, lease, ledger, records
from forestall.store.database import Database
from forestall.store.server_user import ROLE, programs
from forestall.trust.device_key import read_certificate
from server.decisions.company import (
    CURL,
    DEADLINE,
    MANAGED,
    OPENSSL_LATER,
    UNMANAGED,
    Postgres,
    World,
    campaign,
    installed,
    live,
    orders,
    rate,
    record_of,
    turn,
)

REMOVED = UNMANAGED[:3]
"""At three sites, so that no cap holds them."""
BACKUP = DEADLINE + 30 * MINUTE


def run(postgres: Postgres, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs against the embedded server."""
    (host,) = parse_qs(urlsplit(postgres.url).query)["host"]
    command = [str(programs() / program), "-h", host, "-U", ROLE, *arguments]
    subprocess.run(command, check=True, capture_output=True)


class Site:
    """An installation whose database can be backed up and put back."""

    def __init__(self, postgres: Postgres, name: str, directory: Path) -> None:
        self._postgres, self._name, self._directory = postgres, name, directory
        self.database = Database(postgres.url_of(name))
        self.installation = installed(self.database, directory)
        self.world = World(self.database, {*MANAGED, REMOVED[0]})

    def back_up(self) -> Path:
        file = self._directory / f"{self._name}.dump"
        run(self._postgres, "pg_dump", "-Fc", "-f", str(file), self._name)
        return file

    def put_back(self, file: Path) -> None:
        """Drop everything and restore the dump; the file of the ledger outside stays as it is."""
        self.database.close()
        self._postgres.drop(self._name)
        self._postgres.create(self._name)
        run(self._postgres, "pg_restore", "-d", self._name, str(file))
        self.database = Database(self._postgres.url_of(self._name))
        self.installation = installed(self.database, self._directory)
        self.world.database = self.database

    def turn(self, now: datetime) -> None:
        turn(self.installation, self.world, now)

    def rows(self, table: str, *without: str) -> list[dict]:
        """Everything in a table, without what no ledger knows: contact times, and words that were only repeated."""
        with self.database.begin() as con:
            rows = con.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - our own names
            found = [dict(row) for row in rows.mappings()]
        kept = [{key: value for key, value in row.items() if key not in without} for row in found]
        return sorted(kept, key=repr)

    def state(self) -> dict[str, list[dict]]:
        return {
            "campaign": self.rows("campaign"),
            "record": self.rows("record", "agent_at", "probe_at"),
            "intent": self.rows("intent", "attempts", "retry_at"),
            "approval": self.rows("approval"),
            "rating": self.rows("rating", "id"),
            "device": self.rows("device", "seen_at", "heard_at", "agent_version", "boot_id", "sequence"),
        }

    def entries(self) -> list:
        with self.database.begin() as con:
            return list(ledger.read_all(con))


@pytest.fixture
def site(postgres: Postgres, name: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(postgres, name, tmp_path)
    yield made
    made.database.close()


def until_the_backup(site: Site) -> str:
    """A campaign runs, its deadline passes, owners are warned, one machine is off the network."""
    name = campaign(site.installation).id
    site.world.hear(name, MANAGED, START)
    site.turn(START)
    site.turn(START + MINUTE)
    asked = ask_exemption(
        site.installation, "m05", name, Terms(20 * DAY, "lathe", "separated"), "aiko", START
    )
    approve(site.installation, asked.number, "ben", START + HOUR)
    site.world.see(name, REMOVED[:1], DEADLINE)
    live(site.installation, site.world, DEADLINE, BACKUP, MINUTE)
    assert site.world.closed == set(REMOVED[:1])
    return name


def after_the_backup(site: Site, name: str) -> datetime:
    """Two people exempt, owners are warned, machines are removed and let back, people start and stop things."""
    installation, world, at = site.installation, site.world, BACKUP + 5 * MINUTE
    asked = ask_exemption(installation, "u02", name, Terms(9 * DAY, "press", "separated"), "chiyo", at)
    approve(installation, asked.number, "ben", at + MINUTE)
    end_exemption(installation, "m05", name, "the lathe is mended", "aiko", at)
    world.affected |= set(REMOVED)
    world.see(name, REMOVED, at)
    live(installation, world, at + MINUTE, at + 20 * MINUTE, MINUTE)
    assert world.closed == set(REMOVED[:2])
    world.affected.discard(REMOVED[0])
    world.see(name, REMOVED[:1], at + 21 * MINUTE)
    live(installation, world, at + 22 * MINUTE, at + 24 * MINUTE, MINUTE)
    assert world.closed == {REMOVED[1]}
    protect(installation, "u07", "it is the mail server", "aiko", at)
    rate(installation, OPENSSL_LATER)
    second = campaign(installation, CURL, at + 25 * MINUTE).id
    halt_campaign(installation.database, second, "printers stop", "aiko", at + 26 * MINUTE)
    resume_campaign(installation.database, second, "aiko", at + 27 * MINUTE)
    world.hear(second, MANAGED[:4], at + 27 * MINUTE)
    live(installation, world, at + 28 * MINUTE, at + 29 * MINUTE, MINUTE)
    asked = ask(installation, Matter.IMMINENT, "exploited", "aiko", at + 29 * MINUTE, campaign=second)
    approve(installation, asked.number, "ben", at + 29 * MINUTE)
    ask(installation, Matter.WAIVE_MAIL, "mail is down", "aiko", at + 29 * MINUTE, campaign=second)
    _disagree(site, name, at + 29 * MINUTE)
    site.turn(at + 30 * MINUTE)
    return at + 30 * MINUTE


def _disagree(site: Site, name: str, at: datetime) -> None:
    """Agents say fixed and probes say affected; one side is believed, a case is opened, one agent gives in (A18)."""
    site.world.affected.difference_update(MANAGED[8:11])
    site.world.hear(name, MANAGED[8:11], at)
    site.world.affected.update(MANAGED[8:11])
    site.world.see(name, MANAGED[8:11], at + MINUTE)
    site.turn(at + MINUTE)
    site.world.hear(name, MANAGED[10:11], at + MINUTE)
    terms = Trust(Side.AGENT, 9 * DAY, "a proxy answers")
    asked = ask_belief(site.installation, MANAGED[8], name, terms, "aiko", at + MINUTE)
    approve(site.installation, asked.number, "ben", at + MINUTE)
    open_case(site.installation, MANAGED[9], name, "who answers?", "aiko", at + MINUTE)


@contextmanager
def refused(why: str) -> Iterator[None]:
    with pytest.raises(InputError, match=why):
        yield


def replay(site: Site, now: datetime):
    site.installation.watermark.notice(site.database, now)
    asked = ask(site.installation, Matter.REPLAY, "the disk died", "aiko", now)
    return approve(site.installation, asked.number, "ben", now).replay


def test_a_restored_database_is_what_it_was_after_its_replay(site: Site):
    """A12, R17: as far as the ledger reaches, which is everything but contact times and secrets."""
    name = until_the_backup(site)
    backup = site.back_up()
    now = after_the_backup(site, name)
    before, heads = site.state(), [Head(e.sequence, e.hash) for e in site.entries()]

    site.put_back(backup)
    assert site.state() != before
    site.installation.watermark.notice(site.database, now + HOUR)
    done = replay(site, now + 2 * HOUR)
    assert done.intents > 0
    after = site.state()
    after["approval"] = [row for row in after["approval"] if row["matter"] != "replay"]
    pending = [row for row in after["approval"] if row["approved_by"] is None]
    assert [row["matter"] for row in pending] == ["waive_mail"]
    for table, rows in before.items():
        if table == "approval":  # what was previewed of whole campaigns is not in the ledger: asked for again
            strip = [{key: row[key] for key in row if key != "devices"} for row in rows]
            assert [{key: row[key] for key in row if key != "devices"} for row in after[table]] == strip
        else:
            assert after[table] == rows, table

    entries = site.entries()
    assert verify(entries, heads) is None
    kinds = [entry.event.kind for entry in entries[len(heads) :]]
    assert kinds == [EventKind.RESTORED, EventKind.ASKED, EventKind.APPROVED, EventKind.REPLAYED]
    site.turn(now + 2 * HOUR)
    assert verify(site.installation.watermark.entries(), heads) is None
    assert site.installation.watermark.observing(site.database) == ""


def test_until_its_replay_the_server_observes_and_releases_and_does_no_harm(site: Site):
    """A12: nothing is forced, warned or removed; what is fixed is let back; agents are given no orders."""
    name = until_the_backup(site)
    backup = site.back_up()
    now = after_the_backup(site, name)
    site.put_back(backup)
    site.world.done.clear()
    site.world.affected.add(UNMANAGED[4])
    for hour in range(1, 5):
        site.world.see(name, [*REMOVED, UNMANAGED[4]], now + hour * HOUR)
        site.world.hear(name, MANAGED, now + hour * HOUR)
        live(site.installation, site.world, now + hour * HOUR, now + hour * HOUR + 20 * MINUTE, 5 * MINUTE)
    harmful = {Action.INSTALL, Action.WARN, Action.QUARANTINE, Action.RESTART, Action.EXPECT, Action.OFFER}
    ordered = {
        Action(str(e.event.body["action"])) for e in site.entries()
        if e.event.kind is EventKind.INTENDED and e.at > now
    }  # fmt: skip
    assert ordered.isdisjoint(harmful)
    assert site.world.of(Action.RELEASE) == REMOVED[:1]
    assert site.installation.watermark.observing(site.database) == RESTORED
    assert orders(site.installation, now + 6 * HOUR) == []
    replay(site, now + 6 * HOUR)
    assert orders(site.installation, now + 7 * HOUR) != []


def test_a_restored_server_lets_no_deadline_pass_and_halts_nothing(site: Site):
    """A12: the backup does not know that the campaign was closed since, nor who has answered."""
    name = campaign(site.installation).id
    site.turn(START)
    backup = site.back_up()
    move_campaign(site.database, name, Step.CLOSE, "aiko", START + DAY)
    site.turn(START + DAY)
    site.put_back(backup)
    live(site.installation, site.world, DEADLINE, DEADLINE + HOUR, 10 * MINUTE)
    with site.database.begin() as con:
        assert campaigns.get(con, name).phase is Phase.VOLUNTARY
    replay(site, DEADLINE + HOUR)
    with site.database.begin() as con:
        assert campaigns.get(con, name).phase is Phase.CLOSED


def test_attempts_and_fresh_starts_are_told_although_the_word_is_the_same(site: Site):
    """A4, P6.3: failures are counted, and a clean word that was only repeated ends an episode."""
    name = campaign(site.installation).id
    at = START + DAY
    backup = site.back_up()
    site.turn(at)
    site.world.hear(name, MANAGED[:1], at, failures=2)
    site.world.hear(name, MANAGED[:1], at + MINUTE, failures=3)
    with site.database.begin() as con:
        fixed = {UNMANAGED[6]: lambda record: record._replace(
            probe_status=Status.FIXED, probe_at=at, warning_at=at, warned_at=at
        )}  # fmt: skip
        records.revise(con, name, fixed)
    site.world.see(name, UNMANAGED[6:7], at + HOUR)
    site.turn(at + HOUR)
    before = [record_of(site.installation, name, each) for each in (MANAGED[0], UNMANAGED[6])]
    assert (before[0].failures, before[0].failing_since, before[1].episode) == (3, at, 1)
    site.put_back(backup)
    with site.database.begin() as con:
        records.revise(con, name, fixed)
    replay(site, at + 2 * HOUR)
    after = [record_of(site.installation, name, each) for each in (MANAGED[0], UNMANAGED[6])]
    assert (after[0].failures, after[0].failing_since, after[1].episode) == (3, at, 1)


def test_what_was_observed_before_the_replay_is_kept(site: Site):
    """A2, A12: a lost warning is no reason to remove a machine that was seen fixed since the restore."""
    name = until_the_backup(site)
    backup = site.back_up()
    now = after_the_backup(site, name)
    site.put_back(backup)
    site.world.affected.discard(REMOVED[1])
    live(site.installation, site.world, now + HOUR, now + HOUR + 10 * MINUTE, 5 * MINUTE)
    site.world.see(name, REMOVED[:2], now + HOUR + 11 * MINUTE)
    halt_campaign(site.database, name, "wait for the replay", "aiko", now + HOUR + 12 * MINUTE)
    replay(site, now + 2 * HOUR)
    record = record_of(site.installation, name, REMOVED[1])
    assert (record.probe_at, record.fixed_at) == (now + HOUR + 11 * MINUTE, now + HOUR + 11 * MINUTE)
    assert record.quarantined_at is not None  # the replay knows the removal that the backup did not
    with site.database.begin() as con:
        assert campaigns.get(con, name).halted_because == "wait for the replay"
    site.turn(now + 2 * HOUR)
    assert site.world.closed == set()


def test_a_restored_database_takes_its_ledger_back_with_what_was_written_since(site: Site):
    """A12: entries that a process wrote before the restore was noticed go behind, under new numbers."""
    name = until_the_backup(site)
    backup = site.back_up()
    now = after_the_backup(site, name)
    heads = [Head(e.sequence, e.hash) for e in site.entries()]
    site.put_back(backup)
    reflects = len(site.entries())
    site.world.affected.add(UNMANAGED[5])
    site.world.see(name, UNMANAGED[5:6], now + HOUR)  # nobody has looked at the file yet
    assert len(site.entries()) == reflects + 1
    site.turn(now + 2 * HOUR)
    entries = site.entries()
    assert verify(entries, heads) is None
    moved, restored = entries[len(heads) : len(heads) + 2]
    assert (moved.event.subject, moved.at) == (UNMANAGED[5], now + HOUR)
    assert (restored.event.kind, restored.event.body) == (
        EventKind.RESTORED,
        {"reflects": reflects, "moved": 1},
    )
    replay(site, now + 3 * HOUR)
    with site.database.begin() as con:
        assert ledger.unreplayed(con) is None


def test_restored_twice_the_older_tables_count(site: Site):
    """A12."""
    name = until_the_backup(site)
    backup = site.back_up()
    reflects = len(site.entries())
    now = after_the_backup(site, name)
    before = site.state()
    site.put_back(backup)
    site.turn(now + HOUR)
    second = site.back_up()
    site.turn(now + 2 * HOUR)
    site.put_back(second)
    site.turn(now + 3 * HOUR)
    with site.database.begin() as con:
        assert ledger.unreplayed(con).reflects == reflects
    replay(site, now + 4 * HOUR)
    assert site.state()["campaign"] == before["campaign"]
    assert verify(site.entries()) is None


def test_a_database_lost_without_any_backup_is_told_again_from_the_ledger(site: Site, postgres: Postgres):
    """A12: an empty database and the file outside; machines, campaigns and marks come back as far as it says."""
    empty = site.back_up()
    name = until_the_backup(site)
    now = after_the_backup(site, name)
    before = site.state()
    site.put_back(empty)
    site.turn(now + HOUR)
    replay(site, now + 2 * HOUR)
    after = site.state()
    for table in ("campaign", "record", "intent", "rating", "device"):
        assert after[table] == before[table], table


def test_people_order_nothing_on_tables_that_are_an_older_backup(site: Site):
    """A12: everything but a halt, protection and the replay itself has to wait, and says for what."""
    name = until_the_backup(site)
    backup = site.back_up()
    now = after_the_backup(site, name)
    site.put_back(backup)
    installation = site.installation
    installation.watermark.notice(site.database, now)
    why = "forestall ledger replay"
    with refused(why):
        campaign(installation, OPENSSL_LATER, now)
    with refused(why):
        move_campaign(site.database, name, Step.CLOSE, "aiko", now)
    with refused(why):
        ask(installation, Matter.IMMINENT, "exploited", "aiko", now, campaign=name)
    with refused(why):
        ask_exemption(installation, "m06", name, Terms(DAY, "a", "b"), "aiko", now)
    with refused(why):
        resume_campaign(site.database, name, "aiko", now)
    halt_campaign(site.database, name, "the disk died", "aiko", now)
    protect(installation, "u06", "it is the other mail server", "aiko", now)


def test_a_replay_needs_two_people_and_a_restored_database(site: Site):
    """A9, A12."""
    name = until_the_backup(site)
    with refused("There is nothing to replay"):
        replay(site, BACKUP)
    backup = site.back_up()
    now = after_the_backup(site, name)
    numbers = {row["id"] for row in site.rows("approval")}
    site.put_back(backup)
    site.turn(now + HOUR)
    asked = ask(site.installation, Matter.REPLAY, "the disk died", "aiko", now + HOUR)
    assert asked.number not in numbers  # theirs are coming back
    assert asked.count == len(site.entries()) - ledger_reflects(site) - 1
    with refused("a second person must"):
        approve(site.installation, asked.number, "aiko", now + HOUR)
    approve(site.installation, asked.number, "ben", now + HOUR)
    assert {row["id"] for row in site.rows("approval")} == numbers | {asked.number}
    with refused("There is nothing to replay"):
        replay(site, now + 2 * HOUR)
    assert [each.matter for each in waiting(site.installation, now + HOUR)] == [Matter.WAIVE_MAIL]
    assert [each.device for each in exemptions(site.installation, now)] == [REMOVED[2]]


def ledger_reflects(site: Site) -> int:
    with site.database.begin() as con:
        return ledger.unreplayed(con).reflects


def test_a_used_up_allowance_does_not_come_back(site: Site):
    """A9: removals that the ledger tells of have used what two people allowed."""
    name = campaign(site.installation).id
    tokyo = [UNMANAGED[0], UNMANAGED[3]]
    site.world.affected |= set(tokyo)
    site.turn(START)
    site.world.see(name, tokyo, DEADLINE)
    live(site.installation, site.world, DEADLINE, DEADLINE + 14 * MINUTE, MINUTE)
    at = DEADLINE + 14 * MINUTE
    backup = site.back_up()
    asked = ask(site.installation, Matter.RAISE_BRAKE, "they spread it", "aiko", at, campaign=name)
    approve(site.installation, asked.number, "ben", at)
    site.turn(at + MINUTE)
    assert set(tokyo) <= site.world.closed
    site.put_back(backup)
    site.turn(at + HOUR)
    replay(site, at + HOUR)
    with site.database.begin() as con:
        assert approvals.raised(con, name) == 0
        assert approvals.get(con, asked.number).devices == (UNMANAGED[3],)


def test_a_machine_enrolled_since_the_backup_is_known_again_by_its_certificate(site: Site):
    """A12; one that was revoked since stays so."""
    until_the_backup(site)
    backup = site.back_up()
    desk = AgentDesk(site.database, site.installation.policy, authority())
    token = make_token(site.database, "bonn", 2, DAY, "aiko", BACKUP)
    asked = [desk.enrol(protocol.EnrolRequest(token, name, "1", REQUEST), BACKUP) for name in ("new", "bad")]
    new, bad = (read_certificate(each.certificate.encode()) for each in asked)
    revoke(site.installation, bad.device, "stolen", "aiko", BACKUP)
    site.turn(BACKUP + MINUTE)
    site.put_back(backup)
    site.turn(BACKUP + HOUR)
    assert replay(site, BACKUP + HOUR).machines == 2
    with site.database.begin() as con:
        assert devices.get(con, new.device).site == "bonn"
    desk = AgentDesk(site.database, site.installation.policy, authority())
    verdicts = [desk.recognise(each, BACKUP + HOUR) for each in (new, bad)]
    assert verdicts == [Recognition.RENEWED, Recognition.REVOKED]


def test_what_is_told_of_a_machine_that_nobody_knows_stops_no_turn(site: Site):
    """A12: a replay can tell of machines that are in no entry; their open orders are dropped, and said to be."""
    name = until_the_backup(site)
    site.world.affected |= set(REMOVED)
    backup = site.back_up()
    with site.database.begin() as con:
        known = devices.get(con, REMOVED[0])
        devices.save(con, [replace(known, id=DeviceId("new"), name="new")])
        records.enlist(con, name, {DeviceId("new"): Status.UNKNOWN}, BACKUP)
        held = lease.acquire(con, "decide", "me", BACKUP + HOUR, MINUTE)
    run_pass(site.database, held, BACKUP + HOUR, site.installation.policy)
    site.installation.watermark.ship(site.database)
    site.put_back(backup)
    site.turn(BACKUP + 2 * HOUR)
    replay(site, BACKUP + 2 * HOUR)
    site.turn(BACKUP + 3 * HOUR)
    said = [
        e.event.body["detail"]
        for e in site.entries()
        if e.event.subject == "new" and "detail" in e.event.body
    ]
    assert said == ["the machine is not in the campaign"]


def test_an_entry_that_cannot_be_told_again_is_named(site: Site):
    name = until_the_backup(site)
    backup = site.back_up()
    with site.database.begin() as con:
        said = Event(EventKind.STATUS_CHANGED, "stranger", REMOVED[0], name, body={"status": "fixed"})
        number = ledger.append(con, [said], BACKUP).sequence
    site.turn(BACKUP + HOUR)
    site.put_back(backup)
    before = site.rows("record")
    with refused(f"entry {number} .status_changed. cannot be told again"):
        replay(site, BACKUP + 2 * HOUR)
    assert site.rows("record") == before


def test_a_ledger_outside_that_does_not_hold_changes_nothing(site: Site):
    """A12: the database keeps its own, and only observes."""
    name = until_the_backup(site)
    backup = site.back_up()
    now = after_the_backup(site, name)
    site.put_back(backup)
    watermark = site.installation.watermark
    lines = watermark.path.read_bytes().splitlines(keepends=True)
    watermark.path.write_bytes(b"".join(lines[:3] + lines[4:]))
    before = site.entries()
    with refused("missing: the next entry is 5"):
        watermark.notice(site.database, now)
    assert site.entries() == before
    assert watermark.observing(site.database) == RESTORED


def test_a_line_that_a_crash_cut_off_is_written_again(site: Site):
    """A12: what was appended behind half a line would be lost with it."""
    until_the_backup(site)
    watermark = site.installation.watermark
    whole = watermark.path.read_bytes()
    watermark.path.write_bytes(whole[:-40])
    site.turn(BACKUP + MINUTE)
    assert watermark.path.read_bytes().startswith(whole)
    assert verify(watermark.entries()) is None


def test_the_newest_line_is_found_whatever_its_length(site: Site, tmp_path: Path):
    until_the_backup(site)
    long = Watermark(tmp_path / "long.jsonl")
    with site.database.begin() as con:
        head = ledger.append(
            con, [Event(EventKind.RATED, "aiko", "x", body={"reasons": "x" * 300_000})], BACKUP
        )
    long.ship(site.database)
    assert long.head() == head
    assert Watermark(tmp_path / "none.jsonl").head() == Head(0, "0" * 64)
