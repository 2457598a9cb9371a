"""Everything dated that is known of one machine in one campaign, and how it changes when something happens.

The store keeps a record a row and changes it by the same rules, set by set; a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from forestall.domain.action import Action
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.evidence import CLEAN, Evidence, Side, Status, Witness, disputed_since
from forestall.domain.policy import MINUTE
from forestall.domain.ring import Ring


class Record(NamedTuple):
    """One machine in one campaign; None where something has not happened."""

    device: DeviceId
    site: SiteId
    managed: bool = True
    owned: bool = True
    """There is somebody to write to."""
    protected: bool = False
    seen_at: datetime | None = None
    """The network last saw it."""
    heard_at: datetime | None = None
    """Its agent last checked in."""
    agent_status: Status | None = None
    agent_at: datetime | None = None
    inventory_status: Status | None = None
    inventory_at: datetime | None = None
    door_status: Status | None = None
    door_at: datetime | None = None
    """Checked at logon or VPN, or by the owner's own “check me now”."""
    probe_status: Status | None = None
    probe_at: datetime | None = None
    unread_at: datetime | None = None
    """A probe reached it and could not tell."""
    disputed_at: datetime | None = None
    """Since when agent and probe contradict each other (A18)."""
    exempt_until: datetime | None = None
    believed: Side | None = None
    """Whom two people believe where agent and probe contradict each other (A18), until `believed_until`."""
    believed_until: datetime | None = None
    announced_at: datetime | None = None
    offered_at: datetime | None = None
    forced_at: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    forcing_at: datetime | None = None
    """Its agent asked a last time before it installs by force (A7); every later word of it ends the waiting."""
    restart_ordered_at: datetime | None = None
    expected_at: datetime | None = None
    """It was away at the deadline and is awaited at the door."""
    counted_down_at: datetime | None = None
    asked_at: datetime | None = None
    looked_at: datetime | None = None
    """A check over the network was last asked for."""
    warning_at: datetime | None = None
    """The final warning was ordered."""
    warned_at: datetime | None = None
    """A mail server accepted the final warning."""
    refused_at: datetime | None = None
    """No mail server accepted it, or it came back."""
    told_at: datetime | None = None
    """A person was told of the case."""
    helped_at: datetime | None = None
    """The help desk was told."""
    reviewed_at: datetime | None = None
    """Its witnesses' disagreement was queued; cleared when they agree again."""
    recalled_at: datetime | None = None
    quarantined_at: datetime | None = None
    """Its enforcement point said that it is closed; cleared by a release that was read back."""
    released_at: datetime | None = None
    """It was let back."""
    fixed_at: datetime | None = None
    """First word that it is clean since the last word that it was not."""
    check_asked_at: datetime | None = None
    """Its owner pressed “check me now” (A13)."""
    episode: int = 0
    """Counts fresh starts: each episode has its own warning and removal."""
    ring: Ring | None = None
    """The list it is on; None for everybody else (P4.1)."""


class Outcome(StrEnum):
    """How an effect ended."""

    DONE = "done"
    REFUSED = "refused"
    """The other side said no, and why."""
    DROPPED = "dropped"
    """The guard found right before the effect that it is no longer wanted."""
    FAILED = "failed"
    """Nobody answered, or not as promised; it is tried again."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an intent."""

    outcome: Outcome
    at: datetime
    detail: str = ""


INTENT_MARKS: Mapping[Action, str] = {
    Action.RECALL: "recalled_at",
    Action.REVIEW: "reviewed_at",
    Action.TELL: "told_at",
    Action.HELP: "helped_at",
    Action.ANNOUNCE: "announced_at",
    Action.OFFER: "offered_at",
    Action.ASK: "asked_at",
    Action.LOOK: "looked_at",
    Action.INSTALL: "forced_at",
    Action.RESTART: "restart_ordered_at",
    Action.EXPECT: "expected_at",
    Action.COUNT_DOWN: "counted_down_at",
    Action.WARN: "warning_at",
}
"""The instant that ordering an action leaves on the record."""

RECEIPT_MARKS: Mapping[tuple[Action, Outcome], str] = {
    (Action.WARN, Outcome.DONE): "warned_at",
    (Action.WARN, Outcome.REFUSED): "refused_at",
    (Action.QUARANTINE, Outcome.DONE): "quarantined_at",
}
"""The instant that a receipt leaves on the record."""

EPISODE = ("warning_at", "warned_at", "refused_at", "told_at", "looked_at")
"""What a fresh start forgets."""

WITNESS_COLUMNS: Mapping[Witness, tuple[str, str]] = {
    Witness.AGENT: ("agent_status", "agent_at"),
    Witness.INVENTORY: ("inventory_status", "inventory_at"),
    Witness.LOGON: ("door_status", "door_at"),
    Witness.VPN: ("door_status", "door_at"),
    Witness.PROBE: ("probe_status", "probe_at"),
}
"""Where each witness's latest word is kept."""


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


