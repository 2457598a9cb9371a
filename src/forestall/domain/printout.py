"""The process in words: what the tables of rules, doors and phases say, one sentence a fact."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import timedelta

from forestall.domain import order, restart, slot, units
from forestall.domain.admission import DOOR
from forestall.domain.campaign import TRANSITIONS
from forestall.domain.duration import format_duration
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.plan import RULES
from forestall.domain.policy import Policy
from forestall.domain.rule import Condition
from forestall.domain.testing import GATES
from forestall.domain.trial import VERDICTS

# fmt: off
FACTS: Mapping[str, tuple[str, str]] = {
    "conflict":      ("agent and probe contradict each other", "no contradiction"),
    "conflict_long": ("for too long", "not for too long yet"),
    "managed":       ("managed", "unmanaged"),
    "lost":          ("its agent is silent or failing", "its agent obeys"),
    "online":        ("online", "away"),
    "owned":         ("its owner is known", "nobody to write to"),
    "protected":     ("protected", "not protected"),
    "exempt":        ("exempt", "not exempt"),
    "distributed":   ("distributed", "not yet distributed"),
    "trying":        ("its ring tests it", "its ring has no part in the test"),
    "overdue":       ("the deadline has passed", "before the deadline"),
    "imminent":      ("imminent threat", "no imminent threat"),
    "halted":        ("the campaign is halted", "not halted"),
    "withdrawn":     ("the patch is withdrawn", "not withdrawn"),
    "closed":        ("the campaign is over", "the campaign goes on"),
    "undo":          ("an update is taken back", "an update is brought"),
    "announced":     ("announced", "not announced yet"),
    "offered":       ("an order has reached it", "no order has reached it yet"),
    "forced":        ("forced not long ago", "not forced lately"),
    "restarting":    ("its restart is ordered", "its restart is not ordered yet"),
    "expected":      ("awaited since it was away", "not awaited yet"),
    "counted_down":  ("its countdown has begun", "its countdown has not begun"),
    "counting_down": ("its countdown runs", "no countdown runs"),
    "unreadable":    ("no probe can read it", "probes can read it"),
    "asked":         ("its owner was asked", "its owner was not asked yet"),
    "wished":        ("somebody asks for a check", "nobody asks for a check"),
    "looked":        ("checked not long ago", "not checked lately"),
    "warning":       ("the final warning was sent", "no final warning yet"),
    "warned":        ("the final warning was accepted", "no final warning was accepted"),
    "refused":       ("the final warning could not be delivered", "the final warning was not refused"),
    "recheck_due":   ("the re-check is due", "the re-check is not due yet"),
    "rechecked":     ("checked again since", "not checked again yet"),
    "quarantined":   ("off the network", "on the network"),
    "held_long":     ("for a day already", "for less than a day"),
    "told":          ("a person was told", "no person was told yet"),
    "helped":        ("the help desk knows", "the help desk does not know yet"),
    "reviewed":      ("a person has it in the queue", "not in the queue yet"),
    "recalled":      ("its order was taken back", "its order is not taken back yet"),
}
"""Each fact of a case in words: where it holds, and where it does not."""

AGENT_FACTS: Mapping[str, tuple[str, str]] = {
    "recalled":      ("the order was withdrawn", "the order stands"),
    "expired":       ("the order's day is over", "the order is of today"),
    "released":      ("the offer has begun", "the offer has not begun"),
    "offered":       ("its person was told", "its person was not told yet"),
    "downloaded":    ("fetched", "not fetched yet"),
    "overdue":       ("the deadline has passed", "before the deadline"),
    "picked":        ("the picked moment has come", "no picked moment has come"),
    "held":          ("in use, before the deadline", "nothing holds it"),
    "closing":       ("the deadline is minutes away", "the deadline is not near"),
    "counting_down": ("the countdown after its return runs", "no countdown runs"),
    "failed_lately": ("forced in vain not long ago", "not forced in vain lately"),
    "asked_today":   ("the server was asked today", "the server was not asked for a day"),
    "asked_now":     ("the server was asked just now", "the server was not asked just now"),
    "required":      ("another campaign requires what this one takes back", "nothing else requires it"),
}
"""Each fact of an order on a machine in words."""

RESTART_FACTS: Mapping[str, tuple[str, str]] = {
    "pending":   ("an update waits for a restart", "no update waits for a restart"),
    "under_way": ("the machine was told to restart", "no restart is under way"),
    "allowed":   ("an order allows it", "no order allows it"),
    "in_vain":   ("restarted for all of these already", "not restarted for these yet"),
    "services":  ("services started anew are enough", "the machine's restart is needed"),
    "asked_now": ("the server was asked just now", "the server was not asked just now"),
    "come":      ("its moment has come", "its moment has not come"),
    "closing":   ("its moment is minutes away", "its moment is not near"),
    "picked":    ("the picked moment has come, and the machine is in use", "no picked moment has come"),
}
"""Each fact of a restart in words."""

SLOT_FACTS: Mapping[str, tuple[str, str]] = {
    "on_trial":  ("a new agent waits to prove itself", "no new agent waits"),
    "service":   ("the service is started", "a person's command is started"),
    "whole":     ("its slot is sound", "its slot is torn, or not root's alone"),
    "spent":     ("its starts are used up", "it has starts left"),
    "passed":    ("its pass came to its end", "its pass failed"),
    "answered":  ("the server answered it", "the server did not answer it"),
    "reachable": ("something accepts connections there", "nothing accepts connections there"),
}
"""Each fact of an agent on trial in words."""

SIGNS: Mapping[str, tuple[str, str]] = {
    "installed": ("installed", "not installed"),
    "pending":   ("waiting for its restart", "no restart pending"),
    "healthy":   ("heard after a restart or long enough after the install", "not heard since"),
    "broke":     ("its person says that it broke something", "nobody complains"),
    "down":      ("services have failed since", "all services run"),
    "relapsed":  ("no longer in place, broken or unreadable", "in place"),
    "failed":    ("the install failed", "no install failed"),
    "refuted":   ("seen affected since by the inventory or a probe", "not seen affected since"),
    "proven":    ("seen affected before and fixed since", "not seen fixed by others"),
    "quiet":     ("should have been heard again", "need not have been heard again yet"),
    "silent":    ("should have been heard again long ago", "has not been silent for long"),
}
"""The same of a machine that tests a patch."""

RING_FACTS: Mapping[str, tuple[str, str]] = {
    "halted":       ("the campaign is halted", "not halted"),
    "refuted":      ("a machine has it and is still affected", "no machine that has it is still affected"),
    "breaking":     ("harmed machines above the limit", "harmed machines below the limit"),
    "silencing":    ("silent machines above the limit", "silent machines below the limit"),
    "suspect":      ("a larger share is harmed than may be", "hardly any are harmed"),
    "quiet":        ("a larger share is quiet than may be", "hardly any are quiet"),
    "overdue":      ("the deadline has passed", "before the deadline"),
    "nobody_waits": ("the last ring comes next and is empty", "somebody waits"),
    "no_team":      ("no machine of the team is concerned", "its ring has machines"),
    "baked":        ("baked", "not baked yet"),
    "answered":     ("enough are clean", "too few are clean"),
    "proven":       ("others than the agents have seen it work", "nobody else has seen it work"),
}
"""The same of a campaign's rings."""

