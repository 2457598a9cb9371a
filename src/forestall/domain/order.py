"""What an order says, and what an agent may do with it and when (P5.2-P5.4, A5-A7, A10, A11)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

from forestall.domain.evidence import Status
from forestall.domain.product import ProductName
from forestall.domain.recipe import Recipe
from forestall.domain.remediation import RemediationId, id_of, undercuts
from forestall.domain.rule import Condition, Rule, conditions

CampaignId = NewType("CampaignId", str)


class Restart(StrEnum):
    """Who may restart a machine, or its services, for an update."""

    PERSON = "person"
    """The person at the machine, or whoever runs it; the agent never does."""
    SERVICES = "services"
    """At the deadline, or when the person says, the agent starts services anew, never the machine (A6)."""
    DEADLINE = "deadline"
    """As `SERVICES`; where that is not enough, the agent restarts the machine, after a countdown (A6)."""


class Hold(StrEnum):
    """Why a picked moment, or a question, is a bad one just now; nothing holds past the deadline."""

    FULL_SCREEN = "full_screen"
    PRESENTATION = "presentation"
    """Something keeps the screen awake: a talk, a film, a meeting."""
    BATTERY = "battery"
    """Little is left in it, and nothing feeds it."""


class Verb(StrEnum):
    """All an order can ask for. There is no verb for a command line, and there will be none (A10)."""

    UPGRADE = "upgrade"
    RECALL = "recall"
    UNDO = "undo"
    """Take a withdrawn update back: to the version that people approved, or by its recipe (A7)."""


ACTIVE = frozenset({Verb.UPGRADE, Verb.UNDO})
"""What changes a machine, and so needs an approval that says just this."""


@dataclass(frozen=True, slots=True)
class Order:
    """One campaign's order to one machine: bring the packages of `source` to at least `version`, or do its recipe.

    `UNDO` takes exactly `version` back.
    """

    campaign: CampaignId
    revision: int
    verb: Verb
    product: ProductName
    release: str
    source: str
    version: str
    offered_at: datetime
    force_at: datetime
    """No forced install before this instant: the deadline, or later where waves spread it (P5.4, A8)."""
    expires_at: datetime
    """An order is worth nothing after this; every check-in brings a fresh one (A11)."""
    level: str
    texts: Mapping[str, str]
    """One sentence for the person at the machine, by language (`en`, `ja`)."""
    restart: Restart = Restart.PERSON
    imminent: bool = False
    """The deadline is that of an imminent threat: nobody waits for a countdown to install (A5, P8.2)."""
    recipe: Recipe | None = None
    back_to: str = ""
    """The version to which packages, or the agent, are taken back; other recipes know their own way."""

    @property
    def remediation(self) -> RemediationId:
        """Name the update that it is about."""
        return id_of(self.release, self.source, self.version)


class Step(StrEnum):
    """What the agent does next about one order."""

    DROP = "drop"
    """Forget it: it was recalled."""
    REST = "rest"
    """Nothing is left to do."""
    AWAIT_RESTART = "await_restart"
    CHECK_IN = "check_in"
    """Ask the server before anything else."""
    OFFER = "offer"
    """Tell the person, who picks the moment."""
    DOWNLOAD = "download"
    WAIT = "wait"
    COUNT_DOWN = "count_down"
    """Tell the person that it happens in minutes."""
    INSTALL = "install"
    """Install it as the person asked."""
    FORCE = "force"
    RESTART_SERVICES = "restart_services"
    """Start services anew that run replaced code."""
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers an agent goes by."""

    recall_check_within: timedelta = timedelta(hours=24)
    """No force without having asked the server within this period (A11)."""
    recall_check_fresh: timedelta = timedelta(minutes=1)
    """A machine that can reach the server asks again right before it forces (A7)."""
    countdown: timedelta = timedelta(minutes=30)
    """What people are told before force: the last minutes before the deadline, or from their return on (A5)."""
    last_call: timedelta = timedelta(minutes=5)
    """To save one's work: before a restart it is given to everybody, whatever threatens."""
    absence: timedelta = timedelta(minutes=15)
    """An agent that was silent for longer was away."""
    retry_after: timedelta = timedelta(hours=8)
    """Pause after a failed forced install: three failures fit into 24 hours (A4)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the machine stands on one order, as the agent found and remembers it."""

    status: Status
    offered: bool = False
    downloaded: bool = False
    checked_at: datetime | None = None
    """The last check-in that succeeded: it would have brought a recall."""
    unanswered: bool = False
    """The server was asked just now and did not answer."""
    returned_at: datetime | None = None
    """First seen again after being away at the deadline; see `came_back`."""
    failed_at: datetime | None = None
    """The last forced install, where it failed."""
    picked_at: datetime | None = None
    """The moment that the person picked."""
    holds: frozenset[Hold] = frozenset()
    required: bool = False
    """Another order that the machine holds needs what this one would take back; see `requires_more`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule that says what to do next, and the instant at which the answer may change by itself."""

    rule: Rule[Step]
    until: datetime | None = None

    @property
    def step(self) -> Step:
        """What to do."""
        return self.rule.then

    @property
    def forcing(self) -> bool:
        """Say whether force comes next, once the server was asked a last time (A7)."""
        return self.rule.name == "last-recall-check"


