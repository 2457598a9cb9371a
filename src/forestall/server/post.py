"""Tells people what was decided: intents become notices, notices messages, and the mail server's word receipts.

A message is on record before it is handed over, and its answer right after. What was in flight when the process
died is handed over again under the same Message-ID, and the receipt says so.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from forestall.domain.campaign import Campaign
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind
from forestall.domain.intent import Intent
from forestall.domain.notice import (
    Answer,
    MessageId,
    Notice,
    NoticeId,
    Person,
    Told,
    Tracked,
    became,
    broadcast,
    collapse,
    ended,
    may_go_at,
    message_of,
)
from forestall.domain.order import CampaignId
from forestall.domain.policy import MINUTE, Policy
from forestall.domain.record import Outcome, Receipt
from forestall.notify.smtp import Courier, Parcel
from forestall.server.effects import dropped
from forestall.server.links import open_links
from forestall.server.mail_settings import MailSettings
from forestall.server.mail_text import Topic, Writer, topics_of
from forestall.server.wiring import Installation
from forestall.store import campaigns, intents, ledger, notices
from forestall.store.database import Connection, Database
from forestall.store.notices import Carried

BATCH = 100
"""People whose mails are in flight at a time: what a crash leaves in doubt."""


@dataclass(frozen=True, slots=True)
class Message:
    """A mail, and the notices that it carries, each with the intents that it answers."""

    id: MessageId
    carries: tuple[tuple[Tracked, tuple[Intent, ...]], ...]
    parcel: Parcel


@dataclass(frozen=True, slots=True)
class Post:
    """Hands over what people are owed."""

    database: Database
    policy: Policy
    writer: Writer
    clock: Callable[[], datetime]
    actor: str = "mail"

    def write(self) -> str:
        """Make notices of the intents that nobody was told of yet, and announce new campaigns to everybody (P6.1).

        Says what kept everybody from being told; owners are told all the same.
        """
        with self.database.begin() as con:
            return self.write_in(con, self.clock()) if notices.alone(con) else ""

    def write_in(self, con: Connection, now: datetime) -> str:
        """Write within a transaction of somebody else's."""
        owed = notices.owed(con)
        unannounced = [each for each in campaigns.active(con) if _to_announce(con, each)]
        if not owed and not unannounced:
            return ""
        trouble, everybody = self._everybody()
        collapsed = collapse(owed, everybody)
        written: dict[Notice, list[Intent]] = dict(collapsed.notices)
        events: list[Event] = []
        for campaign in unannounced if everybody else ():
            told = broadcast(campaign.id, campaign.revision, everybody.values(), collapsed.notices)
            written.update((notice, []) for notice in told)
            body = {"everybody": len(everybody)}
            events.append(
                Event(EventKind.INTENDED, self.actor, campaign.id, campaign.id, "announce", "P6.1", {**body})
            )
        notices.write(con, written, now)
        refused = Receipt(Outcome.REFUSED, now, "its owner's address is no mail address")
        intents.conclude(con, [(intent, refused) for intent in collapsed.unwritable], self.actor, now)
        ledger.append(con, events, now)
        return trouble

    def _everybody(self) -> tuple[str, dict[str, Person]]:
        try:
            return "", self.writer.mail.people().people
        except InputError as error:
            return str(error), {}

    def hand_over(self, courier: Courier) -> list[Answer]:
        """Hand over one batch; no answers where nothing is due, or another process hands over."""
        with self.database.begin() as right:
            if not notices.alone(right):
                return []
            messages: list[Message] = []
            while not messages:
                with self.database.begin() as con:
                    if not notices.due(con, self.clock(), 1):
                        return []
                    messages = self.begin(con, self.clock())
            answers = courier.hand_over([message.parcel for message in messages])
            with self.database.begin() as con:
                self._record(con, messages, answers, self.clock())
        return answers

    def begin(self, con: Connection, now: datetime) -> list[Message]:
        """Take what is due, ask the rules once more, compose, and note that it is in flight."""
        due = notices.due(con, now, BATCH)
        carried = self._still_wanted(con, notices.carried(con, [each.notice.id for each in due]), now)
        known = topics_of(con, {each.notice.campaign for each in due})
        wanted = self._sorted_out(con, due, carried, known, now)
        groups = _grouped(self._not_too_often(con, wanted, known, now))
        messages = [self._compose(group, carried, known, now) for group in groups]
        notices.begin(
            con, {each.notice.id: message.id for message in messages for each, _ in message.carries}, now
        )
        return messages

    def _still_wanted(
        self, con: Connection, carried: Mapping[NoticeId, Sequence[Carried]], now: datetime
    ) -> dict[NoticeId, list[Carried]]:
        """Drop what the rules no longer want, right before it is done."""
        waiting = [each.intent for some in carried.values() for each in some if each.outcome is None]
        gone = dropped(con, waiting, now, self.policy)
        if gone:
            intents.conclude(con, gone, self.actor, now)
        unwanted = {intents.key_of(intent) for intent, _ in gone}
        return {
            notice: [
                each for each in some if each.outcome is None and intents.key_of(each.intent) not in unwanted
            ]
            for notice, some in carried.items()
        }

    def _sorted_out(
        self,
        con: Connection,
        due: Iterable[Tracked],
        carried: Mapping[NoticeId, Sequence[Carried]],
        known: Mapping[CampaignId, Topic],
        now: datetime,
    ) -> list[Tracked]:
        """Leave out notices of campaigns that are over or halted, and those about no machine any more."""
        wanted: list[Tracked] = []
        over: list[Told] = []
        halted: dict[NoticeId, datetime] = {}
        for each in due:
            topic = known.get(each.notice.campaign)
            if topic is None or not topic.campaign.open:
                over.append(ended(each, Outcome.DROPPED, now, "the campaign is over"))
            elif carried.get(each.notice.id):
                wanted.append(each)
            elif not each.notice.everybody:
                over.append(ended(each, Outcome.DROPPED, now, "no machine of this person needs it any more"))
            elif topic.campaign.halted_at is not None:
                halted[each.notice.id] = now + MINUTE
            else:
                wanted.append(each)
        notices.answered(con, over)
        notices.postpone(con, halted)
        return wanted

    def _not_too_often(
        self,
        con: Connection,
        wanted: Sequence[Tracked],
        known: Mapping[CampaignId, Topic],
        now: datetime,
    ) -> list[Tracked]:
        """Let daily notices wait for their day; a message that was begun is finished."""
        fresh = [each for each in wanted if each.notice.daily and each.message is None]
        told_at = notices.told_at(con, {each.notice.person.address for each in fresh})
        waits: dict[NoticeId, datetime] = {}
        for address, theirs in _by_address(fresh).items():
            deadlines = [at for each in theirs if (at := known[each.notice.campaign].campaign.deadline_at)]
            at = may_go_at(told_at.get(address), min(deadlines, default=None), now, self.policy)
            waits.update((each.notice.id, at) for each in theirs if at > now)
        notices.postpone(con, waits)
        return [each for each in wanted if each.notice.id not in waits]

    def _compose(
        self,
        group: Sequence[Tracked],
        carried: Mapping[NoticeId, Sequence[Carried]],
        known: Mapping[CampaignId, Topic],
        now: datetime,
    ) -> Message:
        name = group[0].message or message_of([each.notice.id for each in group])
        told = [(each.notice, known[each.notice.campaign]) for each in group]
        content = self.writer.write(name, told, carried, group[0].begun_at or now)
        parcel = Parcel(self.writer.mail.return_path, group[0].notice.person.address, content)
        answers = [tuple(each.intent for each in carried.get(stored.notice.id, ())) for stored in group]
        return Message(name, tuple(zip(group, answers, strict=True)), parcel)

    def _record(
        self, con: Connection, messages: Sequence[Message], answers: Sequence[Answer], now: datetime
    ) -> None:
        told: list[Told] = []
        receipts: list[tuple[Intent, Receipt]] = []
        for message, answer in zip(messages, answers, strict=True):
            for stored, answered in message.carries:
                told_now = became(stored, message.id, answer, now, self.policy)
                told.append(told_now)
                if told_now.outcome is not Outcome.FAILED:
                    receipt = Receipt(told_now.outcome, now, told_now.detail)
                    receipts += [(intent, receipt) for intent in answered]
        notices.answered(con, told)
        if receipts:
            intents.conclude(con, receipts, self.actor, now)


def post_of(
    installation: Installation, mail: MailSettings, clock: Callable[[], datetime], actor: str = "mail"
) -> Post:
    """Make the post of an installation."""
    writer = Writer(mail, open_links(installation.settings.directory), installation.policy)
    return Post(installation.database, installation.policy, writer, clock, actor)


def _to_announce(con: Connection, campaign: Campaign) -> bool:
    runs = campaign.open and campaign.distributed_at is not None and campaign.halted_at is None
    return runs and not notices.announced(con, campaign.id, campaign.revision)


def _grouped(wanted: Iterable[Tracked]) -> list[list[Tracked]]:
    """Put together what goes into one message: a person's final warnings, and apart from them all else."""
    groups = defaultdict[tuple[str, bool, MessageId | None], list[Tracked]](list)
    for each in wanted:
        groups[each.notice.person.address, each.notice.daily, each.message].append(each)
    return list(groups.values())


def _by_address(some: Iterable[Tracked]) -> dict[str, list[Tracked]]:
    groups = defaultdict[str, list[Tracked]](list)
    for each in some:
        groups[each.notice.person.address].append(each)
    return groups
