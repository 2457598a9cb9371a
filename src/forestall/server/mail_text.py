"""Writes the messages: what is known of an update and of a person's machines becomes a mail."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from forestall.domain.action import Action
from forestall.domain.campaign import Campaign
from forestall.domain.notice import MessageId, Notice, NoticeId
from forestall.domain.order import CampaignId
from forestall.domain.policy import MINUTE, Policy
from forestall.domain.remediation import RemediationId, parts_of
from forestall.notify.letters import Contents, Letter, later, trial, write
from forestall.notify.message import Envelope
from forestall.server.links import PATH, UPDATE_PATH, Links
from forestall.server.mail_settings import MailSettings
from forestall.store import advisories, campaigns
from forestall.store.database import Connection
from forestall.store.notices import Carried

LETTERS: Mapping[Action, Letter] = {
    Action.ANNOUNCE: Letter.ANNOUNCEMENT,
    Action.ASK: Letter.SELF_CHECK,
    Action.WARN: Letter.FINAL_WARNING,
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A campaign, and what its update closes."""

    campaign: Campaign
    flaws: tuple[str, ...]


def topics_of(con: Connection, names: Iterable[CampaignId]) -> dict[CampaignId, Topic]:
    """Gather what there is to say of campaigns."""
    found = [campaign for name in names if (campaign := campaigns.get(con, name)) is not None]
    return {
        campaign.id: Topic(campaign, tuple(advisories.flaws_of(con, *parts_of(campaign.remediation))))
        for campaign in found
    }


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes mails for one installation."""

    mail: MailSettings
    links: Links
    policy: Policy

    @property
    def domain(self) -> str:
        """The right-hand side of our Message-IDs."""
        return self.mail.sender.domain

    def link(self, message: MessageId, written_at: datetime) -> str:
        """Give the link that a message carries."""
        return f"{self.mail.link_base}{PATH}{self.links.token(message, written_at)}"

    def write(
        self,
        message: MessageId,
        told: Sequence[tuple[Notice, Topic]],
        carried: Mapping[NoticeId, Sequence[Carried]],
        written_at: datetime,
    ) -> bytes:
        """Write one message, ready to be handed over."""
        person = told[0][0].person
        theirs = self.link(message, written_at)
        parts = []
        for notice, topic in told:
            machines = [each.name for each in carried.get(notice.id, ())]
            link = (
                theirs
                if machines
                else f"{self.mail.link_base}{UPDATE_PATH}{quote(topic.campaign.id, safe='')}"
            )
            parts.append(self.contents(notice.action, topic, machines, link, written_at))
        envelope = Envelope(person.address, person.language, written_at, person.name, message)
        return write(parts, envelope, self.mail.sender)

    def contents(
        self, action: Action, topic: Topic, machines: Iterable[str], link: str, written_at: datetime
    ) -> Contents:
        """Say what a mail says of one campaign's update."""
        campaign = topic.campaign
        imminent = campaign.imminent_at is not None
        return Contents(
            letter=LETTERS[action],
            update=name_of(campaign.remediation),
            machines=tuple(machines),
            deadline_at=campaign.deadline_at,
            minutes=int(self.policy.removal_after_warning / MINUTE),
            link=link,
            flaws=topic.flaws,
            imminent=imminent,
            event=campaign.id if action is Action.ANNOUNCE or imminent else "",
            sequence=later(written_at, campaign.handed_over_at),
        )

    def trial(self, address: str, language: str, at: datetime) -> bytes:
        """Write a mail that only shows whether mails arrive."""
        return trial(Envelope(address, language, at), self.mail.sender)


def name_of(update: RemediationId) -> str:
    """Name an update as people do: the package first."""
    _, source, version = parts_of(update)
    return f"{source} {version}"
