"""The triage list: updates that touch machines we have, worst first, each with its proposal (P2.1)."""

from dataclasses import dataclass
from datetime import datetime

from forestall.domain.advisory import AdvisoryId, Exploitation, VulnerabilityId
from forestall.domain.device import DeviceId
from forestall.domain.level import Level
from forestall.domain.matching import remediations
from forestall.domain.rating import Proposal, worst_first
from forestall.domain.remediation import RemediationId, by_recipe, newest_of_each
from forestall.server.catalogue import catalogue
from forestall.store import devices, inventories, ratings
from forestall.store.database import Database


@dataclass(frozen=True, slots=True)
class TriageRow:
    """One update."""

    remediation: RemediationId
    level: Level
    """As proposed."""
    rated: Level | None
    affected: int
    """Machines that lack it."""
    escalation: bool
    expansion: bool
    exposure: bool
    exploitation: Exploitation
    worst: VulnerabilityId | None
    advisories: tuple[AdvisoryId, ...]
    vulnerabilities: tuple[VulnerabilityId, ...]
    published_at: datetime
    reasons: tuple[str, ...]


def triage(
    database: Database, *, everything: bool = False, device: DeviceId | None = None
) -> list[TriageRow]:
    """List open updates, worst first, of the fleet or of one machine; `everything` also lists those nobody needs."""
    found = catalogue(database)
    updates = remediations(found.advisories)
    with database.begin() as con:
        affected = inventories.affected_counts(con, updates, device)
        # Whether a machine has what a recipe does is known once its agent was told the recipe.
        managed = 1 if device else devices.count(con)
        affected |= {each.id: managed for each in updates if by_recipe(each.id)}
        rated = {rating.remediation: rating.level for rating in ratings.newest(con)}
    wanted = updates if everything else newest_of_each(each for each in updates if affected.get(each.id))
    return [
        _row(proposal, affected.get(proposal.remediation.id, 0), rated.get(proposal.remediation.id))
        for proposal in worst_first(wanted, found.facts)
    ]


def named(database: Database, name: str) -> list[TriageRow]:
    """Find the updates behind the name of an update, an advisory or a vulnerability."""
    return [
        row
        for row in triage(database, everything=True)
        if name == row.remediation or name in row.advisories or name in row.vulnerabilities
    ]


def _row(proposal: Proposal, affected: int, rated: Level | None) -> TriageRow:
    update = proposal.remediation
    return TriageRow(
        remediation=update.id,
        level=proposal.level,
        rated=rated,
        affected=affected,
        escalation=proposal.escalation,
        expansion=proposal.expansion,
        exposure=proposal.exposure,
        exploitation=proposal.exploitation,
        worst=proposal.worst,
        advisories=update.advisories,
        vulnerabilities=update.vulnerabilities,
        published_at=update.published_at,
        reasons=proposal.reasons,
    )
