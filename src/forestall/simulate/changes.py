"""When may the answer change by itself? Between two such instants no pass has anything to decide."""

from datetime import datetime, timedelta

from forestall.domain.campaign import Campaign
from forestall.domain.case import Moment
from forestall.domain.policy import HOUR
from forestall.domain.record import Record

_JUST_AFTER = timedelta(microseconds=1)
"""Evidence still counts at the very end of its time."""


def changes_at(record: Record, campaign: Campaign, moment: Moment) -> datetime | None:
    """Find the next instant at which time alone may change the case of a machine; None where it never does.

    It may name an instant at which nothing changes, never miss one at which something does.
    """
    policy, now = moment.policy, moment.now
    own, outside = moment.limits.own + _JUST_AFTER, moment.limits.outside + _JUST_AFTER
    warned_at, looked_at = record.warned_at or record.refused_at, record.looked_at
    waits = [
        (record.agent_at, own),
        (record.inventory_at, own),
        (record.door_at, own),
        (record.probe_at, outside),
        (record.heard_at, policy.check_every + HOUR),
        (record.heard_at, policy.silent_after),
        (record.seen_at, policy.silent_after),
        (record.failing_since, policy.failing_for),
        (record.forced_at, policy.retry_after),
        (record.counted_down_at, policy.return_countdown),
        (record.quarantined_at, policy.held_unknown_for),
        (record.exempt_until, timedelta()),
        (campaign.distributed_at, timedelta()),
        (campaign.deadline_at, timedelta()),
        (looked_at, policy.sweep_every),
    ]
    if warned_at is not None or record.quarantined_at is not None:
        fresh = policy.removal_evidence_for + _JUST_AFTER
        waits += [
            (looked_at, policy.look_again_after),
            (looked_at, policy.held_look_every),
            (warned_at, policy.recheck_after),
            (warned_at, policy.removal_after_warning),
            (record.agent_at, fresh),
            (record.inventory_at, fresh),
            (record.door_at, fresh),
            (record.probe_at, fresh),
        ]
    soonest: datetime | None = None
    for at, wait in waits:
        if at is not None and now < (then := at + wait) and (soonest is None or then < soonest):
            soonest = then
    return soonest
