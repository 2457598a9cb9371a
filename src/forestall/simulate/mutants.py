"""Planted faults: the core with one part made wrong. The invariants must find them, or another rule must mask them."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing import get_context

from forestall.domain import brakes, case, evidence, intent, order, plan, record
from forestall.domain.action import Action
from forestall.domain.brakes import Braked
from forestall.domain.case import Case, Moment
from forestall.domain.events import Event
from forestall.domain.evidence import Status
from forestall.domain.intent import Intent
from forestall.domain.order import CampaignId, Decision
from forestall.domain.record import Outcome, Receipt, Record
from forestall.domain.rule import Rule
from forestall.simulate.core import Core
from forestall.simulate.soak import live


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted fault."""

    name: str
    what: str
    core: Core
    masked_by: str = ""
    """Which rule makes the fault harmless; empty where the invariants must find it."""


def _seen(**facts: object) -> Callable[[Record, Moment], Case]:
    """See the same facts wrongly on every machine."""
    return lambda record, moment: case.case_of(record, moment)._replace(**facts)  # type: ignore[arg-type]  # facts


def _free(intents: Sequence[Intent], *_: object, **__: object) -> Braked:
    return Braked(tuple(intents), ())


def _unprotected(intents: Sequence[Intent], *args: object, **more: object) -> Braked:
    unlisted = [replace(args[1], protected=frozenset())]  # type: ignore[type-var]  # the load
    return brakes.brake(intents, args[0], *unlisted, *args[2:], **more)  # type: ignore[arg-type]


def _never_released(found: Case) -> Rule[Action | None]:
    rule = plan.decide(found)
    return replace(rule, then=None) if rule.then is Action.RELEASE else rule


def _stale(found: Record, moment: Moment) -> Case:
    """Believe whatever was once said."""
    limits = evidence.Limits(own=timedelta(days=90), outside=timedelta(days=90))
    seen = case.case_of(found, moment._replace(limits=limits))
    return seen._replace(rechecked=seen.recheck_due and seen.status is not Status.UNKNOWN)


def _imminent_spares_nobody(found: Record, moment: Moment) -> Case:
    seen = case.case_of(found, moment)
    return seen._replace(exempt=False) if seen.imminent else seen


def _unknown_is_affected(found: Record, moment: Moment) -> Case:
    seen = case.case_of(found, moment)
    if seen.status is Status.UNKNOWN and seen.recheck_due:
        return seen._replace(status=Status.AFFECTED, rechecked=True)
    return seen


def _sent_is_accepted(found: Record, action: Action, receipt: Receipt) -> Record:
    if action is Action.WARN and receipt.outcome in {Outcome.FAILED, Outcome.REFUSED}:
        return record.after_receipt(found, action, replace(receipt, outcome=Outcome.DONE))
    return record.after_receipt(found, action, receipt)


def _bounces_ignored(found: Record, action: Action, receipt: Receipt) -> Record:
    return found if receipt.detail == "bounced" else record.after_receipt(found, action, receipt)


def _new_each_time(
    found: Record, rule: Rule[Action | None], campaign: CampaignId, revision: int
) -> Intent | None:
    """Number every removal and release anew: none is ever the same as one before."""
    made = intent.intend(found, rule, campaign, revision)
    if made is None or made.action not in {Action.QUARANTINE, Action.RELEASE}:
        return made
    return made._replace(round=made.round * 100_000 + next(_NUMBERS))


def _count() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


_NUMBERS = _count()


def _warns_again(found: Record, action: Action, at: datetime) -> Record:
    """Forget that a warning was ordered, and begin a new round."""
    if action is Action.WARN:
        return found._replace(episode=found.episode + 1)
    return record.after_intent(found, action, at)


def _guard_asleep(*_: object) -> None:
    return None


def _written_after(events: Sequence[Event]) -> tuple[Sequence[Event], Sequence[Event]]:
    return (), events


def _no_recall_check(
    given: order.Order, standing: order.Standing, now: datetime, limits: order.Limits
) -> Decision:
    asked = replace(standing, checked_at=now)
    return order.next_step(given, asked, now, limits)


def _by_own_clock(now: datetime, skew: timedelta) -> datetime:
    return now + skew


def _early_recheck(found: Record, moment: Moment) -> Case:
    seen = case.case_of(found, moment)
    fresh = seen.warned and seen.status is not Status.UNKNOWN
    return seen._replace(recheck_due=seen.warned, rechecked=fresh)


