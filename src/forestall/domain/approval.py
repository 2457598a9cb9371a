"""Where two people are needed (A9): what was asked, for exactly which machines, by whom, until when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from forestall.domain.evidence import Side
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy


class Matter(StrEnum):
    """What one person alone must not do."""

    IMMINENT = "imminent"
    RAISE_BRAKE = "raise_brake"
    FORCE_EARLY = "force_early"
    WAIVE_MAIL = "waive_mail"
    PROTECT = "protect"
    REPLAY = "replay"
    EXEMPT = "exempt"
    BELIEVE_AGENT = "believe_agent"
    BELIEVE_PROBE = "believe_probe"


BELIEFS: Mapping[Side, Matter] = {Side.AGENT: Matter.BELIEVE_AGENT, Side.PROBE: Matter.BELIEVE_PROBE}
"""Believing one side of a disagreement (A18)."""

OF_CAMPAIGN = frozenset({Matter.IMMINENT, Matter.RAISE_BRAKE, Matter.FORCE_EARLY, Matter.WAIVE_MAIL})
OF_MACHINE = frozenset({Matter.PROTECT, Matter.EXEMPT, *BELIEFS.values()})


@dataclass(frozen=True, slots=True)
class Request:
    """One person asks. `machines` is the hash of the set that the preview showed, `count` its size."""

    matter: Matter
    campaign: CampaignId
    by: str
    at: datetime
    expires_at: datetime
    machines: str = ""
    count: int = 0
    subject: str = ""
    """The one machine it is about; empty where it is about a campaign or the ledger."""
    reason: str = ""
    control: str = ""
    """What protects an exempted machine instead (A1)."""
    until: datetime | None = None
    """When an exemption (A1) or a belief (A18) ends by itself."""


def refusal(request: Request, approver: str, machines: str, now: datetime, policy: Policy) -> str:
    """Say why an approval does not count; empty where it does.

    `machines` is the hash of the set as the approver saw it.
    """
    if not approver:
        return "nobody approved"
    if policy.second_person and approver.casefold() == request.by.casefold():
        return f"{approver} asked for it and cannot approve it; a second person must (A9)"
    if now >= request.expires_at:
        return f"the request ran out at {request.expires_at:%Y-%m-%d %H:%M} UTC; ask again"
    if now < request.at:
        return "the request lies in the future: check the clocks"
    if machines != request.machines:
        return "the set of machines has changed since it was previewed; look again"
    return ""
