"""What witnesses say of machines: records change by the domain's rules, and every changed word is kept."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, func, select

from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.record import WITNESS_COLUMNS, Record, after_attempts, after_evidence
from forestall.store import ledger, records
from forestall.store.records import Changed, Word
from forestall.store.tables import record as record_table


@dataclass(frozen=True, slots=True)
class Attempts:
    """What an agent says of its forced installs."""

    failures: int
    forced: bool
    forcing: bool = False
    """One begins."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one witness says of one machine; an agent adds how its attempts went."""

    device: DeviceId
    evidence: Evidence
    attempts: Attempts | None = None


def take(
    con: Connection, campaign: CampaignId, observations: Iterable[Observation], now: datetime
) -> list[Changed]:
    """Take in observations of one campaign's machines; those of machines that are not in it change nothing."""
    return take_all(con, {campaign: observations}, now)


def take_all(
    con: Connection, said: Mapping[CampaignId, Iterable[Observation]], now: datetime
) -> list[Changed]:
    """Take in observations of many campaigns' machines.

    Records are locked by campaign and machine, and the ledger after all of them: whoever holds the chain waits for no
    record. Its entries stand by machine, then campaign, as if the machines had spoken one after the other.
    """
    changed: list[Changed] = []
    events: list[Event] = []
    for campaign in sorted(said):
        by_device = defaultdict[DeviceId, list[Observation]](list)
        for observation in said[campaign]:
            by_device[observation.device].append(observation)
        changes: dict[DeviceId, Callable[[Record], Record]] = {
            device: partial(_after, said=words) for device, words in by_device.items()
        }
        pairs = records.revise(con, campaign, changes)
        spoken = [(pair, by_device[pair.after.device]) for pair in pairs]
        records.remember(con, campaign, [word for pair, words in spoken for word in _words(pair, words)])
        events += [event for pair, words in spoken for event in _events(campaign, pair, words, now)]
        changed += pairs
    ledger.append(con, sorted(events, key=lambda event: (event.subject, event.campaign)), now)
    return changed


def probed(
    con: Connection, campaign: CampaignId, since: datetime, besides: Iterable[DeviceId]
) -> dict[Status, int]:
    """Count a campaign's machines, some left out, by what a probe last said of them since an instant."""
    record = record_table
    statement = (
        select(record.c.probe_status, func.count())
        .where(
            record.c.campaign == campaign, record.c.probe_at >= since, record.c.device.not_in(list(besides))
        )
        .group_by(record.c.probe_status)
    )
    return {Status(status): count for status, count in con.execute(statement)}


def _after(record: Record, said: list[Observation]) -> Record:
    for each in said:
        record = after_evidence(record, each.evidence)
        if each.attempts is not None:
            tried = each.attempts
            record = after_attempts(
                record, tried.failures, each.evidence.observed_at, forced=tried.forced, forcing=tried.forcing
            )
    return record


def _words(pair: Changed, said: list[Observation]) -> list[Word]:
    """Find the words that are other than the same witness's last."""
    words: dict[Witness, Word] = {}
    for each in said:
        witness, status, at, detail = each.evidence
        if _changed_word(pair, each.evidence):
            words[witness] = Word(each.device, witness, status, at, detail)
    return list(words.values())


def _changed_word(pair: Changed, evidence: Evidence) -> bool:
    column = WITNESS_COLUMNS[evidence.witness][0]
    return bool(getattr(pair.after, column) == evidence.status != getattr(pair.before, column))


def _events(campaign: CampaignId, pair: Changed, said: list[Observation], now: datetime) -> Iterator[Event]:
    """Tell what the record can be told again from: changed words, changed attempts, fresh starts (R17)."""
    attempted = (pair.before.failures, pair.before.forced_at) != (pair.after.failures, pair.after.forced_at)
    disputed = pair.before.disputed_at != pair.after.disputed_at
    if not attempted and not disputed and pair.before.episode == pair.after.episode:
        said = [each for each in said if _changed_word(pair, each.evidence)]
    for witness, each in {each.evidence.witness: each for each in said}.items():
        body: dict[str, JsonValue] = {"status": each.evidence.status, "detail": each.evidence.detail}
        if each.evidence.observed_at != now:
            body["observed_at"] = each.evidence.observed_at.isoformat()
        if attempted and each.attempts is not None:
            body |= {"failures": each.attempts.failures, "forced": each.attempts.forced}
        yield Event(EventKind.STATUS_CHANGED, witness, each.device, campaign, paragraph="A2", body=body)
