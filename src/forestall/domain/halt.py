"""When a campaign stops by itself: what it forced since it last went on fails, or falls silent (A7)."""

from collections.abc import Iterable
from datetime import datetime

from forestall.domain.brakes import halt_reason
from forestall.domain.campaign import Campaign
from forestall.domain.policy import Policy
from forestall.domain.record import Record


def failing(records: Iterable[Record], campaign: Campaign, now: datetime, policy: Policy) -> str:
    """Say why a campaign must halt now; empty where it need not, or has halted or ended already.

    Only what was forced since the last resume counts: a person has looked at what had failed by then.
    """
    if not campaign.open or campaign.halted_at is not None:
        return ""
    since = campaign.resumed_at or campaign.handed_over_at
    attempted = failed = silent = 0
    for record in records:
        if not (_within(record.forced_at, since) or _within(record.forcing_at, since)):
            continue
        attempted += 1
        failed += record.failures > 0 and _within(record.failing_since, since)
        silent += _silent(record, since, now, policy)
    return halt_reason(attempted, failed, silent, policy)


def _silent(record: Record, since: datetime, now: datetime, policy: Policy) -> bool:
    """Say whether a machine has not been heard since it was made to install or to restart, and had time to speak.

    An agent says right before it installs by force, and again right after: silence in between shows long before the
    next regular check-in is missed, and before the next wave opens (A8).
    """
    waits = (
        (record.forcing_at, policy.silent_in_install),
        (record.forced_at, 2 * policy.check_every),
        (record.restart_ordered_at, 2 * policy.check_every),
    )
    heard_at = record.heard_at
    return any(
        at is not None and at >= since and now - at >= wait and (heard_at is None or heard_at <= at)
        for at, wait in waits
    )


def _within(at: datetime | None, since: datetime) -> bool:
    return at is not None and at >= since
