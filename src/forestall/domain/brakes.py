"""What holds intents back: caps, protected machines, waves, halts (A7, A8). Held work waits and is listed as held.

An empty or failed selection is nobody. Releases are never held.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from forestall.domain.action import Action
from forestall.domain.campaign import Campaign
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.intent import Intent
from forestall.domain.policy import Policy
from forestall.domain.remediation import RemediationId

HARMLESS = frozenset({Action.RELEASE, Action.LOOK, Action.RECALL, Action.TELL, Action.HELP, Action.REVIEW})
"""Observing, freeing, taking back and telling staff go on whatever happens (A11, A12)."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much was done lately; counted from intents, so that a restart or a second scheduler changes nothing."""

    fleet: int
    sites: Mapping[SiteId, int]
    """Machines at each site."""
    removed_in_minute: int = 0
    removed_in_hour: int = 0
    removed_at_site: Mapping[SiteId, int] = field(default_factory=dict[SiteId, int])
    """Within the last hour."""
    forced_in_minute: int = 0
    protected: AbstractSet[DeviceId] = frozenset()
    last: AbstractSet[DeviceId] = frozenset()
    """What must not stop: forced in the last wave (P4.1)."""


class Wave(NamedTuple):
    """From `after` the deadline on, machines placed below `share` of the fleet are forced."""

    share: float
    after: timedelta


@dataclass(frozen=True, slots=True)
class Held:
    """An intent that waits, and for what."""

    intent: Intent
    brake: str
    paragraph: str


@dataclass(frozen=True, slots=True)
class Braked:
    """What may go on and what waits."""

    permitted: tuple[Intent, ...]
    held: tuple[Held, ...]
    spent: int = 0
    """How much of the raised allowance this pass used up."""


def brake(  # noqa: PLR0913 - half of them have defaults
    intents: Sequence[Intent],
    campaign: Campaign,
    load: Load,
    now: datetime,
    policy: Policy,
    *,
    observing: str = "",
    raised: int = 0,
    raised_for: AbstractSet[DeviceId] | None = None,
) -> Braked:
    """Let through what the brakes allow, in the order given.

    `observing` names why only harmless actions may happen (a restored backup, a clock in doubt); `raised` is how
    many removals two people allowed for this campaign beyond the caps and nobody has used yet (A9), `raised_for`
    the machines they saw: None for any.
    """
    gauge = _Gauge(campaign, load, now, policy, _Allowance(raised, raised_for))
    permitted: list[Intent] = []
    held: list[Held] = []
    for intent in intents:
        if intent.action in HARMLESS:
            why = ""
        elif observing:
            why = observing
        else:
            why = gauge.refusal(intent)
        if why:
            held.append(Held(intent, why, "A12" if why == observing else "A8"))
        else:
            permitted.append(intent)
    return Braked(tuple(permitted), tuple(held), gauge.spent)


class _Allowance(NamedTuple):
    """What two people allowed beyond the caps."""

    removals: int
    machines: AbstractSet[DeviceId] | None

    def covers(self, device: DeviceId, spent: int) -> bool:
        return spent < self.removals and (self.machines is None or device in self.machines)


class _Gauge:
    """Counts what this pass lets through on top of what was done before."""

    def __init__(
        self, campaign: Campaign, load: Load, now: datetime, policy: Policy, raised: _Allowance
    ) -> None:
        self._campaign = campaign
        self._load = load
        self._now = now
        self._policy = policy
        self._raised = raised
        self.spent = 0
        self._pace = pace_of(policy, load.fleet, imminent=campaign.imminent_at is not None)
        self._forced = load.forced_in_minute
        self._in_minute = load.removed_in_minute
        self._in_hour = load.removed_in_hour
        self._at_site = Counter(load.removed_at_site)

    def refusal(self, intent: Intent) -> str:
        match intent.action:
            case Action.INSTALL:
                return self._install(intent)
            case Action.QUARANTINE:
                return self._removal(intent)
            case _:
                return ""

    def _install(self, intent: Intent) -> str:
        last = intent.device in self._load.last
        if _opens_at(self._campaign, intent.device, self._pace, last=last) > self._now:
            return "wave"
        if self._forced >= max(10, int(self._load.fleet * self._policy.installs_a_minute_share)):
            return "installs-a-minute"
        self._forced += 1
        return ""

    def _removal(self, intent: Intent) -> str:
        if intent.device in self._load.protected:
            return "protected"
        over = self._over_cap(intent.site)
        if over and not self._raised.covers(intent.device, self.spent):
            return over
        self.spent += bool(over)
        self._in_minute += 1
        self._in_hour += 1
        self._at_site[intent.site] += 1
        return ""

    def _over_cap(self, site: SiteId) -> str:
        policy, load = self._policy, self._load
        if self._in_minute >= policy.removals_a_minute:
            return "removals-a-minute"
        if self._at_site[site] >= max(1, int(load.sites.get(site, 0) * policy.removals_site_share)):
            return "removals-at-site"
        if self._in_hour >= max(10, int(load.fleet * policy.removals_fleet_share)):
            return "removals-of-fleet"
        return ""


