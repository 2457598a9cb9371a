"""What a person sees behind a mail's link, and what can be asked for there: a check (A2, A13), or “not mine” (P6.1).

Seeing changes nothing. The check is asked for by the machine itself: whoever opens links in mails on the way, runs
their scripts or presses their buttons does it from elsewhere, and nothing happens. “Not mine” takes a box to be
ticked.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from forestall.domain.case import Moment, case_of, moment_of
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Status
from forestall.domain.notice import MessageId
from forestall.domain.order import CampaignId
from forestall.domain.policy import MINUTE, Policy
from forestall.domain.record import Record, after_asking
from forestall.server.claims import own
from forestall.server.mail_text import Topic, name_of, topics_of
from forestall.store import devices, notices, records
from forestall.store.database import Connection, Database
from forestall.store.notices import Carried

_SOON = 5 * MINUTE
"""A check that has not answered by then will not."""


class Wish(StrEnum):
    """What became of asking for a check."""

    TAKEN = "taken"
    JUST_MADE = "just_made"
    """One was asked for within the last minute."""
    ELSEWHERE = "elsewhere"
    """The request did not come from that machine."""
    UNKNOWN = "unknown"
    """The message is about no such machine."""
    DISOWNED = "disowned"
    """The person of the message is no longer its owner."""
    UNSURE = "unsure"
    """Nobody ticked the box."""


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine and how it stands."""

    id: DeviceId
    name: str
    status: Status
    warned: bool
    quarantined: bool
    unreadable: bool
    managed: bool
    """Has our agent: that looks by itself."""
    waiting: bool
    """A check is under way."""
    here: bool = False
    """The reader's own."""
    theirs: bool = False
    """The message's person is still its owner."""


@dataclass(frozen=True, slots=True)
class UpdateView:
    """One campaign as its people see it."""

    campaign: CampaignId
    update: str
    flaws: tuple[str, ...]
    deadline_at: datetime | None
    over: bool
    imminent: bool
    open: bool
    machines: tuple[MachineView, ...] = ()


@dataclass(frozen=True, slots=True)
class NoticeView:
    """Everything on the page."""

    now: datetime
    minutes: int
    """From a final warning to the removal."""
    updates: tuple[UpdateView, ...]


@dataclass(frozen=True, slots=True)
class NoticeDesk:
    """Answers people who follow a link."""

    database: Database
    policy: Policy

    def update(self, campaign: str, now: datetime) -> NoticeView | None:
        """Show what a campaign asks of everybody; None where there is none, or it is not distributed."""
        with self.database.begin() as con:
            topic = topics_of(con, [CampaignId(campaign)]).get(CampaignId(campaign))
        if topic is None or topic.campaign.distributed_at is None:
            return None
        return self._view([_update(topic, now, ())], now)

    def message(self, message: MessageId, address: str, now: datetime) -> NoticeView | None:
        """Show what a message is about; None where there is no such message. `address` is the reader's."""
        with self.database.begin() as con:
            found = notices.of_message(con, message)
            carried = notices.carried(con, [each.notice.id for each in found])
            topics = topics_of(con, {each.notice.campaign for each in found})
            updates = [
                _update(
                    topic,
                    now,
                    self._machines(
                        con,
                        topic,
                        carried.get(each.notice.id, ()),
                        (address, each.notice.person.address),
                        now,
                    ),
                )
                for each in found
                if (topic := topics.get(each.notice.campaign)) is not None
            ]
        return self._view(updates, now) if updates else None

    def wish(self, message: MessageId, machine: str, address: str, now: datetime) -> Wish:
        """Ask for a check of a machine now; only the machine itself can, and at most once a minute."""
        with self.database.begin() as con:
            found = {each.notice.id: each.notice.campaign for each in notices.of_message(con, message)}
            carried = notices.carried(con, list(found))
            theirs = {
                campaign: each
                for notice, campaign in found.items()
                for each in carried.get(notice, ())
                if each.intent.device == machine
            }
            if not theirs:
                return Wish.UNKNOWN
            if not any(_same(address, each.addresses) for each in theirs.values()):
                return Wish.ELSEWHERE
            device = DeviceId(machine)
            changed = [
                pair
                for campaign in sorted(theirs)
                for pair in records.revise(con, campaign, {device: lambda record: after_asking(record, now)})
            ]
        return Wish.TAKEN if changed else Wish.JUST_MADE

    def disown(self, message: MessageId, machine: str, now: datetime, *, sure: bool) -> Wish:
        """Take in that the message's person does not own a machine; then nobody does, until somebody else is named."""
        with self.database.begin() as con:
            found = {each.notice.id: each.notice.person.address for each in notices.of_message(con, message)}
            carried = notices.carried(con, list(found))
            address = next(
                (
                    found[notice]
                    for notice, some in carried.items()
                    for each in some
                    if each.intent.device == machine
                ),
                "",
            )
            device = devices.get(con, DeviceId(machine)) if address else None
            if device is None or device.owner != address:
                return Wish.UNKNOWN
            if not sure:
                return Wish.UNSURE
            own(con, replace(device, owner="", disowned=address), None, now)
        return Wish.DISOWNED

    def _machines(
        self,
        con: Connection,
        topic: Topic,
        carried: Iterable[Carried],
        reader: tuple[str, str],
        now: datetime,
    ) -> tuple[MachineView, ...]:
        """Show the machines of a notice to a reader: where they read, and who they are."""
        by_id = {each.intent.device: each for each in carried}
        moment = moment_of(topic.campaign, now, self.policy)
        found = records.some(con, topic.campaign.id, list(by_id))
        known = devices.some(con, list(by_id))
        where, who = reader
        return tuple(
            replace(
                _machine(record, by_id[record.device], moment),
                here=_same(where, by_id[record.device].addresses),
                theirs=known[record.device].owner == who,
            )
            for record in found
        )

    def _view(self, updates: Iterable[UpdateView], now: datetime) -> NoticeView:
        return NoticeView(now, int(self.policy.removal_after_warning / MINUTE), tuple(updates))


def _update(topic: Topic, now: datetime, machines: tuple[MachineView, ...]) -> UpdateView:
    campaign = topic.campaign
    return UpdateView(
        campaign=campaign.id,
        update=name_of(campaign.remediation),
        flaws=topic.flaws,
        deadline_at=campaign.deadline_at,
        over=campaign.deadline_at is not None and campaign.deadline_at <= now,
        imminent=campaign.imminent_at is not None,
        open=campaign.open,
        machines=machines,
    )


def _machine(record: Record, carried: Carried, moment: Moment) -> MachineView:
    case = case_of(record, moment)
    return MachineView(
        id=record.device,
        name=carried.name,
        status=case.status,
        warned=case.warned,
        quarantined=case.quarantined,
        unreadable=case.unreadable,
        managed=case.managed and not case.lost,
        waiting=case.wished
        and record.check_asked_at is not None
        and moment.now - record.check_asked_at < _SOON,
    )


def _same(address: str, known: Iterable[str]) -> bool:
    """Say whether an address is one of a machine's."""
    own = {plain for each in known if (plain := _plain(each))}
    return _plain(address) in own


def _plain(address: str) -> str:
    """Write an address in its one form; empty where it is none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
