"""The test of a patch by rings, server's side: what agents say of it, what is judged, how the next ring opens (P4)."""

from collections.abc import Mapping
from datetime import datetime

from forestall import protocol
from forestall.domain.campaign import Campaign, Step, next_ring, opened
from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.evidence import Status
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.ring import Ring, up_to
from forestall.domain.testing import Judgement, judge
from forestall.domain.trial import Word, span_of
from forestall.server.steps import changed, moved
from forestall.store import ledger, rings, trials
from forestall.store.database import Connection


def tried(
    con: Connection,
    messages: Mapping[DeviceId, protocol.CheckIn],
    said: Mapping[CampaignId, Mapping[DeviceId, protocol.OrderState]],
    now: datetime,
) -> None:
    """Take in what agents say of their installs, after their records were locked; complaints are put on record."""
    complaints: list[Event] = []
    for campaign in sorted(said):
        by_revision: dict[int, dict[DeviceId, Word]] = {}
        for device, state in said[campaign].items():
            by_revision.setdefault(state.revision, {})[device] = _word(messages[device], state)
        for revision, words in by_revision.items():
            for device, trial in trials.hear(con, campaign, revision, words, now):
                if trial.broke_at == now:
                    body: dict[str, JsonValue] = {"broke": trial.broke}
                    complaints.append(
                        Event(EventKind.COMPLAINED, "person", device, campaign, paragraph="P4.2", body=body)
                    )
    if complaints:
        ledger.append(con, complaints, now)


def _word(message: protocol.CheckIn, state: protocol.OrderState) -> Word:
    return Word(Status(state.status), message.boot_id, state.attempts, tuple(state.services), state.broke)


def judgement(con: Connection, campaign: Campaign, now: datetime, policy: Policy) -> Judgement | None:
    """Judge what the rings that have a patch have answered; writes nothing."""
    coming = next_ring(campaign)
    if coming is None:
        return None
    span = span_of(campaign, now, policy)
    tallies = trials.tally(con, campaign.id, campaign.revision, up_to(campaign.ring), span)
    # Only the last ring may be left empty on purpose; the others are asked for an answer.
    waiting = rings.counts_in(con, campaign.id, now)[coming] if coming is Ring.CRITICAL_LAST else 0
    return judge(campaign, tallies, waiting, now, policy)


def open_ring(con: Connection, campaign: Campaign, judged: Judgement, by: str, now: datetime) -> Campaign:
    """Let the next ring have a patch; the broad ring has it by being distributed (P4.4)."""
    if judged.next is Ring.BROAD:
        return moved(con, campaign, Step.DISTRIBUTE, by, now)
    after = opened(campaign, judged.next, now)
    if after is None:
        raise ValueError(f"{judged.next} does not follow {campaign.ring}")
    rule = judged.rule
    event = Event(EventKind.RING_OPENED, by, campaign.id, "", rule.name, rule.paragraph)
    return changed(con, campaign, after, event, now)