def position_of(remediation: RemediationId, device: DeviceId) -> float:
    """Place a machine in the update's order of forced installs, 0 to 1, the same in every run.

    A second campaign for the same update does not draw other canaries: the server cannot reach everybody first.
    """
    digest = hashlib.blake2b(f"{remediation}/{device}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def force_at(
    campaign: Campaign, device: DeviceId, fleet: int, policy: Policy, *, last: bool = False
) -> datetime:
    """Say when a machine's forced wave opens: at the deadline for the canaries, a bake later for each wave (A8).

    After a halt the waves begin anew: what was not baked then is not forced on everybody at once now (A7). What must
    not stop comes `last`.
    """
    pace = pace_of(policy, fleet, imminent=campaign.imminent_at is not None)
    return _opens_at(campaign, device, pace, last=last)


def _opens_at(campaign: Campaign, device: DeviceId, pace: Sequence[Wave], *, last: bool) -> datetime:
    wait = pace[-1].after if last else wait_of(pace, position_of(campaign.remediation, device))
    return forced_from(campaign) + wait


def forced_from(campaign: Campaign) -> datetime:
    """Say when the waves begin: at the deadline, after a halt anew.

    Raises:
        ValueError: it has no deadline yet.
    """
    if campaign.deadline_at is None:
        raise ValueError(f"{campaign.id} has no deadline yet")
    return max(campaign.deadline_at, campaign.resumed_at or campaign.deadline_at)


def pace_of(policy: Policy, fleet: int, *, imminent: bool) -> tuple[Wave, ...]:
    """Lay out the waves for a fleet of this size: the last one reaches everybody."""
    bakes = policy.imminent_bakes if imminent else policy.bakes
    # A fleet that cannot be counted has no canaries: it waits longest.
    canaries = policy.canary_machines / fleet if fleet else 0.0
    waits = accumulate(bakes, initial=timedelta())
    return tuple(
        Wave(min(1.0, max(share, canaries)), wait) for share, wait in zip(policy.waves, waits, strict=True)
    )


def wait_of(pace: Sequence[Wave], position: float) -> timedelta:
    """Say how long after the deadline the wave of a machine at this position opens."""
    return next((wave.after for wave in pace if position < wave.share), pace[-1].after)


def halt_reason(attempted: int, failed: int, silent: int, policy: Policy) -> str:
    """Say why a campaign must halt by itself (A7); empty where it need not."""
    for count, share, what in (
        (failed, policy.halt_failed_share, "installs failed"),
        (silent, policy.halt_silent_share, "machines fell silent after the install"),
    ):
        if count >= policy.halt_at_least and count > attempted * share:
            return f"{count} of {attempted} {what}, above {share:.0%}"
    return ""


def alarm_reason(answered: int, affected: int, policy: Policy) -> str:
    """Say why what probes found must not be believed before a person looked; empty where it may be (P6.2, A8).

    After the deadline nearly everybody is fixed: where most answer as vulnerable, the probe or the network is wrong.
    """
    if affected >= policy.alarm_at_least and affected > answered * policy.alarm_affected_share:
        return f"{affected} of {answered} probed machines answer as vulnerable, above {policy.alarm_affected_share:.0%}"
    return ""


def set_hash(devices: Iterable[DeviceId]) -> str:
    """Name a set of machines, so that an approval is bound to exactly what was previewed."""
    return hashlib.sha256(json.dumps(sorted(set(devices))).encode()).hexdigest()


def drifted(previewed: AbstractSet[DeviceId], selected: AbstractSet[DeviceId], policy: Policy) -> bool:
    """Say whether a selection has changed so much since its preview that the approval is void."""
    return len(previewed ^ selected) > len(previewed) * policy.selection_drift
