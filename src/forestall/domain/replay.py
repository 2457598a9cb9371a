"""What the ledger says has happened, told again: tables that are an older backup become what they were (A12, R17).

Everything is taken in order and by value, so that what the tables know already changes nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from forestall.domain.campaign import Campaign
from forestall.domain.device import Device, DeviceId, OwnerSource, SiteId
from forestall.domain.errors import InputError
from forestall.domain.events import Entry, EventKind, JsonValue
from forestall.domain.evidence import Evidence, Side, Status, Witness
from forestall.domain.identity import Void
from forestall.domain.intent import Intent, intent_of
from forestall.domain.order import CampaignId
from forestall.domain.record import (
    WITNESS_COLUMNS,
    Outcome,
    Receipt,
    Record,
    after_attempts,
    after_belief,
    after_evidence,
    after_help,
    after_intent,
    after_reading,
    after_receipt,
    evidence_of,
)
from forestall.domain.ring import Ring
from forestall.domain.story import retold

Change = Callable[[Record], Record]
_CAMPAIGN = frozenset(
    {
        EventKind.CAMPAIGN_STARTED, EventKind.PHASE_CHANGED, EventKind.DEADLINE_MOVED, EventKind.HALTED,
        EventKind.RESUMED, EventKind.RING_OPENED,
    }
)  # fmt: skip
"""What may say how a campaign stands from then on."""


@dataclass(slots=True)
class Retold:
    """What has to be put back; `campaigns` begins as the tables know them."""

    campaigns: dict[CampaignId, Campaign]
    enlisted: dict[CampaignId, dict[DeviceId, tuple[Status, datetime]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    changes: dict[CampaignId, dict[DeviceId, list[Change]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    ordered: list[tuple[Intent, datetime]] = field(default_factory=list[tuple[Intent, datetime]])
    answered: list[tuple[Intent, Receipt]] = field(default_factory=list[tuple[Intent, Receipt]])
    devices: dict[DeviceId, Device] = field(default_factory=dict[DeviceId, Device])
    protected: dict[DeviceId, bool] = field(default_factory=dict[DeviceId, bool])
    owners: dict[DeviceId, tuple[str, OwnerSource | None, str, str]] = field(
        default_factory=dict[DeviceId, tuple[str, OwnerSource | None, str, str]]
    )
    """Whose each machine is by the last word of a person: address, source, language, who disowned it."""
    voided: dict[DeviceId, tuple[Void, datetime]] = field(
        default_factory=dict[DeviceId, tuple[Void, datetime]]
    )
    rings: dict[DeviceId, tuple[Ring, str, datetime]] = field(
        default_factory=dict[DeviceId, tuple[Ring, str, datetime]]
    )
    """Where each machine was put last, by whom and when."""
    decisions: list[Entry] = field(default_factory=list[Entry])
    """Ratings, requests and approvals."""


def retell(entries: Iterable[Entry], campaigns: Iterable[Campaign]) -> Retold:
    """Go through the ledger from the entry behind the backup's last.

    Raises:
        InputError: an entry does not say what entries of its kind say.
    """
    story = Retold({campaign.id: campaign for campaign in campaigns})
    for entry in entries:
        try:
            _tell(story, entry)
        except (KeyError, TypeError, ValueError) as error:
            what = f"entry {entry.sequence} ({entry.event.kind})"
            raise InputError(
                f"The ledger's {what} cannot be told again: {error!r}. Nothing was changed."
            ) from error
    return story


def _tell(story: Retold, entry: Entry) -> None:
    event, name, subject = entry.event, CampaignId(entry.event.campaign), DeviceId(entry.event.subject)
    body = event.body or {}
    if event.kind in _CAMPAIGN and (name in story.campaigns or event.kind is EventKind.CAMPAIGN_STARTED):
        story.campaigns[name] = retold(body, story.campaigns.get(name))
    match event.kind:
        case EventKind.RATED | EventKind.ASKED | EventKind.APPROVED:
            story.decisions.append(entry)
        case EventKind.ENLISTED:
            for device, status in _named(body["machines"]):
                story.enlisted[name].setdefault(device, (status, entry.at))
        case EventKind.STATUS_CHANGED:
            story.changes[name][subject].append(_word(entry))
        case EventKind.PORT_READ:
            story.changes[name][subject].append(
                partial(after_reading, closed=body["reads"] == "closed", at=entry.at)
            )
        case EventKind.EXEMPTED | EventKind.BELIEVED | EventKind.HELPED:
            story.changes[name][subject].append(_decided(entry))
        case (
            EventKind.PROTECTED
            | EventKind.OWNED
            | EventKind.DEVICE_ENROLLED
            | EventKind.DEVICE_VOIDED
            | EventKind.RING_CHANGED
        ):
            _tell_device(story, entry)
        case EventKind.INTENDED | EventKind.DONE | EventKind.REFUSED:
            _tell_intent(story, entry)
        case _:
            pass


def _decided(entry: Entry) -> Change:
    """Read what people decided about one machine in one campaign."""
    body = entry.event.body or {}
    if entry.event.kind is EventKind.HELPED:
        return partial(after_help, at=entry.at)
    until = datetime.fromisoformat(str(body["until"]))
    if entry.event.kind is EventKind.BELIEVED:
        return partial(after_belief, side=Side(str(body["side"])), until=until)
    return partial(_after_exemption, until=until)


def _tell_device(story: Retold, entry: Entry) -> None:
    body, device = entry.event.body or {}, DeviceId(entry.event.subject)
    if entry.event.kind is EventKind.PROTECTED:
        story.protected[device] = bool(body["protected"])
    elif entry.event.kind is EventKind.OWNED:
        said = body["source"]
        source = OwnerSource(str(said)) if said else None
        story.owners[device] = (str(body["owner"]), source, str(body["language"]), str(body["disowned"]))
    elif entry.event.kind is EventKind.DEVICE_VOIDED:
        story.voided[device] = Void(str(body["void"])), entry.at
    elif entry.event.kind is EventKind.RING_CHANGED:
        story.rings[device] = (Ring(str(body["ring"])), entry.event.actor, entry.at)
    else:
        site = SiteId(str(body["site"]))
        story.devices[device] = Device(device, str(body["name"]), site, managed=True, seen_at=entry.at)


def _named(machines: JsonValue) -> Iterator[tuple[DeviceId, Status]]:
    for device, status in machines.items() if isinstance(machines, dict) else ():
        yield DeviceId(device), Status(str(status))


def _tell_intent(story: Retold, entry: Entry) -> None:
    intent = intent_of(entry.event)
    if intent is None:
        return
    changes = story.changes[intent.campaign][intent.device]
    if entry.event.kind is EventKind.INTENDED:
        story.ordered.append((intent, entry.at))
        changes.append(partial(after_intent, action=intent.action, at=entry.at))
        return
    body = entry.event.body or {}
    receipt = Receipt(Outcome(str(body["outcome"])), entry.at, str(body["detail"]))
    story.answered.append((intent, receipt))
    changes.append(partial(after_receipt, action=intent.action, receipt=receipt))


def _after_exemption(record: Record, until: datetime) -> Record:
    return record._replace(exempt_until=until)


def _word(entry: Entry) -> Change:
    body = entry.event.body or {}
    at = datetime.fromisoformat(str(body["observed_at"])) if "observed_at" in body else entry.at
    said = Evidence(Witness(entry.event.actor), Status(str(body["status"])), at)
    failures = int(str(body["failures"])) if "failures" in body else None
    return partial(_after_word, said=said, failures=failures, forced=bool(body.get("forced")))


def _after_word(record: Record, said: Evidence, failures: int | None, forced: bool) -> Record:
    record = after_evidence(record, said)
    return record if failures is None else after_attempts(record, failures, said.observed_at, forced=forced)


def replayed(record: Record, changes: Iterable[Change], since: datetime) -> Record:
    """Tell one record again from `since`, when the backup was made.

    What witnesses have said after the restore comes after what was lost, not before: a lost word is not older than it.
    """
    later = [word for word in evidence_of(record) if word.observed_at > since]
    blank = dict.fromkeys(column for word in later for column in WITNESS_COLUMNS[word.witness])
    told = record._replace(**blank)  # type: ignore[arg-type]  # dated words
    for change in changes:
        told = change(told)
    for word in sorted(later, key=lambda word: word.observed_at):
        if getattr(told, WITNESS_COLUMNS[word.witness][1]) != word.observed_at:
            told = after_evidence(told, word)  # one that is older than what was told changes nothing
    return told
