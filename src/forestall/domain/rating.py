"""A level proposed for an update, with the reasons: the three E's, exploitation and reach (P2.1-P2.4).

The proposal never decides: a person in Security rates. Missing facts are said and assumed to be bad.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from forestall.domain.advisory import Exploitation, Facts, Vulnerability, VulnerabilityId
from forestall.domain.finding import Finding, find
from forestall.domain.level import LEVELS, Level, LevelTable, severity
from forestall.domain.remediation import Remediation

_MOST_NAMED = 3
"""Reasons name this many vulnerabilities of an update; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the facts say of one update, for the person who rates it (P2.1)."""

    remediation: Remediation
    level: Level
    escalation: bool
    expansion: bool
    exposure: bool
    exploitation: Exploitation
    worst: VulnerabilityId | None
    epss: float | None
    """The highest of its vulnerabilities, as is `cvss`; None where nobody published one."""
    cvss: float | None
    reasons: tuple[str, ...]
    """In plain language, each with its source, the weightiest first."""


def propose(remediation: Remediation, facts: Facts, levels: LevelTable = LEVELS) -> Proposal:
    """Propose a level for an update: that of its worst vulnerability."""
    known = [facts.get(name, Vulnerability(name)) for name in remediation.vulnerabilities]
    findings = sorted((find(v, levels) for v in known if not v.rejected), key=_rank, reverse=True)
    withdrawn = tuple(
        f"{v.id} was rejected by its CVE authority and does not count" for v in known if v.rejected
    )
    if not findings:
        return _without_vulnerabilities(remediation, withdrawn[:_MOST_NAMED])
    return Proposal(
        remediation,
        findings[0].level,
        escalation=any(finding.escalation for finding in findings),
        expansion=any(finding.expansion for finding in findings),
        exposure=any(finding.exposure for finding in findings),
        exploitation=max((finding.vulnerability.exploitation for finding in findings), key=_WORSE.index),
        worst=findings[0].vulnerability.id,
        epss=max((v.epss for v in known if v.epss is not None), default=None),
        cvss=max((v.cvss_score for v in known if v.cvss_score is not None), default=None),
        reasons=(*_reasons(findings), *withdrawn[:_MOST_NAMED]),
    )


def worst_first(remediations: Iterable[Remediation], facts: Facts) -> tuple[Proposal, ...]:
    """Propose for each update and sort: exploited first, then by level, EPSS, CVSS and number of vulnerabilities.

    EPSS counts in tenths: smaller differences must not put a known trifle before what nobody has scored yet.
    """
    return tuple(sorted((propose(remediation, facts) for remediation in remediations), key=_urgency))


_WORSE = tuple(Exploitation)


def _urgency(proposal: Proposal) -> tuple[object, ...]:
    return (
        proposal.exploitation is not Exploitation.ACTIVE,
        -severity(proposal.level),
        -round(proposal.epss or 0.0, 1),
        -(proposal.cvss or 0.0),
        -len(proposal.remediation.vulnerabilities),
        proposal.remediation.id,
    )


def _rank(finding: Finding) -> tuple[object, ...]:
    """Sort key of a vulnerability inside its update; greater is worse."""
    v = finding.vulnerability
    return (
        severity(finding.level),
        _WORSE.index(v.exploitation),
        v.epss or 0.0,
        v.cvss_score or 0.0,
        len(finding.reasons),
    )


def _without_vulnerabilities(remediation: Remediation, withdrawn: tuple[str, ...]) -> Proposal:
    """Propose for an update that names no CVE: a product bug if it comes with a point release (P2.4)."""
    point_release = f"upload:{remediation.release}:"
    if remediation.advisories and all(name.startswith(point_release) for name in remediation.advisories):
        level = Level.CAUTION
        reason = (
            f"comes with a point release of {remediation.release} and names no CVE: in effect a product bug"
        )
    else:
        level = Level.WARNING
        reason = "published as a security update but names no CVE: what it closes is not known"
    return Proposal(
        remediation,
        level,
        escalation=False,
        expansion=False,
        exposure=False,
        exploitation=Exploitation.NONE,
        worst=None,
        epss=None,
        cvss=None,
        reasons=(reason, *withdrawn),
    )


def _reasons(findings: list[Finding]) -> list[str]:
    """Say what the worst vulnerabilities bring, how many there are, and what nobody published."""
    reasons = [reason for finding in findings[:_MOST_NAMED] for reason in finding.reasons]
    if len(findings) > 1:
        reasons.append(f"{len(findings)} vulnerabilities in one update")
    for missing, what in (
        ([f for f in findings if f.reading is None], "no CVSS vector known"),
        ([f for f in findings if f.vulnerability.epss is None], "no EPSS known"),
    ):
        if missing:
            reasons.append(f"{what} for {_share(missing, findings)}")
    return reasons


def _share(part: list[Finding], whole: list[Finding]) -> str:
    if len(part) == 1:
        return part[0].vulnerability.id
    if len(part) == len(whole):
        return f"any of its {len(whole)} vulnerabilities"
    return f"{len(part)} of {len(whole)} vulnerabilities"
