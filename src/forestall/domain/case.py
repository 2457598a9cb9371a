"""From dated facts to a case: what is true of one machine in one campaign right now."""

from datetime import datetime
from typing import NamedTuple

from forestall.domain.campaign import Campaign, Kind, Phase
from forestall.domain.evidence import Evidence, Limits, Status, Verdict, Witness, judge
from forestall.domain.policy import HOUR, Policy
from forestall.domain.record import Record
from forestall.domain.ring import Ring, up_to


class Case(NamedTuple):
    """What is true now. Booleans read as facts; the rule table combines nothing else."""

    status: Status = Status.UNKNOWN
    conflict: bool = False
    managed: bool = False
    lost: bool = False
    """Its agent is silent or keeps failing: from now on treated like an unmanaged machine (A4)."""
    online: bool = False
    owned: bool = False
    protected: bool = False
    exempt: bool = False
    distributed: bool = False
    """Offered to everybody, its own ring included."""
    trying: bool = False
    """Its ring tests the patch (P4.1)."""
    overdue: bool = False
    imminent: bool = False
    halted: bool = False
    withdrawn: bool = False
    closed: bool = False
    undo: bool = False
    """An update is taken back: a matter of agents alone (A7)."""
    announced: bool = False
    offered: bool = False
    """An order has reached it, to choose or by force: there is something to take back."""
    forced: bool = False
    restarting: bool = False
    expected: bool = False
    counted_down: bool = False
    """The countdown after its return has begun."""
    counting_down: bool = False
    """It has begun and is not over."""
    unreadable: bool = False
    asked: bool = False
    wished: bool = False
    """Its owner asked for a check, and none has answered since."""
    looked: bool = False
    """A check is under way, or has just been made."""
    warning: bool = False
    warned: bool = False
    refused: bool = False
    recheck_due: bool = False
    rechecked: bool = False
    """Seen vulnerable since the re-check was due, and not long ago."""
    quarantined: bool = False
    held_long: bool = False
    told: bool = False
    helped: bool = False
    reviewed: bool = False
    recalled: bool = False


class Moment(NamedTuple):
    """One campaign at one instant: what is the same for all its machines is found once, not once a machine."""

    now: datetime
    policy: Policy
    limits: Limits
    mail_waived: bool
    distributed: bool
    testing: tuple[Ring, ...]
    """The rings that have it while it is tested."""
    last_waits: bool
    """What must not stop has not had its turn."""
    overdue: bool
    imminent: bool
    halted: bool
    withdrawn: bool
    closed: bool
    undo: bool
    heard_since: datetime
    """An agent heard after this is online."""
    forced_since: datetime
    silent_since: datetime
    counting_since: datetime
    held_since: datetime
    seen_since: datetime
    """Evidence older than this removes nobody."""


def moment_of(campaign: Campaign, now: datetime, policy: Policy) -> Moment:
    """Find what is true of a campaign at `now`."""
    return Moment(
        now=now,
        policy=policy,
        limits=Limits(own=policy.agent_evidence_for, outside=policy.probe_evidence_for),
        mail_waived=campaign.mail_waived,
        distributed=_passed(campaign.distributed_at, now),
        testing=up_to(campaign.ring) if campaign.phase is Phase.TESTING else (),
        last_waits=campaign.ring is Ring.BROAD and not _passed(campaign.deadline_at, now),
        overdue=_passed(campaign.deadline_at, now),
        imminent=_passed(campaign.imminent_at, now),
        halted=campaign.halted_at is not None,
        withdrawn=campaign.phase is Phase.WITHDRAWN,
        closed=campaign.phase is Phase.CLOSED,
        undo=campaign.kind is Kind.UNDO,
        heard_since=now - policy.check_every - HOUR,
        forced_since=now - policy.retry_after,
        silent_since=now - policy.silent_after,
        counting_since=now - policy.return_countdown,
        held_since=now - policy.held_unknown_for,
        seen_since=now - policy.removal_evidence_for,
    )


def evidence_of(record: Record) -> list[Evidence]:
    """List the latest word of each witness."""
    said: list[Evidence] = []
    if record.agent_status and record.agent_at:
        said.append(Evidence(Witness.AGENT, record.agent_status, record.agent_at))
    if record.inventory_status and record.inventory_at:
        said.append(Evidence(Witness.INVENTORY, record.inventory_status, record.inventory_at))
    if record.door_status and record.door_at:
        said.append(Evidence(Witness.VPN, record.door_status, record.door_at))
    if record.probe_status and record.probe_at:
        said.append(Evidence(Witness.PROBE, record.probe_status, record.probe_at))
    return said


def verdict_of(record: Record, moment: Moment) -> Verdict:
    """Judge the record's evidence."""
    return judge(evidence_of(record), moment.now, moment.limits)


