"""How one machine fares with a patch: what its agent and others say becomes signs, a table makes a verdict (P4.2)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from forestall.domain.campaign import Campaign
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.policy import Policy
from forestall.domain.record import Record
from forestall.domain.rule import Condition, Rule, conditions

_INSTALLED = frozenset({Status.FIXED, Status.PENDING_RESTART})


class Word(NamedTuple):
    """What an agent says at a check-in of one patch."""

    status: Status
    boot_id: str = ""
    attempts: int = 0
    services: tuple[str, ...] = ()
    """Services that ran before the install and have failed since."""
    broke: str = ""
    """What its person says that the patch broke; hostile text."""


class Trial(NamedTuple):
    """What has come of one revision of a campaign on one machine; None where something has not happened."""

    was_affected: bool = False
    """The inventory or a probe had found it affected before (P4.3)."""
    installed_at: datetime | None = None
    """Its agent first said so."""
    boot_id: str = ""
    """The boot in which it was installed."""
    effective_at: datetime | None = None
    """Its agent first said that it is fixed, no restart pending; cleared by any other word (A6)."""
    restarted_at: datetime | None = None
    """First heard after a restart, the patch still in place."""
    relapsed_at: datetime | None = None
    """Installed, and then not in place, broken or unreadable; cleared when it is well again."""
    failed_at: datetime | None = None
    """An install was tried in vain; cleared by one that succeeds."""
    services: tuple[str, ...] = ()
    services_at: datetime | None = None
    broke: str = ""
    broke_at: datetime | None = None


def after_word(trial: Trial, word: Word, at: datetime) -> Trial:
    """Take in what an agent says."""
    installed = word.status in _INSTALLED
    well = installed or word.status is Status.NOT_AFFECTED
    again = installed and trial.installed_at is not None and word.boot_id != trial.boot_id
    begins = installed and trial.installed_at is None
    installed_at = at if begins else trial.installed_at
    failed = word.attempts > 0 and installed_at is None
    return Trial(
        was_affected=trial.was_affected,
        installed_at=installed_at,
        boot_id=word.boot_id if begins else trial.boot_id,
        effective_at=(trial.effective_at or at) if word.status is Status.FIXED else None,
        restarted_at=trial.restarted_at or (at if again else None),
        relapsed_at=(trial.relapsed_at or at) if installed_at and not well else None,
        failed_at=(trial.failed_at or at) if failed else None,
        services=word.services,
        services_at=(trial.services_at or at) if word.services else None,
        broke=word.broke or trial.broke,
        broke_at=at if word.broke not in {"", trial.broke} else trial.broke_at,
    )


class Signs(NamedTuple):
    """What is true of a machine in a test; the table of verdicts combines nothing else."""

    installed: bool = False
    pending: bool = False
    """Installed, and waits for its restart (A6)."""
    healthy: bool = False
    """Heard after a restart, or long enough after the install."""
    broke: bool = False
    down: bool = False
    relapsed: bool = False
    failed: bool = False
    refuted: bool = False
    """In effect, and the inventory or a probe has found it affected since (P4.3)."""
    proven: bool = False
    """Affected before, and fixed since the install, both by the inventory or a probe (P4.3)."""
    quiet: bool = False
    """Installed long enough ago to have been heard again."""
    silent: bool = False
    """Installed so long ago that its silence counts as harm."""


class Span(NamedTuple):
    """Between which instants a test is judged."""

    now: datetime
    since: datetime
    """What went wrong before a person let the campaign go on counts no more (A7)."""
    healthy_after: timedelta
    quiet_before: datetime
    silent_before: datetime


def span_of(campaign: Campaign, now: datetime, policy: Policy) -> Span:
    """Find the instants a campaign's machines are judged by."""
    return Span(
        now=now,
        since=campaign.resumed_at or campaign.handed_over_at,
        healthy_after=policy.healthy_after,
        quiet_before=now - 2 * policy.check_every,
        silent_before=now - policy.silent_in_test,
    )


