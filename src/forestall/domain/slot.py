"""Which agent runs: the one that was proven, or a new one on trial, and what proves it (A7, A11).

A slot holds one version of the agent, named by the SHA-256 of its archive. The one in force changes only when a new one
has proven itself; falling back is therefore nothing but the end of a trial.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from forestall.domain.rule import Condition, Rule, conditions

BASE = "base"
"""The agent that was installed together with the launcher; it is in no slot and always there."""
STARTS = 3
"""A new agent has so many starts to prove itself."""
TRIAL = timedelta(minutes=15)
"""A start lasts so long at most before that; programs that it runs meanwhile have limits of their own."""


@dataclass(frozen=True, slots=True)
class Slots:
    """What is remembered about the agents of one machine; replaced as a whole."""

    current: str = BASE
    """The one in force."""
    previous: str = BASE
    """In force before; kept so that one can go back to it. Never one that was gone back from."""
    trial: str | None = None
    """The one that the service starts next, to prove itself."""
    starts: int = 0
    """How often that was begun."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Those that did not prove themselves, for good, and why."""

    @property
    def kept(self) -> frozenset[str]:
        """Name the slots that are still needed."""
        return frozenset({self.current, self.previous, self.trial or self.current})


def ordered(slots: Slots, name: str) -> Slots:
    """Put an agent on trial; one that is there already keeps its count."""
    return slots if slots.trial == name else replace(slots, trial=name, starts=0)


def counted(slots: Slots) -> Slots:
    """Count a start; it is written down before it is made."""
    return replace(slots, starts=slots.starts + 1)


def uncounted(slots: Slots) -> Slots:
    """Begin to count anew: it starts and works, only nobody can be asked."""
    return replace(slots, starts=0)


def proven(slots: Slots) -> Slots:
    """Put the agent on trial in force."""
    if slots.trial is None:
        return slots
    return replace(slots, current=slots.trial, previous=_before(slots), trial=None, starts=0)


def _before(slots: Slots) -> str:
    if slots.trial == slots.current:
        return slots.previous
    went_back = slots.trial in {slots.previous, BASE}
    return BASE if went_back else slots.current  # one that was taken back is no way back, ever (A7)


def called_off(slots: Slots) -> Slots:
    """End a trial without a word about the agent."""
    return replace(slots, trial=None, starts=0)


def fallen_back(slots: Slots, why: str) -> Slots:
    """End a trial: the agent in force stays in force, and the other one is not tried again."""
    if slots.trial is None:
        return slots
    return replace(slots, trial=None, starts=0, failed={**slots.failed, slots.trial: why})


class Start(StrEnum):
    """What the launcher starts."""

    CURRENT = "current"
    """The agent in force."""
    TRY = "try"
    """The new one, counted and within its time."""
    FALL_BACK = "fall_back"
    """The agent in force; the new one has failed."""


class StartFacts(NamedTuple):
    """All that the launcher looks at."""

    on_trial: bool = False
    """A new agent waits to prove itself."""
    service: bool = False
    """The service is started, not a person's command."""
    whole: bool = False
    """The new one's slot is there, for this machine, and only root can change it."""
    spent: bool = False
    """Its starts are used up."""


class Proof(StrEnum):
    """What a pass says about an agent on trial."""

    PROVEN = "proven"
    BEAR = "bear"
    """It goes on without a time limit: nobody can be asked, and that is not its fault."""
    HURRY = "hurry"
    """It has the rest of its time."""


class ProofFacts(NamedTuple):
    """All that is looked at after a pass."""

    passed: bool = False
    """The pass came to its end."""
    answered: bool = False
    """The server answered, and the signed files were verified."""
    reachable: bool = False
    """Something accepts connections where the server is."""


def _start(**facts: bool) -> dict[str, Condition]:
    return conditions(StartFacts._fields, facts)


def _proof(**facts: bool) -> dict[str, Condition]:
    return conditions(ProofFacts._fields, facts)


# fmt: off
STARTING: tuple[Rule[Start], ...] = (
    Rule("no-trial",     "A2",  _start(on_trial=False), Start.CURRENT,   "the agent in force"),
    Rule("no-service",   "A2",  _start(service=False),  Start.CURRENT,   "a person's command tries nothing"),
    Rule("torn-slot",    "A10", _start(whole=False),    Start.FALL_BACK, "its slot is torn, for another machine, or others could change it"),
    Rule("starts-spent", "A7",  _start(spent=True),     Start.FALL_BACK, "started three times, and never proven"),
    Rule("trial",        "A2",  _start(),               Start.TRY,       "it proves itself, within its time"),
)
"""What a start of the agent starts."""

PROVING: tuple[Rule[Proof], ...] = (
    Rule("not-passed",   "A2",  _proof(passed=False),    Proof.HURRY,  "it does not get through a pass"),
    Rule("proven",       "A2",  _proof(answered=True),   Proof.PROVEN, "a whole pass, answered, with signed files verified"),
    Rule("cut-off",      "A11", _proof(reachable=False), Proof.BEAR,   "the server cannot be reached by anybody from here"),
    Rule("unheard",      "A7",  _proof(),                Proof.HURRY,  "the server can be reached, and does not answer this agent"),
)
"""What a pass of an agent on trial proves."""
# fmt: on


def start_of(facts: StartFacts) -> Rule[Start]:
    """Decide what the launcher starts."""
    return next(rule for rule in STARTING if rule.applies(facts))


def proof_of(facts: ProofFacts) -> Rule[Proof]:
    """Decide what a pass has proven."""
    return next(rule for rule in PROVING if rule.applies(facts))
