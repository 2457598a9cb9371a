"""One vulnerability read for the rating: the three E's it brings, how it is reached, and who says so (P2.2)."""

from dataclasses import dataclass

from forestall.domain.advisory import Exploitation, Vulnerability
from forestall.domain.cvss import Reach, Reading, read_vector
from forestall.domain.level import Effect, Level, LevelTable, level_of

LIKELY_EPSS = 0.5
"""From this probability on an exploit is taken to exist: it separates Blaster (0.91) from MS03-038 (0.42)."""

NOTABLE_EPSS = 0.05
"""From this probability on a reason says so: there it begins to lift an update in the order (`rating.worst_first`)."""

TAKEOVER_WEAKNESSES = frozenset(
    {"CWE-77", "CWE-78", "CWE-94", "CWE-250", "CWE-266", "CWE-269", "CWE-434", "CWE-502", "CWE-787"}
)
"""Weaknesses that, with nothing else known, are taken to give an attacker control."""

LEAK_WEAKNESSES = frozenset({"CWE-22", "CWE-125", "CWE-200", "CWE-312", "CWE-319", "CWE-522", "CWE-532"})
"""Weaknesses that, with nothing else known, are taken to leak confidential data."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the facts about one vulnerability mean."""

    vulnerability: Vulnerability
    reading: Reading | None
    escalation: bool
    expansion: bool
    exposure: bool
    level: Level
    reasons: tuple[str, ...]


def find(vulnerability: Vulnerability, levels: LevelTable) -> Finding:
    """Read a vulnerability; a coordinator's label beats our reading of the vector, the vector beats the weakness."""
    reading = read_vector(vulnerability.cvss_vector)
    escalation, by_escalation = _escalation(vulnerability, reading)
    expansion, by_expansion = _expansion(vulnerability, reading)
    exposure, by_exposure = _exposure(vulnerability, reading)
    level = level_of(
        levels,
        _effect(escalation=escalation, expansion=expansion, exposure=exposure),
        _taken_for(vulnerability),
        _reach(vulnerability, reading),
    )
    reasons = (
        *_threats(vulnerability),
        by_expansion,
        by_escalation,
        by_exposure,
        _access(vulnerability, reading),
    )
    return Finding(
        vulnerability,
        reading,
        escalation,
        expansion,
        exposure,
        level,
        tuple(reason for reason in reasons if reason),
    )


def _effect(*, escalation: bool, expansion: bool, exposure: bool) -> Effect:
    if expansion:
        return Effect.EXPANSION
    if escalation:
        return Effect.ESCALATION
    return Effect.EXPOSURE if exposure else Effect.NONE


def _taken_for(v: Vulnerability) -> Exploitation:
    """Give the exploitation the table is asked with: a high EPSS stands for an exploit that nobody showed."""
    likely = v.epss is not None and v.epss >= LIKELY_EPSS
    return Exploitation.POC if likely and v.exploitation is Exploitation.NONE else v.exploitation


def _reach(v: Vulnerability, reading: Reading | None) -> Reach:
    """Give the reach; where nobody said, the middle, from which no update comes out below a warning."""
    if reading:
        return reading.reach
    return Reach.OPEN if v.automatable else Reach.GUARDED


def _escalation(v: Vulnerability, reading: Reading | None) -> tuple[bool, str]:
    if v.technical_impact_total is not None:
        says = f"SSVC says of {v.id} technical impact total: an attacker gains control"
        return v.technical_impact_total, says if v.technical_impact_total else ""
    if reading:
        says = f"CVSS of {v.id} has {reading.impact}: an attacker gains control of what it runs in"
        return reading.controls, says if reading.controls else ""
    return _by_weakness(v, TAKEOVER_WEAKNESSES, "an attacker may gain control")


def _expansion(v: Vulnerability, reading: Reading | None) -> tuple[bool, str]:
    alters = reading.alters if reading else v.technical_impact_total is not False
    if v.automatable is not None:
        spreads = v.automatable and alters
        return spreads, f"SSVC says of {v.id} automatable: it can spread by itself" if spreads else ""
    spreads = reading is not None and reading.easy and alters
    return (
        spreads,
        f"CVSS of {v.id} leaves nothing in a worm's way: it can spread by itself" if spreads else "",
    )


def _exposure(v: Vulnerability, reading: Reading | None) -> tuple[bool, str]:
    if reading:
        says = f"CVSS of {v.id} has {reading.impact}: confidential data can leak"
        return reading.leaks, says if reading.leaks and not reading.controls else ""
    return _by_weakness(v, LEAK_WEAKNESSES, "confidential data may leak")


def _by_weakness(v: Vulnerability, weaknesses: frozenset[str], what: str) -> tuple[bool, str]:
    found = next((weakness for weakness in v.weaknesses if weakness in weaknesses), None)
    return found is not None, f"{v.id} is a {found}: {what}" if found else ""


def _threats(v: Vulnerability) -> list[str]:
    """Say how far attackers are, and who says so."""
    threats = []
    if v.exploited_since:
        threats.append(f"CISA lists {v.id} as exploited since {v.exploited_since.isoformat()}")
    elif v.exploitation is Exploitation.ACTIVE:
        threats.append(f"SSVC says of {v.id} exploitation active")
    elif v.exploitation is Exploitation.POC:
        threats.append(f"SSVC says of {v.id} that a public exploit exists")
    if v.ransomware:
        threats.append(f"CISA saw {v.id} used for ransomware")
    if v.epss is not None and v.epss >= NOTABLE_EPSS:
        threats.append(f"EPSS gives {v.id} {v.epss:.0%} for exploitation within 30 days")
    return threats


def _access(v: Vulnerability, reading: Reading | None) -> str:
    if reading is None:
        return ""
    match reading.reach:
        case Reach.OPEN:
            meaning = "reachable over the network without an account or a person's help"
        case Reach.LOCAL:
            meaning = "only on the machine or beside it"
        case _ if reading.easy:
            meaning = "reachable over the network; CVSS 2 does not say whether a person must help"
        case _:
            meaning = "reachable over the network, but it needs an account, a person's help or luck"
    return f"CVSS of {v.id} has {reading.access}: {meaning}"
