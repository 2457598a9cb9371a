"""The made-up company tests a patch by rings: who is in them, what their agents tell, how the next one opens (P4)."""

from collections import Counter, defaultdict
from datetime import datetime

from forestall.domain.brakes import position_of
from forestall.domain.campaign import Campaign, next_ring, opened
from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.record import Record
from forestall.domain.remediation import RemediationId
from forestall.domain.ring import Ring, up_to
from forestall.domain.testing import Gate, Judgement, judge
from forestall.domain.trial import Signs, Trial, Word, after_word, signs_of, span_of, tally_of
from forestall.simulate.machine import Report
from forestall.simulate.memory import Key
from forestall.simulate.server import PATROL_EVERY, Server

_LOTS = RemediationId("made-up/rings/1")
_UP_TO = ((Ring.TEAM, 0.1), (Ring.VOLUNTEERS, 0.2), (Ring.EARLY, 0.4), (Ring.CRITICAL_LAST, 0.45))
"""Which machines are on which list, by their place from 0 to 1; the others are in the broad ring."""


def ring_of(device: DeviceId) -> Ring:
    """Find a machine's ring, always the same one."""
    place = position_of(_LOTS, device)
    return next((ring for ring, most in _UP_TO if place < most), Ring.BROAD)


def put_into_rings(server: Server, campaign: CampaignId) -> None:
    """Put the machines that a campaign begins with on their lists; the team's are alike, and nothing breaks there."""
    records = server.memory.tables.records
    for key, record in list(records.items()):
        if key[0] == campaign and record.managed:
            ring = ring_of(record.device)
            records[key] = record._replace(ring=ring)
            server.shared.world.machines[record.device].fragile = ring is not Ring.TEAM


def hear(server: Server, key: Key, record: Record, report: Report, status: Status) -> Record:
    """Take in what an agent says of its install, and the package list that comes along (P4.2, P4.3)."""
    trials, now = server.memory.tables.trials, server.timeline.now
    affected = Status.AFFECTED in {record.inventory_status, record.probe_status}
    before = trials.get(key) or Trial(was_affected=affected)
    services = ("made-up.service",) if key[0] in report.down else ()
    after = after_word(before, Word(status, str(report.boot), services=services), now)
    if after != before:
        trials[key] = after
    installed = Status.FIXED if status is Status.PENDING_RESTART else status
    return server.core.after_evidence(record, Evidence(Witness.INVENTORY, installed, now))


def watch(server: Server) -> None:
    """Look every ten minutes; nobody is asked."""
    server.timeline.after(PATROL_EVERY, watch, server)
    if server.up and not server.shared.observing():
        _look(server)


def _look(server: Server) -> None:
    """Open the next ring of every campaign, hold it, or halt the campaign, by what the rings answer."""
    for campaign in list(server.memory.tables.campaigns.values()):
        judged = _judged(server, campaign, server.timeline.now)
        if judged is None:
            continue
        after = opened(campaign, judged.next, server.timeline.now)
        if judged.rule.then is Gate.HALT:
            server.history.sometimes["halted in its test"] += 1
            server.halt(campaign.id, judged.why, "forestall")
        elif judged.rule.then is Gate.ADVANCE and after is not None:
            server.history.sometimes["the next ring got it by itself"] += 1
            rule = judged.rule
            event = Event(
                EventKind.RING_OPENED, "forestall", campaign.id, campaign.id, rule.name, rule.paragraph
            )
            server.change(after, event)


def _judged(server: Server, campaign: Campaign, now: datetime) -> Judgement | None:
    tables, policy = server.memory.tables, server.memory.policy
    if next_ring(campaign) is None:
        return None
    span = span_of(campaign, now, policy)
    found: defaultdict[Ring, Counter[Signs]] = defaultdict(Counter)
    for key, record in tables.records.items():
        exempt = record.exempt_until is not None and now < record.exempt_until
        if key[0] == campaign.id and record.managed and not exempt:
            signs = signs_of(record, tables.trials.get(key, Trial()), span)
            found[record.ring or Ring.BROAD][signs] += 1
    tallies = {ring: tally_of(found[ring].items()) for ring in up_to(campaign.ring)}
    waiting = found[Ring.CRITICAL_LAST].total()
    return judge(campaign, tallies, waiting, now, policy)
