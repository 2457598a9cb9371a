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
from forestall.domain.policy import MINUTE, Policy
from forestall.domain.record import Outcome

NoticeId = NewType("NoticeId", str)
MessageId = NewType("MessageId", str)
"""The part before the @ of a Message-ID: the same notices make the same message, however often it is sent."""

MAILED = frozenset({Action.ANNOUNCE, Action.ASK, Action.WARN})
"""What is done by telling the person behind a machine."""

LANGUAGES = ("en", "ja")
"""Mails are written in these; the first stands for all others."""

_LONGEST_ADDRESS = 254
_LONGEST_WAIT = 15 * MINUTE
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


class Answer(NamedTuple):
    """What a mail server said of a message, or what kept it from saying anything."""

    outcome: Outcome
    detail: str
    doubtful: bool = False
    """The message was handed over whole and the answer never came: it may have arrived."""
    reached: bool = True
    """The server answered for this message; false where nothing was tried."""


class Tracked(NamedTuple):
    """A notice and how far it got."""

    notice: Notice
    written_at: datetime
    message: MessageId | None
    """The message that carries it; once composed it stays the same."""
    begun_at: datetime | None
    """The message was first handed over: its date."""
    doubt_at: datetime | None
    """It was handed over and nobody knows whether it arrived: the answer was cut off."""
    attempts: int
    outcome: Outcome | None
    ended_at: datetime | None
    detail: str


class Told(NamedTuple):
    """What became of a notice at a hand-over."""

    id: NoticeId
    outcome: Outcome
    at: datetime
    detail: str
    due_at: datetime
    doubt_at: datetime | None
    attempts: int


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


def spoken(language: str) -> str:
    """Find the language to write in for somebody who speaks this one."""
    code = language[:2].lower()
    return code if code in LANGUAGES else LANGUAGES[0]


def collapse(owed: Iterable[Owed], known: Mapping[str, Person]) -> Collapsed:
    """Make one notice of all that a person is owed in a campaign; who is known is named and spoken to as known."""
    groups = defaultdict[tuple[CampaignId, int, Action, Person], list[Intent]](list)
    unwritable: list[Intent] = []
    for intent, owner, language in owed:
        address = address_of(owner)
        if not address:
            unwritable.append(intent)
            continue
        person = known.get(address) or Person(address, language=spoken(language))
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


def became(tracked: Tracked, message: MessageId, answer: Answer, now: datetime, policy: Policy) -> Told:
    """Say what an answer means: accepted and refused are final, all else is tried again, later and later.

    A final warning that no server takes for too long is given up, so that a person looks (A14).
    """
    attempts, doubt = tracked.attempts + answer.reached, _doubt(tracked.doubt_at)
    waited = now - tracked.written_at
    outcome, detail, due_at, doubt_at = answer.outcome, f"{answer.detail}{doubt}", now, tracked.doubt_at
    if outcome is Outcome.DONE:
        detail = f"{answer.detail}, as {message}{doubt}"
    elif outcome is Outcome.FAILED and not tracked.notice.daily and waited >= policy.mail_given_up_after:
        outcome = Outcome.REFUSED
        detail = f"no mail server took it in {waited // MINUTE} minutes; last: {detail}"
    elif outcome is Outcome.FAILED:
        due_at += min(MINUTE * 2 ** min(tracked.attempts, 10), _LONGEST_WAIT) if answer.reached else MINUTE
        doubt_at = doubt_at or (now if answer.doubtful else None)
    return Told(tracked.notice.id, outcome, now, detail, due_at, doubt_at, attempts)


def ended(tracked: Tracked, outcome: Outcome, now: datetime, detail: str) -> Told:
    """End a notice without a hand-over."""
    return Told(tracked.notice.id, outcome, now, detail, now, tracked.doubt_at, tracked.attempts)


def _doubt(at: datetime | None) -> str:
    if at is None:
        return ""
    return f"; a hand-over at {at:%Y-%m-%d %H:%M:%S} UTC got no answer: it may have arrived twice, under the same name"


def _id(
    campaign: CampaignId, revision: int, action: Action, person: Person, carried: Sequence[Intent]
) -> NoticeId:
    machines = sorted([intent.device, intent.round] for intent in carried)
    return NoticeId(_digest([campaign, revision, action, person.address, machines]))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
