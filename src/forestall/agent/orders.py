"""The one door for orders: what is not signed, approved and in its time does not pass, and is never obeyed (A10)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec

from forestall.agent.installers.outcome import listed
from forestall.agent.state import Held
from forestall.domain.authority import Approval, Hint, Imminence, Objection, bound, objections
from forestall.domain.device import DeviceId
from forestall.domain.errors import AgentError
from forestall.domain.order import CampaignId, Order, Verb
from forestall.domain.product import ProductName
from forestall.domain.remediation import RemediationId
from forestall.protocol import OrderHint, OrderMessage
from forestall.trust.documents import (
    ImminentDocument,
    OrderDocument,
    RemediationDocument,
    approval_of,
    imminence_of,
    is_campaign,
    odd_names,
    read,
    remediation_of,
    signed_order_of,
)
from forestall.trust.recipe import RecipeMessage, recipe_of
from forestall.trust.roles import imminent_path, order_path, remediation_path
from forestall.trust.verifier import Reason, Refusal, Trust

_Paper = TypeVar("_Paper", RemediationDocument, ImminentDocument)


class Reader(NamedTuple):
    """Who reads the papers: one machine, and the products that it can take in."""

    device: DeviceId
    products: frozenset[ProductName]


class Allowed(NamedTuple):
    """What the papers allow: the machine's own order, and the recipe as it was signed."""

    order: OrderMessage
    recipe: RecipeMessage | None


@dataclass(slots=True)
class Accepted:
    """What came through the door, by campaign, and sentences about what did not."""

    held: dict[str, Held] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def accept(
    hints: Iterable[OrderHint],
    before: Mapping[str, Held],
    trust: Trust,
    reader: Reader,
    now: datetime,
) -> Accepted:
    """Read the signed orders that hints name, after a refresh of `trust`.

    One whose papers cannot be had or believed leaves the machine with its last valid order; one that the signed
    lists no longer name is recalled (A7).
    """
    found = Accepted()
    for hint in hints:
        held = before.get(hint.campaign)
        order = _order(hint, held, trust, reader, now)
        if isinstance(order, Allowed):
            found.held[hint.campaign] = hold(held, order, hint, now)
            continue
        found.refused.append(f"order of campaign {hint.campaign!r} refused: {order}")
        if held is not None and not _recalled(order):
            found.held[hint.campaign] = held
    found.refused += [f"signed files refused: {refusal}" for refusal in trust.refusals]
    return found


def _order(
    hint: OrderHint, held: Held | None, trust: Trust, reader: Reader, now: datetime
) -> Allowed | Refusal | str:
    """Make the order that the papers allow, or say why they allow none."""
    paper = _signed_order(hint.campaign, held, trust, now)
    if not isinstance(paper, OrderDocument):
        return paper
    if paper.product not in reader.products:
        return f"{Objection.OTHER_PRODUCT}: {paper.product}; this machine takes {listed(reader.products)}"
    order, name = signed_order_of(paper), remediation_of(paper)
    approved = _approved(trust, name, now)
    if isinstance(approved, Refusal | str):
        return approved
    approval, recipe = approved
    against = objections(order, approval, now)
    if against:
        return ", ".join(against)
    delay = Hint(hint.offered_at, hint.force_at)
    made = bound(order, approval, _imminence(trust, name, now), delay, reader.device)
    return Allowed(message_of(made), recipe)


def _signed_order(
    campaign: str, held: Held | None, trust: Trust, now: datetime
) -> OrderDocument | Refusal | str:
    if not is_campaign(campaign):
        return Objection.ODD_NAME
    content = trust.read(order_path(CampaignId(campaign)), now)
    if isinstance(content, Refusal):
        return content
    paper = read(content, OrderDocument)
    if isinstance(paper, str):
        return f"{Reason.MALFORMED}: {paper}"
    objections_by_name = {
        Objection.OTHER_CAMPAIGN: paper.campaign != campaign,
        Objection.ODD_NAME: odd_names(paper),
        Objection.OLD_REVISION: held is not None and paper.revision < held.order.revision,
    }
    return next((why for why, holds in objections_by_name.items() if holds), paper)


