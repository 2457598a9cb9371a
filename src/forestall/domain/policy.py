"""Every number of the process, once, with its paragraph. A company changes them in its policy file."""

from dataclasses import dataclass, field, fields
from datetime import timedelta
from itertools import pairwise
from typing import Literal, TypeVar

from forestall.domain.ring import RINGS

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

RECHECK_TAKES = 3 * MINUTE
"""A pass orders the check, a minute at most brings its answer, the next pass removes (P6.4)."""

MAY_BE_NONE = frozenset(
    {"voluntary_period", "voluntary_period_likely", "service_pack_period", "return_countdown"}
)
"""Periods that may be zero."""

_T = TypeVar("_T")


def _number(default: _T, paragraph: str, meaning: str) -> _T:
    return field(default=default, metadata={"paragraph": paragraph, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Policy:
    """The guidelines in force; the defaults are those of PROCESS.md."""

    # fmt: off
    voluntary_period: timedelta = _number(14 * DAY, "P3.1", "voluntary period of a critical update")
    voluntary_period_likely: timedelta = _number(8 * DAY, "P3.1", "the same where an exploit is likely soon")
    service_pack_period: timedelta = _number(21 * DAY, "P3.3", "voluntary period of a service pack")
    goal: float = _number(0.99, "P3.2", "share installed voluntarily before the deadline")
    distribute_within: timedelta = _number(72 * HOUR, "P4.4", "from hand-over to distribution, at most")
    distribute_goal: tuple[timedelta, ...] = _number((24 * HOUR, 48 * HOUR), "P4.4", "the goal for the same: at best, and still good")
    ring_bakes: tuple[timedelta, ...] = _number((2 * HOUR, 4 * HOUR, 8 * HOUR, 24 * HOUR), "P4.2", "how long each ring has it at least before the next one gets it")
    ring_answers: int = _number(20, "P4.2", "clean answers a ring gives before the next one gets it; of a smaller ring half")
    healthy_after: timedelta = _number(2 * HOUR, "P4.2", "a machine heard this long after its install is well, also without a restart")
    silent_in_test: timedelta = _number(24 * HOUR, "P4.2", "a machine not heard this long after its install counts as harmed")
    check_every: timedelta = _number(4 * HOUR, "P5.3", "agents look for updates")
    retry_after: timedelta = _number(8 * HOUR, "A4", "between forced attempts after a failure")
    mail_every: timedelta = _number(1 * DAY, "P6.1", "one mail a person, whatever the number of machines; final warnings do not wait")
    claims_a_day: int = _number(3, "P6.1", "times a day that a machine may say whose it is, and that one person is asked")
    mail_given_up_after: timedelta = _number(4 * HOUR, "A14", "a final warning that no mail server takes this long: then a person looks")
    sweep_every: timedelta = _number(8 * HOUR, "P6.2", "each unmanaged machine is probed")
    tables_every: timedelta = _number(15 * MINUTE, "P6.2", "the tables of each switch and router are read: who is here?")
    removal_after_warning: timedelta = _number(15 * MINUTE, "P6.4", "from the final warning to verdict and removal")
    recheck_after: timedelta = _number(10 * MINUTE, "P6.4", "from the final warning to the re-check")
    look_again_after: timedelta = _number(2 * MINUTE, "P6.4", "a check that got no answer is asked again")
    removal_evidence_for: timedelta = _number(15 * MINUTE, "A2", "evidence older than this removes nobody")
    agent_evidence_for: timedelta = _number(3 * DAY, "A2", "what a machine says of itself counts this long")
    probe_evidence_for: timedelta = _number(1 * DAY, "A2", "what a probe saw counts this long")
    held_look_every: timedelta = _number(5 * MINUTE, "P6.5", "a removed machine is probed again")
    held_unknown_for: timedelta = _number(1 * DAY, "A2", "a removed machine that nobody can read: then a person looks")
    exemption_at_most: timedelta = _number(30 * DAY, "A1", "longest exemption")
    disagreement_told_after: timedelta = _number(1 * DAY, "A18", "agent and probe contradict each other this long: then a person is told")
    belief_at_most: timedelta = _number(30 * DAY, "A18", "longest time that one side is believed against the other")
    silent_after: timedelta = _number(3 * DAY, "A4", "an agent the network sees but the server does not hear")
    failing_times: int = _number(3, "A4", "failed forced installs that make a help-desk case")
    failing_for: timedelta = _number(24 * HOUR, "A4", "over at least this time")
    return_countdown: timedelta = _number(30 * MINUTE, "A5", "countdown for a machine that was away at the deadline")
    restart: Literal["person", "services", "deadline"] = _number("person", "A6", "who restarts what an update needs: people; the agent, but services only; or the agent, the machine too where it must be, at the deadline with a countdown")
    halt_failed_share: float = _number(0.02, "A7", "failed installs that halt a campaign")
    halt_silent_share: float = _number(0.01, "A7", "machines silent after the install that halt a campaign")
    silent_in_install: timedelta = _number(45 * MINUTE, "A7", "an agent that began to install by force speaks again within")
    halt_at_least: int = _number(3, "A7", "fewer than this never halt")
    removals_a_minute: int = _number(10, "A8", "removals a minute, fleet")
    removals_site_share: float = _number(0.10, "A8", "share of a site removed within an hour; one is always allowed")
    removals_fleet_share: float = _number(0.005, "A8", "share of the fleet removed within an hour; ten are always allowed")
    installs_a_minute_share: float = _number(0.02, "A8", "share of the fleet forced within a minute; ten are always allowed")
    canary_machines: int = _number(20, "A8", "first forced wave, at least this many machines")
    waves: tuple[float, ...] = _number((0.001, 0.01, 0.10, 1.0), "A8", "shares of the fleet that forced waves reach")
    bakes: tuple[timedelta, ...] = _number((60 * MINUTE, 60 * MINUTE, 120 * MINUTE), "A8", "waits between the waves")
    imminent_bakes: tuple[timedelta, ...] = _number((5 * MINUTE, 5 * MINUTE, 10 * MINUTE), "A8", "the same under an imminent threat: shorter, never none")
    alarm_affected_share: float = _number(0.5, "A8", "share of probed machines that answer as vulnerable after the deadline: a person looks first")
    alarm_at_least: int = _number(50, "A8", "fewer than this raise no alarm")
    selection_drift: float = _number(0.05, "A8", "change of a previewed set that voids its approval")
    order_valid_for: timedelta = _number(24 * HOUR, "A11", "an order's life; no force without a recall check in it")
    request_valid_for: timedelta = _number(8 * HOUR, "A9", "a request waits this long for its second person")
    source_fresh_for: timedelta = _number(3 * DAY, "A15", "a proposal on an older source asks for a person")
    second_person: bool = _number(True, "A9", "two people where two are needed; false for small teams, and the record says so")
    # fmt: on


def faults(policy: Policy) -> dict[str, str]:
    """Find what in a policy is impossible: setting -> why. Empty for a usable policy."""
    found: dict[str, str] = {}
    _check_periods(policy, found)
    _check_shares(policy, found)
    _check_waves(policy, found)
    _check_rings(policy, found)
    if policy.recheck_after + RECHECK_TAKES > policy.removal_after_warning:
        found["recheck_after"] = "must come 3 minutes before removal_after_warning, or P6.4 cannot be kept"
    if policy.removal_evidence_for < RECHECK_TAKES:
        found["removal_evidence_for"] = (
            "must be at least 3 minutes, or no re-check is ever fresh enough (P6.4)"
        )
    return found


def _check_rings(policy: Policy, found: dict[str, str]) -> None:
    if len(policy.ring_bakes) != len(RINGS) - 1:
        found["ring_bakes"] = f"one wait between two rings: {len(RINGS) - 1} of them"
    elif any(wait <= timedelta() for wait in policy.ring_bakes):
        found["ring_bakes"] = "a bake may be short, never none"
    best, good = (*policy.distribute_goal, timedelta(), timedelta())[:2]
    if len(policy.distribute_goal) != 2 or not timedelta() < best <= good <= policy.distribute_within:
        found["distribute_goal"] = "two periods that rise, within distribute_within (P4.4)"
    if policy.silent_in_test <= policy.healthy_after:
        found["silent_in_test"] = "must be longer than healthy_after"


def _check_waves(policy: Policy, found: dict[str, str]) -> None:
    waves, bakes, imminent_bakes = policy.waves, policy.bakes, policy.imminent_bakes
    if not waves or waves[-1] != 1.0 or not all(a < b for a, b in pairwise((0.0, *waves))):
        found["waves"] = "shares must rise from above 0 to 1.0"
    for name, waits in (("bakes", bakes), ("imminent_bakes", imminent_bakes)):
        if len(waits) != len(waves) - 1:
            found[name] = "one wait between two waves: one fewer than waves"
        elif any(wait <= timedelta() for wait in waits):
            found[name] = "a bake may be short, never none (A8)"
    if any(short > long for short, long in zip(imminent_bakes, bakes, strict=False)):
        found.setdefault("imminent_bakes", "an imminent threat shortens a bake, it never lengthens one (A8)")


def _check_periods(policy: Policy, found: dict[str, str]) -> None:
    for each in fields(policy):
        value = getattr(policy, each.name)
        if isinstance(value, timedelta) and value <= timedelta() and each.name not in MAY_BE_NONE:
            found[each.name] = "must be longer than nothing"
    for name in ("voluntary_period", "voluntary_period_likely"):
        if not timedelta() <= getattr(policy, name) <= 14 * DAY:
            found[name] = "must lie within 0 and 14 days (P3.1)"
    if not timedelta() <= policy.service_pack_period <= 21 * DAY:
        found["service_pack_period"] = "must lie within 0 and 21 days (P3.3)"
    if policy.voluntary_period_likely > policy.voluntary_period:
        found["voluntary_period_likely"] = (
            "more danger never gives more time: at most voluntary_period (P3.1)"
        )
    if policy.exemption_at_most > 30 * DAY:
        found["exemption_at_most"] = "30 days at most (A1)"
    if policy.belief_at_most > 30 * DAY:
        found["belief_at_most"] = "30 days at most (A18)"
    if policy.order_valid_for > DAY:
        found["order_valid_for"] = "24 hours at most (A11)"


def _check_shares(policy: Policy, found: dict[str, str]) -> None:
    shares = (
        "goal", "halt_failed_share", "halt_silent_share", "removals_site_share", "removals_fleet_share",
        "installs_a_minute_share", "selection_drift", "alarm_affected_share",
    )  # fmt: skip
    for name in shares:
        if not 0 < getattr(policy, name) <= 1:
            found[name] = "must lie within 0 and 1 (a share, 0.02 is 2 %)"
    for name in (
        "removals_a_minute",
        "canary_machines",
        "failing_times",
        "claims_a_day",
        "halt_at_least",
        "alarm_at_least",
        "ring_answers",
    ):
        if getattr(policy, name) < 1:
            found[name] = "must be at least 1"
