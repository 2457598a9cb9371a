"""What a service pack's update contains: earlier updates of the same source package, by version (P3.3, P7.2)."""

from forestall.domain.campaign import Campaign, Kind
from forestall.domain.product import key_of
from forestall.domain.remediation import RemediationId, parts_of


def contains(pack: RemediationId, earlier: RemediationId) -> bool:
    """Say whether whoever has the one has the other: versions decide, and one that cannot be read decides against."""
    release, source, version = parts_of(pack)
    other_release, other_source, other_version = parts_of(earlier)
    newer, older = key_of(release, version), key_of(other_release, other_version)
    if (release, source) != (other_release, other_source) or newer is None or older is None:
        return False
    return older <= newer


def rolls_up(pack: RemediationId, campaign: Campaign) -> bool:
    """Say whether a pack that drives this update closes a campaign."""
    return campaign.open and campaign.kind is Kind.PATCH and contains(pack, campaign.remediation)
