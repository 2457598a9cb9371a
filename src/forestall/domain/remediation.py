"""What can be done about vulnerabilities. The unit of work is the update, not the CVE."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NewType

from forestall.domain.advisory import AdvisoryId, VulnerabilityId
from forestall.domain.product import ProductName, key_of, product_of
from forestall.domain.version import Order, compare_keys

RemediationId = NewType("RemediationId", str)
"""`<release>/<source>/<version>`, for example `bookworm/openssl/3.0.22-1~deb12u2`."""


def parts_of(remediation: RemediationId) -> tuple[str, str, str]:
    """Read release, source package and version from an update's id."""
    release, source, version = remediation.split("/", 2)
    return release, source, version


def id_of(release: str, source: str, version: str) -> RemediationId:
    """Name an update by its parts."""
    return RemediationId(f"{release}/{source}/{version}")


def by_recipe(remediation: RemediationId) -> bool:
    """Say whether an update has no package: packages say nothing about it, and it concerns every machine (P1.4)."""
    return product_of(parts_of(remediation)[0]) is ProductName.RECIPE


def undercuts(update: RemediationId, back_to: str, required: RemediationId) -> bool:
    """Say whether taking `update` back to this version leaves less than another update requires (A7).

    What goes back to no version undercuts nothing. Versions that cannot be compared are taken for the worse.
    """
    release, source, version = parts_of(required)
    if not back_to or parts_of(update)[:2] != (release, source):
        return False
    order = compare_keys(key_of(release, back_to), key_of(release, version))
    return order in {Order.LESS, Order.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Remediation:
    """An update: bring every binary package of `source` in `release` to at least `version`, or do its recipe."""

    release: str
    source: str
    version: str
    advisories: tuple[AdvisoryId, ...]
    vulnerabilities: tuple[VulnerabilityId, ...]
    published_at: datetime

    @property
    def id(self) -> RemediationId:
        """Name the remediation the same on every machine and in every run."""
        return id_of(self.release, self.source, self.version)


def newest_of_each(remediations: Iterable[Remediation]) -> tuple[Remediation, ...]:
    """Keep the newest update of each source package; it brings what the older ones brought."""
    groups = defaultdict[tuple[str, str], list[Remediation]](list)
    for remediation in remediations:
        groups[remediation.release, remediation.source].append(remediation)
    return tuple(
        _joined(sorted(group, key=lambda each: key_of(each.release, each.version) or b""))
        for group in groups.values()
    )


def _joined(group: list[Remediation]) -> Remediation:
    return replace(
        group[-1],
        advisories=tuple(dict.fromkeys(name for each in reversed(group) for name in each.advisories)),
        vulnerabilities=tuple(
            dict.fromkeys(name for each in reversed(group) for name in each.vulnerabilities)
        ),
    )