def signs_of(record: Record, trial: Trial, span: Span) -> Signs:
    """Find what is true of a machine; `store.trials.tally` says the same in SQL, and a test holds the two together."""
    installed_at = trial.installed_at
    if installed_at is None:
        return Signs(broke=_since(trial.broke_at, span), failed=_since(trial.failed_at, span))
    effective_at, heard_at = trial.effective_at, record.heard_at
    words = ((record.inventory_status, record.inventory_at), (record.probe_status, record.probe_at))
    return Signs(
        installed=True,
        pending=record.agent_status is Status.PENDING_RESTART,
        healthy=trial.restarted_at is not None
        or (heard_at is not None and heard_at >= installed_at + span.healthy_after),
        broke=_since(trial.broke_at, span),
        down=_since(trial.services_at, span),
        relapsed=_since(trial.relapsed_at, span),
        failed=_since(trial.failed_at, span),
        refuted=any(
            status is Status.AFFECTED and at is not None and effective_at is not None and at > effective_at
            for status, at in words
        ),
        proven=trial.was_affected
        and any(status in CLEAN and at is not None and at >= installed_at for status, at in words),
        quiet=max(installed_at, span.since) <= span.quiet_before,
        silent=max(installed_at, span.since) <= span.silent_before,
    )


def _since(at: datetime | None, span: Span) -> bool:
    return at is not None and at >= span.since


class Verdict(StrEnum):
    """What a machine's trial comes to."""

    BROKE = "broke"
    FAILED = "failed"
    REFUTED = "refuted"
    """Installed, and the hole is still open."""
    SILENT = "silent"
    QUIET = "quiet"
    TRYING = "trying"
    """Installed, and not yet known to be well."""
    CLEAN = "clean"
    WAITING = "waiting"
    """Has not installed it yet."""


def _when(**facts: bool) -> dict[str, Condition]:
    return conditions(Signs._fields, facts)


# fmt: off
VERDICTS: tuple[Rule[Verdict], ...] = (
    Rule("says-broke",     "P4.2", _when(broke=True),                               Verdict.BROKE,   "its person says what it broke"),
    Rule("services-down",  "P4.2", _when(down=True),                                Verdict.BROKE,   "services that ran before it have failed since"),
    Rule("relapsed",       "P4.2", _when(relapsed=True),                            Verdict.BROKE,   "installed, and no longer in place, broken or unreadable"),
    Rule("failed",         "P4.2", _when(failed=True),                              Verdict.FAILED,  "the install failed"),
    Rule("waiting",        "P4.1", _when(installed=False),                          Verdict.WAITING, "not installed yet"),
    Rule("silent",         "P4.2", _when(healthy=False, silent=True),               Verdict.SILENT,  "not heard since the install: counts as harm"),
    Rule("quiet",          "P4.2", _when(healthy=False, quiet=True),                Verdict.QUIET,   "not heard since the install: silence counts against the patch"),
    Rule("not-restarted",  "A6",   _when(pending=True),                             Verdict.TRYING,  "installed, waiting for its restart"),
    Rule("still-affected", "P4.3", _when(refuted=True),                             Verdict.REFUTED, "installed, and seen affected since: it does not close the hole"),
    Rule("trying",         "P4.2", _when(healthy=False),                            Verdict.TRYING,  "installed not long ago"),
    Rule("well",           "P4.2", _when(),                                         Verdict.CLEAN,   "installed, heard since, and well"),
)
# fmt: on


def verdict(signs: Signs) -> Rule[Verdict]:
    """Find the first row that applies."""
    return next(row for row in VERDICTS if row.applies(signs))


@dataclass(slots=True)
class Tally:
    """What the machines of a ring, or of several, have answered."""

    verdicts: Counter[Verdict] = field(default_factory=Counter[Verdict])
    proven: int = 0
    """Seen affected before and fixed since by the inventory or a probe."""

    @property
    def machines(self) -> int:
        """Count all of them."""
        return self.verdicts.total()

    @property
    def tried(self) -> int:
        """Count those that have begun."""
        return self.machines - self.verdicts[Verdict.WAITING]

    @property
    def clean(self) -> int:
        """Count those that are well."""
        return self.verdicts[Verdict.CLEAN]

    @property
    def harmed(self) -> int:
        """Count those on which it failed or broke something."""
        return self.verdicts[Verdict.FAILED] + self.verdicts[Verdict.BROKE]


def tally_of(found: Iterable[tuple[Signs, int]]) -> Tally:
    """Count machines by their verdicts; each distinct set of signs is judged once."""
    tally = Tally()
    for signs, count in found:
        tally.verdicts[verdict(signs).then] += count
        tally.proven += count if signs.proven else 0
    return tally


def together(tallies: Iterable[Tally]) -> Tally:
    """Add rings up."""
    total = Tally()
    for each in tallies:
        total.verdicts.update(each.verdicts)
        total.proven += each.proven
    return total
