"""What people are to be told by mail: one notice a person and campaign, one mail a person and day (P6.1, P6.3)."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, NewType

from forestall.domain.action import Action
from forestall.domain.intent import Intent
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy

NoticeId = NewType("NoticeId", str)
MessageId = NewType("MessageId", str)
"""The part before the @ of a Message-ID: the same notices make the same message, however often it is sent."""

MAILED = frozenset({Action.ANNOUNCE, Action.ASK, Action.WARN})
"""What is done by telling the person behind a machine."""

_LONGEST_ADDRESS = 254
_ADDRESS = re.compile(
    r"(?!\.)(?!.*\.\.)[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(?<!\.)"
    r"@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to write to."""

    address: str
    name: str = ""
    language: str = "en"


class Owed(NamedTuple):
    """An intent that is done by telling somebody."""

    intent: Intent
    owner: str
    language: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What one person is told in one campaign, about any number of machines."""

    id: NoticeId
    campaign: CampaignId
    revision: int
    action: Action
    person: Person
    everybody: bool = False
    """Told as one of all (P6.1), whatever becomes of the person's machines."""

    @property
    def daily(self) -> bool:
        """Counts for, and waits for, the one mail a day; a final warning does neither."""
        return self.action is not Action.WARN


class Collapsed(NamedTuple):
    """Notices with the intents that each carries; and intents whose owner's address is none."""

    notices: dict[Notice, list[Intent]]
    unwritable: list[Intent]


def address_of(text: str) -> str:
    """Bring an address into its one form: lower case, international domains in ASCII; empty where it is none.

    No quoted local parts and none beyond ASCII (RFC 5321, without SMTPUTF8).
    """
    local, at, domain = text.strip().rpartition("@")
    try:
        address = f"{local}{at}{domain.encode('idna').decode()}".lower()
    except UnicodeError:
        return ""
    return address if len(address) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(address) else ""


def collapse(owed: Iterable[Owed], known: Mapping[str, Person]) -> Collapsed:
    """Make one notice of all that a person is owed in a campaign; who is known is named and spoken to as known."""
    groups = defaultdict[tuple[CampaignId, int, Action, Person], list[Intent]](list)
    unwritable: list[Intent] = []
    for intent, owner, language in owed:
        address = address_of(owner)
        if not address:
            unwritable.append(intent)
            continue
        person = known.get(address) or Person(address, language=language)
        groups[intent.campaign, intent.revision, intent.action, person].append(intent)
    notices = {
        Notice(
            _id(*key, carried), *key, everybody=key[2] is Action.ANNOUNCE and key[3].address in known
        ): carried
        for key, carried in groups.items()
    }
    return Collapsed(notices, unwritable)


def broadcast(
    campaign: CampaignId, revision: int, people: Iterable[Person], told: Iterable[Notice]
) -> list[Notice]:
    """Announce a campaign to everybody who is not told of it anyhow as an owner (P6.1)."""
    already = {
        notice.person for notice in told if notice.campaign == campaign and notice.action is Action.ANNOUNCE
    }
    key = campaign, revision, Action.ANNOUNCE
    return [
        Notice(_id(*key, person, ()), *key, person, everybody=True)
        for person in people
        if person not in already
    ]


def may_go_at(
    told_at: datetime | None, deadline_at: datetime | None, now: datetime, policy: Policy
) -> datetime:
    """Say when a person may get the next daily mail: a day after the last, at once where a deadline comes sooner."""
    if told_at is None:
        return now
    free_at = told_at + policy.mail_every
    return now if deadline_at is not None and deadline_at <= free_at else max(free_at, now)


def message_of(notices: Sequence[NoticeId]) -> MessageId:
    """Name the message that carries these notices."""
    return MessageId(notices[0] if len(notices) == 1 else _digest(sorted(notices)))


def _id(
    campaign: CampaignId, revision: int, action: Action, person: Person, carried: Sequence[Intent]
) -> NoticeId:
    machines = sorted([intent.device, intent.round] for intent in carried)
    return NoticeId(_digest([campaign, revision, action, person.address, machines]))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