def after_evidence(record: Record, evidence: Evidence) -> Record:
    """Take in one observation.

    A word older than the same witness's last changes nothing. A clean word ends the episode of a machine that is
    not removed: whoever becomes vulnerable again is warned again (P6.3). Package versions are no clean word while a
    restart is pending (A6). A disagreement that has ended is forgotten: the next one is queued anew (A18).
    """
    status_column, at_column = WITNESS_COLUMNS[evidence.witness]
    last_at: datetime | None = getattr(record, at_column)
    if last_at is not None and evidence.observed_at < last_at:
        return record
    if evidence.status is Status.UNKNOWN:
        unread = evidence.observed_at if evidence.witness is Witness.PROBE else record.unread_at
        return record._replace(unread_at=unread)
    waiting = record.agent_status is Status.PENDING_RESTART and evidence.witness is Witness.INVENTORY
    clean = evidence.status in CLEAN and not waiting
    changed = record._replace(
        **{status_column: evidence.status, at_column: evidence.observed_at},  # type: ignore[arg-type]  # by name
        fixed_at=(record.fixed_at or evidence.observed_at) if clean else None,
    )
    if clean and record.warning_at is not None and record.quarantined_at is None:
        changed = _fresh_start(changed)
    return _after_word(record, changed, evidence.observed_at)


def _after_word(before: Record, after: Record, at: datetime) -> Record:
    """Note whether a word began or ended a disagreement; where nobody looked from outside there is none."""
    if after.probe_status is None:
        return after
    since = disputed_since(evidence_of(before), evidence_of(after), at, before.disputed_at)
    if since is not None or before.disputed_at is None:
        return after._replace(disputed_at=since)
    told = after.told_at is not None and after.told_at < before.disputed_at
    return after._replace(disputed_at=None, reviewed_at=None, told_at=after.told_at if told else None)


def after_attempts(
    record: Record, failures: int, at: datetime, *, forced: bool, forcing: bool = False
) -> Record:
    """Note what an agent says of its attempts: failed ones in a row, by force or not, or that one begins (A4)."""
    return record._replace(
        failures=failures,
        failing_since=(record.failing_since or at) if failures else None,
        forced_at=record.forced_at or (at if forced else None),
        forcing_at=at if forcing else record.forcing_at,
    )


def after_intent(record: Record, action: Action, at: datetime) -> Record:
    """Note that an action was ordered."""
    mark = INTENT_MARKS.get(action)
    return record._replace(**{mark: at}) if mark else record  # type: ignore[arg-type]  # a dated field


def after_receipt(record: Record, action: Action, receipt: Receipt) -> Record:
    """Note what became of an order."""
    if receipt.outcome is Outcome.DROPPED:
        mark = INTENT_MARKS.get(action)
        undone = record._replace(**{mark: None}) if mark else record  # type: ignore[arg-type]  # a dated field
        return undone._replace(episode=record.episode + 1)
    if action is Action.RELEASE and receipt.outcome is Outcome.DONE:
        return _fresh_start(record)._replace(quarantined_at=None, released_at=receipt.at)
    mark = RECEIPT_MARKS.get((action, receipt.outcome))
    return record._replace(**{mark: receipt.at}) if mark else record  # type: ignore[arg-type]  # a dated field


def after_reading(record: Record, closed: bool, at: datetime) -> Record:
    """Believe the enforcement point: it was read back as closed or open, whatever is remembered (P6.5, A13).

    A closed port nobody remembers is adopted, so that the rules can release it. One that somebody else opened may be
    closed again on fresh proof.
    """
    if closed == (record.quarantined_at is not None):
        return record
    if closed:
        return record._replace(quarantined_at=at)
    return record._replace(quarantined_at=None, episode=record.episode + 1)


def after_asking(record: Record, at: datetime) -> Record:
    """Note that the owner of a machine wants it checked now (A13); once a minute is enough."""
    last = record.check_asked_at
    if last is not None and at - last < MINUTE:
        return record
    return record._replace(check_asked_at=at)


def after_belief(record: Record, side: Side, until: datetime) -> Record:
    """Note whom people believe of a machine, and until when (A18); an instant that has passed ends it."""
    return record._replace(believed=side, believed_until=until)


def after_help(record: Record, at: datetime) -> Record:
    """Note that a person opened a help-desk case: the rules open no second one (A4, A18)."""
    return record._replace(helped_at=at)


def _fresh_start(record: Record) -> Record:
    blank = dict.fromkeys(EPISODE)
    return record._replace(**blank, episode=record.episode + 1)  # type: ignore[arg-type]  # dated fields