def case_of(record: Record, moment: Moment) -> Case:
    """Find what is true of a machine in a campaign now."""
    verdict = verdict_of(record, moment)
    warned_at, refused = _warned(record, moment)
    recheck_at = warned_at + moment.policy.recheck_after if warned_at else None
    held_since = record.quarantined_at
    return Case(
        status=verdict.status,
        conflict=verdict.conflict,
        managed=record.managed,
        lost=record.managed and _lost(record, moment),
        online=_since(record.heard_at, moment.heard_since),
        owned=record.owned,
        protected=record.protected,
        exempt=record.exempt_until is not None and moment.now < record.exempt_until,
        distributed=moment.distributed and not (moment.last_waits and record.ring is Ring.CRITICAL_LAST),
        trying=record.ring is not None and record.ring in moment.testing,
        overdue=moment.overdue,
        imminent=moment.imminent,
        halted=moment.halted,
        withdrawn=moment.withdrawn,
        closed=moment.closed,
        undo=moment.undo,
        announced=record.announced_at is not None,
        offered=record.offered_at is not None or record.forced_at is not None,
        forced=_since(record.forced_at, moment.forced_since),
        restarting=record.restart_ordered_at is not None,
        expected=record.expected_at is not None,
        counted_down=record.counted_down_at is not None,
        counting_down=_since(record.counted_down_at, moment.counting_since),
        unreadable=_later(record.unread_at, record.probe_at),
        asked=record.asked_at is not None,
        wished=_wished(record),
        looked=_looked(record, moment, warned_at, verdict.status),
        warning=record.warning_at is not None,
        warned=warned_at is not None,
        refused=refused,
        recheck_due=recheck_at is not None and recheck_at <= moment.now,
        rechecked=_rechecked(verdict, recheck_at, moment),
        quarantined=held_since is not None,
        held_long=held_since is not None and held_since <= moment.held_since,
        told=record.told_at is not None,
        helped=record.helped_at is not None,
        reviewed=record.reviewed_at is not None,
        recalled=record.recalled_at is not None,
    )


def _passed(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now


def _since(at: datetime | None, start: datetime) -> bool:
    return at is not None and at > start


def _later(at: datetime | None, than: datetime | None) -> bool:
    return at is not None and (than is None or at > than)


def _warned(record: Record, moment: Moment) -> tuple[datetime | None, bool]:
    """Find when the final warning counts from, and whether it failed to reach a mail server (A14).

    Receipts older than the warning belong to an earlier one; a mail that comes back takes its acceptance back.
    """
    if record.warning_at is None:
        return None, False
    accepted = record.warned_at is not None and record.warned_at >= record.warning_at
    refused = record.refused_at is not None and record.refused_at >= record.warning_at
    bounced = refused and accepted and _later(record.refused_at, record.warned_at)
    if accepted and not bounced:
        return record.warned_at, False
    if refused and moment.mail_waived:
        return record.warned_at if accepted else record.refused_at, False
    return None, refused


def _wished(record: Record) -> bool:
    """Say whether the owner's wish for a check is still open: no check has answered since (A13)."""
    asked_at = record.check_asked_at
    if asked_at is None:
        return False
    return not _since(record.probe_at, asked_at) and not _since(record.unread_at, asked_at)


def _looked(record: Record, moment: Moment, warned_at: datetime | None, status: Status) -> bool:
    """Say whether a check is under way or was just made: more often the more hangs on it.

    A warned machine that does not answer is soon asked less often, or one left at home would be asked for weeks.
    """
    if record.looked_at is None or _later(record.check_asked_at, record.looked_at):
        return False
    policy = moment.policy
    if record.quarantined_at is not None:
        every = policy.held_look_every
    elif warned_at is not None and moment.now - warned_at < policy.removal_after_warning:
        every = policy.look_again_after
    elif warned_at is not None and status is not Status.UNKNOWN:
        every = policy.held_look_every
    else:
        every = policy.sweep_every
    return moment.now - record.looked_at < every


def _rechecked(verdict: Verdict, recheck_at: datetime | None, moment: Moment) -> bool:
    """Say whether the machine was seen since its re-check was due, and not long ago (P6.4)."""
    if (
        recheck_at is None
        or recheck_at > moment.now
        or verdict.status is Status.UNKNOWN
        or verdict.as_of is None
    ):
        return False
    return verdict.as_of >= recheck_at and verdict.as_of >= moment.seen_since


def _lost(record: Record, moment: Moment) -> bool:
    """Say whether an agent is silent although the network sees its machine, or keeps failing (A4)."""
    silent = not _since(record.heard_at, moment.silent_since)
    if silent and _later(record.seen_at, record.heard_at) and _since(record.seen_at, moment.silent_since):
        return True
    return (
        record.failures >= moment.policy.failing_times
        and record.failing_since is not None
        and moment.now - record.failing_since >= moment.policy.failing_for
    )