STATUSES: Mapping[frozenset[Status], str] = {
    CLEAN:                                "fixed or not affected",
    frozenset({Status.UNKNOWN}):          "status unknown",
    frozenset({Status.PENDING_RESTART}):  "installed, restart pending",
}
"""What a row asks of the status, in words."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table, in words."""

    name: str
    paragraph: str
    when: str
    then: str
    """Empty where the machine is left alone."""
    meaning: str


@dataclass(frozen=True, slots=True)
class KeptService:
    """A row of the services that stay as they are."""

    names: str
    reason: str
    unless: str


@dataclass(frozen=True, slots=True)
class Move:
    """One permitted step of a campaign."""

    phase: str
    step: str
    to: str
    paragraph: str


@dataclass(frozen=True, slots=True)
class Number:
    """One number of the policy in force."""

    name: str
    paragraph: str
    value: str
    meaning: str


def rule_lines() -> list[Line]:
    """Say the rule table in words."""
    return [Line(row.name, row.paragraph, in_words(row.when), row.then or "", row.meaning) for row in RULES]


def door_lines() -> list[Line]:
    """Say the table of admission in words."""
    return [Line(row.name, row.paragraph, in_words(row.when), row.then, row.meaning) for row in DOOR]


def agent_lines() -> list[Line]:
    """Say in words what an agent decides about an order."""
    return [Line(r.name, r.paragraph, in_words(r.when, AGENT_FACTS), r.then, r.meaning) for r in order.RULES]