def _recalled(why: Refusal | str) -> bool:
    """Say whether an order is gone, not only out of reach: nobody names it, or nobody approves its update."""
    if isinstance(why, Refusal):
        return why.reason is Reason.NOT_NAMED
    return Objection.NOT_APPROVED in why


def _approved(
    trust: Trust, name: RemediationId, now: datetime
) -> tuple[Approval | None, RecipeMessage | None] | Refusal | str:
    """Read the approval of an update with its recipe as it was signed; None where nobody approves it."""
    content = trust.read(remediation_path(name), now)
    if isinstance(content, Refusal):
        return (None, None) if content.reason is Reason.NOT_NAMED else content
    paper = _paper_about(name, content, RemediationDocument)
    if paper is None:
        return None, None
    approval = approval_of(paper)
    return approval if isinstance(approval, str) else (approval, paper.recipe)


def _imminence(trust: Trust, name: RemediationId, now: datetime) -> Imminence | None:
    """Read a declaration; one that cannot be had or believed moves nothing forward."""
    content = trust.read(imminent_path(name), now)
    paper = None if isinstance(content, Refusal) else _paper_about(name, content, ImminentDocument)
    return None if paper is None else imminence_of(paper)


def _paper_about(name: RemediationId, content: bytes, shape: type[_Paper]) -> _Paper | None:
    paper = read(content, shape)
    if isinstance(paper, str) or odd_names(paper) or remediation_of(paper) != name:
        return None
    return paper


def hold(before: Held | None, allowed: Allowed, hint: OrderHint, now: datetime) -> Held:
    """Take an order into the machine's memory; a newer revision keeps what was done for the same update."""
    message, recipe = allowed
    if before is None:
        return Held(order=message, recipe=recipe, hint=hint, held_since=now)
    if _aim(before.order) != _aim(message) or before.recipe != recipe:
        return Held(
            order=message,
            recipe=recipe,
            hint=hint,
            held_since=before.held_since,
            offered_at=before.offered_at,
        )
    same_deadline = before.order.force_at == message.force_at
    returned_at = before.returned_at if same_deadline else None
    # A deadline that moved forward was not known before: if it has passed already, the countdown begins now (A5).
    held_since = now if message.force_at < before.order.force_at else before.held_since
    return msgspec.structs.replace(
        before, order=message, hint=hint, held_since=held_since, returned_at=returned_at
    )


def _aim(message: OrderMessage) -> tuple[str, ...]:
    return message.verb, message.source, message.version, message.back_to


def message_of(order: Order) -> OrderMessage:
    """Write an order as the machine keeps it."""
    return OrderMessage(
        campaign=order.campaign,
        revision=order.revision,
        verb=order.verb,
        product=order.product,
        release=order.release,
        source=order.source,
        version=order.version,
        offered_at=order.offered_at,
        force_at=order.force_at,
        expires_at=order.expires_at,
        level=order.level,
        texts=dict(order.texts),
        restart=order.restart,
        imminent=order.imminent,
        back_to=order.back_to,
    )


def order_of(held: Held) -> Order:
    """Read an order that came through the door."""
    message = held.order
    recipe = None if held.recipe is None else recipe_of(held.recipe)
    if isinstance(recipe, str):
        raise AgentError(f"the recipe of {message.campaign} in this machine's memory was changed: {recipe}")
    return Order(
        campaign=CampaignId(message.campaign),
        revision=message.revision,
        verb=Verb(message.verb),
        product=ProductName(message.product),
        release=message.release,
        source=message.source,
        version=message.version,
        offered_at=message.offered_at,
        force_at=message.force_at,
        expires_at=message.expires_at,
        level=message.level,
        texts=message.texts,
        restart=message.restart,
        imminent=message.imminent,
        recipe=recipe,
        back_to=message.back_to,
    )