class Facts(NamedTuple):
    """All that a rule may look at."""

    recalled: bool
    status: Status
    expired: bool
    released: bool
    """The offer has begun."""
    offered: bool
    downloaded: bool
    overdue: bool
    """The deadline has passed."""
    picked: bool
    """The moment that the person picked has come."""
    held: bool
    """The machine is in use in a way that one does not interrupt, and the deadline has not passed."""
    closing: bool
    """The deadline is minutes away."""
    counting_down: bool
    """The machine was away at the deadline and its countdown runs."""
    failed_lately: bool
    asked_today: bool
    asked_now: bool
    """The server was asked within the last minute, or asked just now in vain."""
    required: bool
    """Another campaign requires more than what this order would take back to."""


def _when(**facts: bool | frozenset[Status]) -> dict[str, Condition]:
    return conditions(Facts._fields, facts)


_PENDING = frozenset({Status.PENDING_RESTART})
_DONE = frozenset({Status.FIXED, Status.NOT_AFFECTED})

# fmt: off
RULES: tuple[Rule[Step], ...] = (
    Rule("recalled",          "A7",   _when(recalled=True),                     Step.DROP,          "the update was withdrawn"),
    Rule("restart-pending",   "A6",   _when(status=_PENDING),                   Step.AWAIT_RESTART, "installed; in force after a restart"),
    Rule("nothing-to-do",     "A3",   _when(status=_DONE),                      Step.REST,          "nothing is left to do"),
    Rule("required",          "A7",   _when(required=True),                     Step.REST,          "not undone: another campaign requires more"),
    Rule("expired",           "A11",  _when(expired=True),                      Step.CHECK_IN,      "too old: the server must say it again"),
    Rule("not-yet-offered",   "P5.2", _when(released=False),                    Step.WAIT,          "the offer has not begun"),
    Rule("offer",             "P5.2", _when(offered=False),                     Step.OFFER,         "the person picks the moment"),
    Rule("in-use",            "P5.2", _when(picked=True, held=True),            Step.WAIT,          "the picked moment is a bad one: later, at the deadline at last"),
    Rule("ask-before-chosen", "A7",   _when(picked=True, asked_now=False),      Step.CHECK_IN,      "picked: the server is asked right before"),
    Rule("as-picked",         "P5.2", _when(picked=True),                       Step.INSTALL,       "the moment that the person picked"),
    Rule("download-ahead",    "P5.3", _when(downloaded=False, overdue=False),   Step.DOWNLOAD,      "fetched now, not installed"),
    Rule("last-minutes",      "P5.4", _when(closing=True),                      Step.COUNT_DOWN,    "minutes until the deadline: the person is told"),
    Rule("voluntary-period",  "P5.2", _when(overdue=False),                     Step.WAIT,          "free to choose until the deadline"),
    Rule("back-too-late",     "A5",   _when(counting_down=True),                Step.COUNT_DOWN,    "away at the deadline: a countdown"),
    Rule("failed-lately",     "A4",   _when(failed_lately=True),                Step.WAIT,          "it failed: tried again later"),
    Rule("no-recall-check",   "A11",  _when(asked_today=False),                 Step.CHECK_IN,      "no force without a recall check in a day"),
    Rule("last-recall-check", "A7",   _when(asked_now=False),                   Step.CHECK_IN,      "asked once more right before"),
    Rule("force",             "P5.4", _when(),                                  Step.FORCE,         "the deadline has passed"),
)
"""All that an agent decides, in order: the first row that applies wins."""
# fmt: on


