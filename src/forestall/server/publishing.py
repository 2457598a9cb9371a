"""Hands the orders of running campaigns to the signer; what it will not sign is recorded once (A10)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from forestall.domain.brakes import forced_from, pace_of
from forestall.domain.campaign import Campaign, Kind, deadline_of
from forestall.domain.events import Event, EventKind
from forestall.domain.order import CampaignId, Restart, Verb
from forestall.domain.policy import Policy
from forestall.domain.product import product_of
from forestall.domain.remediation import parts_of
from forestall.domain.ring import Ring
from forestall.server.order_text import order_text
from forestall.store import campaigns, devices, ledger, wakes
from forestall.store.database import Database
from forestall.trust.channel import Publish, ask
from forestall.trust.documents import OrderDocument, wave_messages
from forestall.trust.signer import Refused


class Stage(NamedTuple):
    """How far a campaign has come, as its machines have to know."""

    revision: int
    ring: Ring | None
    deadline_at: datetime | None
    imminent_at: datetime | None


@dataclass(slots=True)
class Publisher:
    """One signer, asked at its socket."""

    database: Database
    policy: Policy
    socket: Path
    _refused: frozenset[Refused] = frozenset()
    _known: Mapping[CampaignId, Stage] | None = None
    """What machines have heard of since this process signs; what was before they hear in their own time."""

    def publish(self, now: datetime) -> None:
        """Ask for the orders of all running campaigns; the signer leaves alone what has not changed.

        Raises:
            SignerError: it does not answer; machines go on with their last valid orders.
        """
        with self.database.begin() as con:
            running = [campaign for campaign in campaigns.active(con) if ordered(campaign)]
            fleet = devices.count(con)
        orders = tuple(order_document(campaign, fleet, now, self.policy) for campaign in running)
        refused = frozenset(ask(self.socket, Publish(orders)).refused)
        new = sorted(refused - self._refused, key=lambda each: each.campaign)
        unsigned = {each.campaign for each in refused}
        stages = {each.id: stage_of(each) for each in running if each.id not in unsigned}
        # Only now: whoever comes finds the new orders.
        moved = concerned(stages if self._known is None else self._known, stages)
        if new or moved:
            with self.database.begin() as con:
                if new:
                    ledger.append(con, [_refusal(each) for each in new], now)
                wakes.call(con, moved)
        self._refused, self._known = refused, stages


def stage_of(campaign: Campaign) -> Stage:
    """Say how far a campaign has come."""
    return Stage(campaign.revision, campaign.ring, campaign.deadline_at, campaign.imminent_at)


def concerned(before: Mapping[CampaignId, Stage], after: Mapping[CampaignId, Stage]) -> set[CampaignId]:
    """Name the campaigns whose machines should look now: begun, widened, moved, halted, withdrawn (A7, P8.2)."""
    return {
        campaign for campaign in before.keys() | after.keys() if before.get(campaign) != after.get(campaign)
    }


def ordered(campaign: Campaign) -> bool:
    """Say whether a campaign orders anything now: one that is distributed, or that rings test; none that is halted."""
    offers = campaign.deadline_at is not None or campaign.ring is not None
    return campaign.open and offers and campaign.halted_at is None


def order_document(campaign: Campaign, fleet: int, now: datetime, policy: Policy) -> OrderDocument:
    """Write a campaign's order; the signer sets its end.

    While rings test it no deadline is set, and the order names the earliest that can come: what was signed is never
    moved forward. Hints keep testers from being forced by it (`server.check_ins`).
    """
    tested = campaign.deadline_at is None
    offered_at = campaign.distributed_at or campaign.handed_over_at
    deadline_at = (
        deadline_of(campaign.handed_over_at, campaign.voluntary_period) if tested else forced_from(campaign)
    )
    release, source, version = parts_of(campaign.remediation)
    return OrderDocument(
        campaign=campaign.id,
        revision=campaign.revision,
        verb=Verb.UNDO if campaign.kind is Kind.UNDO else Verb.UPGRADE,
        product=product_of(release),
        release=release,
        source=source,
        version=version,
        offered_at=min(offered_at, campaign.deadline_at or offered_at),
        deadline_at=deadline_at,
        expires_at=now + policy.order_valid_for,
        rings=wave_messages(pace_of(policy, fleet, imminent=campaign.imminent_at is not None)),
        restart=Restart(policy.restart),
        level=campaign.level,
        texts=order_text(campaign),
    )


def _refusal(refused: Refused) -> Event:
    return Event(
        EventKind.ORDER_REFUSED, "signer", refused.campaign, refused.campaign, "", "A10", {"why": refused.why}
    )
