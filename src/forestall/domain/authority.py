"""What signed papers allow together: an order counts within its approval, whatever the server says (A10).

Three papers with keys of their own: the *approval* of an update (signed offline), the *order* of a campaign (signed
online), the declaration of an *imminent threat* (signed by two). A *hint* is not signed and can only delay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from forestall.domain.brakes import Wave, position_of, wait_of
from forestall.domain.device import DeviceId
from forestall.domain.order import ACTIVE, CampaignId, Order, Restart, Verb
from forestall.domain.policy import DAY, MINUTE
from forestall.domain.product import ProductName
from forestall.domain.recipe import Recipe
from forestall.domain.remediation import RemediationId, id_of

ORDER_LIVES = DAY
"""No order is signed for longer (A11)."""
CLOCKS_MAY_DIFFER = 5 * MINUTE


class Objection(StrEnum):
    """Why papers do not allow what they seem to."""

    UNKNOWN_VERB = "unknown-verb"
    ODD_NAME = "odd-name"
    """A product, release, source, version or campaign that cannot be one."""
    NO_ZONE = "no-zone"
    """An instant without a time zone."""
    BACKWARDS = "backwards"
    """A deadline before its offer."""
    NO_WAVES = "no-waves"
    """Waves that do not rise to everybody."""
    NOT_APPROVED = "not-approved"
    """No approval allows this verb for this very update."""
    UNDERCUTS = "undercuts"
    """It would take back to less than another order requires."""
    ODD_WAY_BACK = "odd-way-back"
    """What is to be taken back has no way back, or goes up instead of down."""
    ODD_RECIPE = "odd-recipe"
    """A recipe that cannot be carried out, or that does not belong to this product."""
    OTHER_PRODUCT = "other-product"
    """This machine has no installer for it."""
    OTHER_CAMPAIGN = "other-campaign"
    """The paper is about another campaign than its name says."""
    OLD_REVISION = "old-revision"
    """The machine holds a newer order of this campaign."""
    EXPIRED = "expired"
    LIVES_TOO_LONG = "lives-too-long"
    """It would be valid for more than a day."""


@dataclass(frozen=True, slots=True)
class Approval:
    """People tested this update and allow it, offline: never by force before `force_from`, never faster than `pace`.

    It allows one verb: what may be taken back may not be installed (A7).
    """

    product: str
    remediation: RemediationId
    approved_at: datetime
    force_from: datetime
    pace: tuple[Wave, ...]
    recipe: Recipe | None = None
    """What is done, where there is no package."""
    verb: Verb = Verb.UPGRADE
    back_to: str = ""
    """The version to which packages, or the agent, are taken back."""


@dataclass(frozen=True, slots=True)
class Imminence:
    """Two people moved an update's deadline forward (P8.1); the waves get shorter, never none."""

    product: str
    remediation: RemediationId
    deadline_at: datetime
    pace: tuple[Wave, ...]


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """One campaign's order to all machines, as it was signed."""

    campaign: CampaignId
    revision: int
    verb: str
    product: str
    release: str
    source: str
    version: str
    offered_at: datetime
    deadline_at: datetime
    expires_at: datetime
    rings: tuple[Wave, ...]
    restart: Restart
    level: str
    texts: Mapping[str, str]

    @property
    def remediation(self) -> RemediationId:
        """Name the update that it orders."""
        return id_of(self.release, self.source, self.version)


@dataclass(frozen=True, slots=True)
class Hint:
    """What the server says to one machine beside the papers: it can only delay."""

    offered_at: datetime
    force_at: datetime


def objections(order: SignedOrder, approval: Approval | None, now: datetime) -> tuple[Objection, ...]:
    """Find what speaks against an order; empty for one that is to be obeyed.

    What a name may look like is for the caller to say: `Objection.ODD_NAME` is not looked for here.
    """
    instants = (order.offered_at, order.deadline_at, order.expires_at)
    if any(at.tzinfo is None for at in instants):
        return (Objection.NO_ZONE,)
    found = {
        Objection.UNKNOWN_VERB: order.verb not in set(Verb),
        Objection.BACKWARDS: order.deadline_at < order.offered_at,
        Objection.NO_WAVES: not rises(order.rings),
        Objection.NOT_APPROVED: order.verb in ACTIVE and not _names(approval, order),
        Objection.EXPIRED: order.expires_at <= now,
        Objection.LIVES_TOO_LONG: order.expires_at > now + ORDER_LIVES + CLOCKS_MAY_DIFFER,
    }
    return tuple(why for why, holds in found.items() if holds)


def bound(
    order: SignedOrder,
    approval: Approval | None,
    imminence: Imminence | None,
    hint: Hint | None,
    device: DeviceId,
) -> Order:
    """Make one machine's order of papers without objections: the latest instant wins, but for an imminent threat."""
    force_at = forced_at(order, approval, imminence, position_of(order.remediation, device))
    offered_at = order.offered_at if approval is None else max(order.offered_at, approval.approved_at)
    if hint is not None:
        offered_at, force_at = max(offered_at, hint.offered_at), max(force_at, hint.force_at)
    return Order(
        campaign=order.campaign,
        revision=order.revision,
        verb=Verb(order.verb),
        product=ProductName(order.product),
        release=order.release,
        source=order.source,
        version=order.version,
        offered_at=offered_at,
        force_at=max(force_at, offered_at),
        expires_at=order.expires_at,
        level=order.level,
        texts=order.texts,
        restart=order.restart,
        imminent=imminence is not None and _hastens(imminence, order),
        recipe=None if approval is None else approval.recipe,
        back_to="" if approval is None else approval.back_to,
    )


def forced_at(
    order: SignedOrder, approval: Approval | None, imminence: Imminence | None, position: float
) -> datetime:
    """Say from when papers without objections let a machine at this position be forced."""
    found = order.deadline_at + wait_of(order.rings, position)
    if approval is not None:
        found = max(found, approval.force_from + wait_of(approval.pace, position))
    if imminence is not None and _hastens(imminence, order):
        found = min(found, imminence.deadline_at + wait_of(imminence.pace, position))
    return found


def agreed_time(own: datetime, server: datetime) -> datetime:
    """Say what time it is for deadlines: the server's, but never far ahead of the machine's own clock (R19).

    Nobody's clock alone brings a deadline nearer: not this machine's, and not the server's either.
    """
    return min(server, own + CLOCKS_MAY_DIFFER)


def rises(waves: Sequence[Wave]) -> bool:
    """Say whether waves reach ever more machines, ever later, and everybody in the end."""
    if not waves or waves[-1].share != 1.0:
        return False
    rising = all(a.share <= b.share and a.after <= b.after for a, b in pairwise(waves))
    return rising and waves[0].share > 0 and waves[0].after >= timedelta()


def _names(approval: Approval | None, order: SignedOrder) -> bool:
    return approval is not None and approval.verb == order.verb and _same_update(approval, order)


def _hastens(imminence: Imminence, order: SignedOrder) -> bool:
    """Say whether a threat moves an order forward: it hastens the update, never its way back."""
    return order.verb == Verb.UPGRADE and _same_update(imminence, order)


def _same_update(paper: Approval | Imminence, order: SignedOrder) -> bool:
    same = (paper.product, paper.remediation) == (order.product, order.remediation)
    return same and rises(paper.pace)