def restart_lines() -> list[Line]:
    """Say in words what an agent decides about a restart."""
    return [
        Line(r.name, r.paragraph, in_words(r.when, RESTART_FACTS), r.then, r.meaning) for r in restart.RULES
    ]


def kept_services() -> list[KeptService]:
    """List the services that an agent does not start anew."""
    unless = "it is started anew with KillMode={}"
    return [
        KeptService(f"`{each.names}`", each.reason, unless.format(each.where) if each.where else "")
        for each in units.KEPT
    ]


def slot_lines() -> list[Line]:
    """Say in words which agent is started, and what proves a new one."""
    starts = [(r.name, r.paragraph, r.when, r.then, r.meaning) for r in slot.STARTING]
    proofs = [(r.name, r.paragraph, r.when, r.then, r.meaning) for r in slot.PROVING]
    rows = [*starts, *proofs]
    return [Line(name, where, in_words(when, SLOT_FACTS), then, why) for name, where, when, then, why in rows]


def verdict_lines() -> list[Line]:
    """Say the table of verdicts in words."""
    return [
        Line(row.name, row.paragraph, in_words(row.when, SIGNS), row.then, row.meaning) for row in VERDICTS
    ]


def gate_lines() -> list[Line]:
    """Say the table between the rings in words."""
    return [
        Line(row.name, row.paragraph, in_words(row.when, RING_FACTS), row.then, row.meaning) for row in GATES
    ]


def moves() -> list[Move]:
    """List the permitted steps of a campaign."""
    return [Move(phase, step, to, paragraph) for (phase, step), (to, paragraph) in TRANSITIONS.items()]


def numbers(policy: Policy) -> list[Number]:
    """List the numbers of a policy."""
    return [
        Number(
            each.name,
            each.metadata["paragraph"],
            _written(getattr(policy, each.name)),
            each.metadata["meaning"],
        )
        for each in fields(policy)
    ]


def in_words(when: Mapping[str, Condition], words: Mapping[str, tuple[str, str]] = FACTS) -> str:
    """Say a row's conditions; a row without any takes what is left."""
    return ", ".join(_condition(words, fact, wanted) for fact, wanted in when.items()) or "otherwise"


def markdown() -> str:
    """Write the tables and the numbers of the process for its page."""
    rule = ("rule", "paragraph", "when", "then", "meaning")
    paragraphs = (
        _table(rule, map(_cells, rule_lines())),
        "At the door (logon, VPN):",
        _table(rule, map(_cells, door_lines())),
        "A machine that tests a patch:",
        _table(rule, map(_cells, verdict_lines())),
        "The rings: does the next one get the patch?",
        _table(rule, map(_cells, gate_lines())),
        "On a managed machine, its agent about each order:",
        _table(rule, map(_cells, agent_lines())),
        "The same about the one restart for all that is due:",
        _table(rule, map(_cells, restart_lines())),
        "Services that it does not start anew, besides jobs (`oneshot`) and what must not be stopped by hand:",
        _table(("services", "since", "unless"), map(astuple, kept_services())),
        "A new agent: what its launcher starts, then what a pass of it proves:",
        _table(rule, map(_cells, slot_lines())),
        "A campaign's phases; a step that is not here is refused:",
        _table(("in phase", "step", "leads to", "paragraph"), map(astuple, moves())),
        "The numbers; a company changes them in its policy file:",
        _table(("number", "paragraph", "value", "meaning"), map(astuple, numbers(Policy()))),
    )
    return "\n\n".join(paragraphs)


def _condition(words: Mapping[str, tuple[str, str]], fact: str, wanted: Condition) -> str:
    if isinstance(wanted, frozenset):
        return STATUSES[wanted]
    return words[fact][0 if wanted else 1]


def _written(value: object) -> str:
    match value:
        case timedelta():
            return format_duration(value)
        case tuple():
            return ", ".join(map(_written, value))
        case _:
            return str(value).lower()


def _cells(line: Line) -> tuple[str, ...]:
    return line.name, line.paragraph, line.when, line.then or "–", line.meaning


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
