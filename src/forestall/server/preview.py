"""What the next pass would order and hold, before anything is (A8): decided by the same rules, written nowhere."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.campaign import Campaign, Phase, due, take
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.halt import failing
from forestall.domain.intent import Intent
from forestall.domain.selection import preview_of
from forestall.server.passes import decided
from forestall.server.steps import locked
from forestall.server.wiring import Installation
from forestall.store import intents, records


@dataclass(frozen=True, slots=True)
class Line:
    """One rule's machines."""

    action: Action
    rule: str
    paragraph: str
    brake: str
    """What would hold them; empty where they would be ordered now."""
    count: int
    sites: Mapping[SiteId, int]
    machines: str
    """The set's hash."""


@dataclass(frozen=True, slots=True)
class NextPass:
    """What would happen in one campaign."""

    campaign: str
    phase: Phase
    """As the pass would find it: the deadline may have passed."""
    observing: str
    halts: str
    """Why the campaign would halt by itself instead; empty where it would not."""
    lines: tuple[Line, ...]


def preview(installation: Installation, name: str, now: datetime) -> NextPass:
    """Decide for one campaign as the next pass would.

    Raises:
        InputError: there is no such campaign.
    """
    observing = installation.watermark.observing(installation.database)
    policy = installation.policy
    with installation.database.begin() as con:
        campaign = _moved(locked(con, name), now, observing)
        found = records.gather(con, campaign.id)
        halts = "" if observing else failing(found, campaign, now, policy)
        braked = decided(con, campaign, found, now, policy, observing)
        would = [(intent, "") for intent in intents.unordered(con, braked.permitted)]
        would += [(each.intent, each.brake) for each in braked.held]
    return NextPass(campaign.id, campaign.phase, observing, halts, () if halts else _lines(would))


def _moved(campaign: Campaign, now: datetime, observing: str) -> Campaign:
    step = None if observing else due(campaign, now)
    return (take(campaign, step, now) if step else None) or campaign


def _lines(would: list[tuple[Intent, str]]) -> tuple[Line, ...]:
    groups = defaultdict[tuple[str, Action, str, str], dict[DeviceId, SiteId]](dict)
    for intent, held_by in would:
        groups[held_by, intent.action, intent.rule, intent.paragraph][intent.device] = intent.site
    lines: list[Line] = []
    for (held_by, action, rule, paragraph), machines in sorted(groups.items()):
        seen = preview_of(machines)
        lines.append(Line(action, rule, paragraph, held_by, seen.count, seen.sites, seen.machines))
    return tuple(lines)
