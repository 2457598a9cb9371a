"""A small company with a mail server: machines, their owners, one campaign, and a clock that a test sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from domain.made import DEADLINE, ENFORCING, HOUR, MINUTE, POLICY, START
from forestall.domain.action import Action
from forestall.domain.campaign import Campaign
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.intent import Intent
from forestall.domain.notice import Answer
from forestall.domain.policy import Policy
from forestall.domain.record import Outcome, Receipt, Record
from forestall.notify.message import sender_of
from forestall.notify.smtp import Courier
from forestall.server.effects import apply_open
from forestall.server.links import open_links
from forestall.server.mail_settings import MailSettings
from forestall.server.mail_text import Writer
from forestall.server.passes import run_pass
from forestall.server.post import Post
from forestall.store import campaigns, devices, evidence, lease, records
from forestall.store.bulk import driver
from forestall.store.database import Database
from forestall.store.evidence import Observation
from notify.mail_server import MailHost

ASA, BEN, CHI = "asa@corp.example", "ben@corp.example", "chi@corp.example"


@dataclass
class Company:
    """The server's side: passes, mail, and switches that only note what they were told."""

    url: str
    database: Database
    host: MailHost
    mail: MailSettings
    directory: Path
    now: datetime = DEADLINE + HOUR
    campaign: Campaign = ENFORCING
    policy: Policy = POLICY
    removed: list[DeviceId] = field(default_factory=list)
    looked: list[DeviceId] = field(default_factory=list)

    @property
    def post(self) -> Post:
        writer = Writer(self.mail, open_links(self.directory), self.policy)
        return Post(self.database, self.policy, writer, lambda: self.now)

    def own(self, name: str, owner: str, language: str = "en", **known: object) -> DeviceId:
        """Let somebody own a vulnerable, unmanaged machine that is in the campaign."""
        device = Device(
            DeviceId(name),
            name,
            SiteId("tokyo"),
            managed=False,
            owner=owner,
            language=language,
            seen_at=START,
        )
        with self.database.begin() as con:
            devices.save(con, [replace(device, **known)])
            records.enlist(con, self.campaign.id, {device.id: Status.AFFECTED}, START)
        return device.id

    def note(self, device: DeviceId, **marks: object) -> None:
        """Change a record."""
        with self.database.begin() as con:
            records.revise(con, self.campaign.id, {device: lambda record: record._replace(**marks)})

    def see(self, device: DeviceId, status: Status = Status.AFFECTED) -> None:
        """Let a probe see a machine now."""
        said = [Observation(device, Evidence(Witness.PROBE, status, self.now))]
        with self.database.begin() as con:
            evidence.take(con, self.campaign.id, said, self.now)

    def change(self, campaign: Campaign) -> None:
        """Change the campaign."""
        self.campaign = campaign
        with self.database.begin() as con:
            campaigns.save(con, campaign)

    def decide(self) -> None:
        """Take a pass."""
        with self.database.begin() as con:
            held = lease.acquire(con, "decide", "me", self.now, MINUTE)
        run_pass(self.database, held, self.now, self.policy)

    def deliver(self) -> list[Answer]:
        """Write what is owed and hand over until nothing is due or the server takes nothing."""
        answers: list[Answer] = []
        with Courier(self.host.server, connections=2) as courier:
            self.post.write()
            while batch := self.post.hand_over(courier):
                answers += batch
                if not any(answer.reached for answer in batch):
                    break
        return answers

    def act(self) -> None:
        """Carry out what is no mail: switches and probes note what they were asked."""
        effects = {Action.QUARANTINE: self._remove, Action.LOOK: self._look, Action.RELEASE: self._done}
        apply_open(self.database, effects, "me", self.now, self.policy)

    def round(self) -> list[Answer]:
        """Decide, mail, act."""
        self.decide()
        answers = self.deliver()
        self.act()
        return answers

    def record(self, device: str) -> Record:
        with self.database.begin() as con:
            (found,) = records.some(con, self.campaign.id, [DeviceId(device)])
        return found

    def receipts(self, action: Action) -> dict[str, tuple[str, str]]:
        """Outcome and detail of every intent of one kind, by machine, the newest of each."""
        statement = "SELECT device, outcome, detail FROM intent WHERE action = %s ORDER BY ordered_at"
        with self.database.begin() as con:
            rows = driver(con).execute(statement, (action,)).fetchall()
        return {row[0]: (row[1], row[2]) for row in rows}

    def _remove(self, wanted: Sequence[Intent], now: datetime) -> list[Receipt]:
        self.removed += [intent.device for intent in wanted]
        return [Receipt(Outcome.DONE, now) for _ in wanted]

    def _look(self, wanted: Sequence[Intent], now: datetime) -> list[Receipt]:
        self.looked += [intent.device for intent in wanted]
        return [Receipt(Outcome.DONE, now) for _ in wanted]

    def _done(self, wanted: Sequence[Intent], now: datetime) -> list[Receipt]:
        return [Receipt(Outcome.DONE, now) for _ in wanted]


def make_company(url: str, database: Database, host: MailHost, directory: Path) -> Company:
    """A campaign past its deadline, in a company with 400 more machines, so that the brakes let one go."""
    mail = MailSettings(
        server=host.server,
        sender=sender_of("Patch Desk <patch@corp.example>"),
        return_path="bounces@corp.example",
        link_base="https://patch.corp.example",
    )
    with database.begin() as con:
        campaigns.save(con, ENFORCING)
        others = (Device(DeviceId(f"z{n}"), f"z{n}", SiteId("z"), managed=False) for n in range(400))
        devices.save(con, others)
    return Company(url, database, host, mail, directory)