def next_step(order: Order, standing: Standing, now: datetime, limits: Limits) -> Decision:
    """Decide what to do about one order now."""
    facts = facts_of(order, standing, now, limits)
    rule = next(rule for rule in RULES if rule.applies(facts))
    return Decision(rule, _until(rule, order, standing, limits))


def facts_of(order: Order, standing: Standing, now: datetime, limits: Limits) -> Facts:
    """Reduce instants and memories to what the rules ask."""
    returned_at, failed_at = standing.returned_at, standing.failed_at
    # A check-in in the future is none: the clock was set back since.
    asked = None if standing.checked_at is None else now - standing.checked_at
    return Facts(
        recalled=order.verb is Verb.RECALL,
        status=standing.status,
        expired=now >= order.expires_at,
        released=now >= order.offered_at,
        offered=standing.offered,
        downloaded=standing.downloaded,
        overdue=now >= order.force_at,
        picked=standing.picked_at is not None and now >= standing.picked_at,
        held=bool(standing.holds) and now < order.force_at,
        closing=order.force_at - limits.countdown <= now < order.force_at,
        counting_down=not order.imminent and returned_at is not None and now < returned_at + limits.countdown,
        failed_lately=failed_at is not None and now < failed_at + limits.retry_after,
        asked_today=asked is not None and timedelta() <= asked <= limits.recall_check_within,
        asked_now=standing.unanswered
        or (asked is not None and timedelta() <= asked <= limits.recall_check_fresh),
        required=standing.required,
    )


def _until(rule: Rule[Step], order: Order, standing: Standing, limits: Limits) -> datetime | None:
    picked_at = standing.picked_at or order.force_at
    returned_at, failed_at = standing.returned_at, standing.failed_at
    ends: Mapping[str, datetime | None] = {
        "not-yet-offered": order.offered_at,
        "voluntary-period": min(order.force_at - limits.countdown, picked_at),
        "last-minutes": min(order.force_at, picked_at),
        "in-use": order.force_at,
        "back-too-late": returned_at and returned_at + limits.countdown,
        "failed-lately": failed_at and failed_at + limits.retry_after,
    }
    return ends.get(rule.name)


def requires_more(order: Order, others: Iterable[Order]) -> bool:
    """Say whether another order needs more than the version that this one would take back to (A7)."""
    return order.verb is Verb.UNDO and any(
        other.verb is Verb.UPGRADE and undercuts(order.remediation, order.back_to, other.remediation)
        for other in others
    )


def missed(picked_at: datetime, passed_at: datetime | None, now: datetime, limits: Limits) -> bool:
    """Tell whether the machine was away at the moment that the person picked: then the person is asked again."""
    if passed_at is None or passed_at >= picked_at or now < picked_at + limits.last_call:
        return False
    return now - passed_at > limits.absence


def came_back(
    order: Order, held_since: datetime, passed_at: datetime | None, now: datetime, limits: Limits
) -> bool:
    """Tell whether the machine was away at the deadline and is back only now (A5).

    `passed_at` is the agent's last sign of life before `now`. An order first heard of after its deadline
    counts too: nobody at this machine has seen it before.
    """
    if now < order.force_at:
        return False
    if held_since >= order.force_at or passed_at is None:
        return True
    return passed_at < order.force_at and now - passed_at > limits.absence
