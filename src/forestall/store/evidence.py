"""What witnesses say of machines: records change by the domain's rules, and every changed word is kept."""

from collections import defaultdict
from collections.abc import Callable, Iterable
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
    by_device = defaultdict[DeviceId, list[Observation]](list)
    for observation in observations:
        by_device[observation.device].append(observation)
    changes: dict[DeviceId, Callable[[Record], Record]] = {
        device: partial(_after, said=said) for device, said in by_device.items()
    }
    changed = records.revise(con, campaign, changes)
    words = [word for pair in changed for word in _words(pair, by_device[pair.after.device])]
    records.remember(con, campaign, words)
    ledger.append(con, [_event(campaign, word) for word in words], now)
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
            record = after_attempts(
                record, each.attempts.failures, each.evidence.observed_at, forced=each.attempts.forced
            )
    return record


def _words(pair: Changed, said: list[Observation]) -> list[Word]:
    """Find the words that are other than the same witness's last."""
    words: dict[Witness, Word] = {}
    for each in said:
        witness, status, at, detail = each.evidence
        column = WITNESS_COLUMNS[witness][0]
        if getattr(pair.after, column) == status != getattr(pair.before, column):
            words[witness] = Word(each.device, witness, status, at, detail)
    return list(words.values())


def _event(campaign: CampaignId, word: Word) -> Event:
    body: dict[str, JsonValue] = {"status": word.status, "detail": word.detail}
    return Event(EventKind.STATUS_CHANGED, word.witness, word.device, campaign, paragraph="A2", body=body)
