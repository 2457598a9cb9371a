"""What sources publish: advisories, the vulnerabilities they name, and what is known about those (P1.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NewType

AdvisoryId = NewType("AdvisoryId", str)
"""The vendor's id (`DSA-5865-1`), or `upload:<suite>:<source>:<version>` for an upload without one."""

VulnerabilityId = NewType("VulnerabilityId", str)
"""The common alias, a CVE id."""


class ProductStatus(StrEnum):
    """What an advisory says of a source package in a release (CSAF 2.0 section 3.2.3.9, Debian's words)."""

    FIXED = "fixed"
    UNFIXED = "unfixed"
    NOT_AFFECTED = "not_affected"
    END_OF_LIFE = "end_of_life"


class Exploitation(StrEnum):
    """How far attackers are (SSVC's decision point Exploitation 1.1.0)."""

    NONE = "none"
    POC = "poc"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Product:
    """One line of an advisory: a source package of a release and the version that has the fix.

    `fixed` is a version only where `status` is FIXED.
    """

    release: str
    source: str
    status: ProductStatus
    fixed: str | None = None


@dataclass(frozen=True, slots=True)
class Advisory:
    """What one source published about one update."""

    id: AdvisoryId
    title: str
    published_at: datetime
    vulnerabilities: tuple[VulnerabilityId, ...]
    products: tuple[Product, ...]
    origin: str
    """The feed's name, as in `forestall.feeds.feed.FEEDS`."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """What all sources together say of one flaw."""

    id: VulnerabilityId
    title: str = ""
    description: str = ""
    exploitation: Exploitation = Exploitation.NONE
    exploited_since: date | None = None
    """Day of listing as exploited (CISA KEV `dateAdded`)."""
    ransomware: bool = False
    epss: float | None = None
    """Probability of exploitation within 30 days (FIRST EPSS), 0..1."""
    cvss_score: float | None = None
    cvss_vector: str = ""
    weaknesses: tuple[str, ...] = ()
    automatable: bool | None = None
    """SSVC Automatable 2.0.0 as labelled by a coordinator; None where nobody said."""
    technical_impact_total: bool | None = None
    """SSVC Technical Impact 1.0.0; None where nobody said."""
    rejected: bool = False


Facts = Mapping[VulnerabilityId, Vulnerability]
"""All known vulnerabilities by id."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything the feeds brought, as one value."""

    advisories: tuple[Advisory, ...] = ()
    facts: Facts = field(default_factory=dict[VulnerabilityId, Vulnerability])
