"""The one place that takes orders from outside: what does not pass here is never obeyed (A10)."""

import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from forestall.agent.state import Held
from forestall.domain.order import CampaignId, Order, Verb
from forestall.domain.version import dpkg_key
from forestall.protocol import OrderMessage

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}")
_RELEASE = re.compile(r"[a-z][a-z0-9-]{0,63}")


def refusal(message: OrderMessage) -> str:
    """Say why an order is not obeyed; empty for one that is."""
    instants = (message.offered_at, message.force_at, message.expires_at)
    checks = (
        (message.verb in set(Verb), "a verb that is not known"),
        (_NAME.fullmatch(message.source), "a source that is no package name"),
        (_RELEASE.fullmatch(message.release), "a release that is no code name"),
        (dpkg_key(message.version) is not None, "a version that dpkg does not take"),
        (all(at.tzinfo is not None for at in instants), "an instant without a time zone"),
        (message.offered_at <= message.force_at, "a deadline before its offer"),
    )
    return ", ".join(why for fine, why in checks if not fine)


def accept(messages: Iterable[OrderMessage]) -> tuple[dict[str, OrderMessage], tuple[str, ...]]:
    """Sort orders into those obeyed, by campaign, and sentences about those refused."""
    kept: dict[str, OrderMessage] = {}
    refused: list[str] = []
    for message in messages:
        why = refusal(message)
        if why:
            refused.append(f"order of campaign {message.campaign!r} refused: it has {why}")
        else:
            kept[message.campaign] = message
    return kept, tuple(refused)


def hold(before: Held | None, message: OrderMessage, now: datetime) -> Held:
    """Take an order into the machine's memory; a newer revision keeps what was done for the same version."""
    if before is None:
        return Held(order=message, held_since=now)
    same_update = (before.order.source, before.order.version) == (message.source, message.version)
    if not same_update:
        return Held(order=message, held_since=before.held_since, offered_at=before.offered_at)
    same_deadline = before.order.force_at == message.force_at
    return msgspec.structs.replace(
        before, order=message, returned_at=before.returned_at if same_deadline else None
    )


def order_of(message: OrderMessage) -> Order:
    """Read an accepted order."""
    return Order(
        campaign=CampaignId(message.campaign),
        revision=message.revision,
        verb=Verb(message.verb),
        release=message.release,
        source=message.source,
        version=message.version,
        offered_at=message.offered_at,
        force_at=message.force_at,
        expires_at=message.expires_at,
        level=message.level,
        texts=message.texts,
    )