def _deadline_without_halt(found: Record, moment: Moment) -> Case:
    return case.case_of(found, moment._replace(halted=False))


_C = Core()

MUTANTS: tuple[Mutant, ...] = (
    Mutant("deadline-by-agents-clock", "an agent goes by its own clock", replace(_C, agent_time=_by_own_clock)),
    Mutant("audit-after-effect", "the ledger is written when it is done", replace(_C, written=_written_after)),
    Mutant(
        "protected-ignored", "the list of protected machines is read nowhere",
        replace(_C, case_of=_seen(protected=False), brake=_unprotected),
    ),
    Mutant("release-forgotten", "nobody is let back", replace(_C, decide=_never_released)),
    Mutant("stale-evidence", "old evidence counts like fresh", replace(_C, case_of=_stale)),
    Mutant("no-cap", "the brakes let everything through", replace(_C, brake=_free)),
    Mutant("no-fencing", "a deposed scheduler goes on", replace(_C, fenced=lambda _mine, _newest: False)),
    Mutant("restore-without-observing", "a backup acts at once", replace(_C, observing=lambda _ours, _outside: "")),
    Mutant("ports-not-read-back", "the switch's word is taken for it", replace(_C, read_ports=lambda _closed: None)),
    Mutant(
        "imminent-ignores-exemptions", "an imminent threat spares nobody",
        replace(_C, case_of=_imminent_spares_nobody),
    ),
    Mutant("warning-without-mail", "a warning counts when it is sent", replace(_C, after_receipt=_sent_is_accepted)),
    Mutant("bounce-ignored", "a warning that came back still counts", replace(_C, after_receipt=_bounces_ignored)),
    Mutant("double-round", "a warning may be ordered again", replace(_C, after_intent=_warns_again)),
    Mutant(
        "intents-not-unique", "every look makes a new removal", replace(_C, intend=_new_each_time),
        masked_by="a port is read before it is turned, and one that is closed is not closed again (R15)",
    ),
    Mutant("intent-not-rechecked", "what was once decided is done", replace(_C, guard=_guard_asleep)),
    Mutant("halt-ignored", "a halted campaign goes on", replace(_C, case_of=_deadline_without_halt)),
    Mutant("unknown-is-affected", "who cannot be read is vulnerable", replace(_C, case_of=_unknown_is_affected)),
    Mutant("no-recheck", "removed as soon as warned", replace(_C, case_of=_early_recheck)),
    Mutant("no-recall-check", "the agent forces without asking", replace(_C, next_step=_no_recall_check)),
    Mutant(
        "protected-forgotten-by-table", "the rule table does not know protected machines",
        replace(_C, case_of=_seen(protected=False)), masked_by="the brakes read the list once more (A8)",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    name: str
    what: str
    invariant: str
    """The first that found it; empty where none did."""
    example: str
    seed: int
    seeds: int
    masked_by: str


def hunt(name: str, seeds: int) -> Verdict:
    """Run campaigns on a planted fault until an invariant finds it."""
    mutant = next(each for each in MUTANTS if each.name == name)
    for seed in range(1, seeds + 1):
        found = live(seed, mutant.core).violations
        if found:
            first = found[0]
            return Verdict(name, mutant.what, first.invariant, first.what, seed, seed, mutant.masked_by)
    return Verdict(name, mutant.what, "", "", 0, seeds, mutant.masked_by)


def hunt_all(seeds: int, jobs: int = 0) -> Iterator[Verdict]:
    """Hunt every planted fault, several at a time."""
    with get_context("fork").Pool(jobs or os.cpu_count()) as pool:
        yield from pool.imap(_hunt, [(mutant.name, seeds) for mutant in MUTANTS])


def _hunt(task: tuple[str, int]) -> Verdict:
    return hunt(*task)


def summary(verdicts: Sequence[Verdict]) -> Mapping[str, object]:
    """Say how many were planted and found, and what masks the others."""
    return {
        "planted": len(verdicts),
        "found": sum(bool(verdict.invariant) for verdict in verdicts),
        "masked_by": {v.name: v.masked_by or "not explained" for v in verdicts if not v.invariant},
        "found_by": {v.name: {"invariant": v.invariant, "seed": v.seed} for v in verdicts if v.invariant},
    }
