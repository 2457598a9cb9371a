"""What this installation can do to people and to the network. What is not connected says so and does nothing."""

from collections.abc import Sequence
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.intent import Intent
from forestall.domain.notice import MAILED
from forestall.domain.record import Outcome, Receipt
from forestall.server.effects import Effect, Effects
from forestall.server.looking import make_look
from forestall.server.wiring import Installation


def _unconnected(why: str) -> Effect:
    def refuse(intents: Sequence[Intent], now: datetime) -> Sequence[Receipt]:
        return [Receipt(Outcome.REFUSED, now, why) for _ in intents]

    return refuse


def _nothing_closed(intents: Sequence[Intent], now: datetime) -> Sequence[Receipt]:
    return [Receipt(Outcome.DONE, now, "nothing was closed") for _ in intents]


SIMULATED: Effects = {
    Action.ANNOUNCE: _unconnected("no mail server is connected"),
    Action.ASK: _unconnected("no mail server is connected"),
    Action.WARN: _unconnected("no mail server is connected"),
    Action.LOOK: _unconnected("no probe is connected"),
    Action.QUARANTINE: _unconnected("simulate: would have closed its port"),
    Action.RELEASE: _nothing_closed,
}
"""The default: nothing outside is touched, and the record says what would have been."""


def effects_of(installation: Installation) -> Effects:
    """Connect what a turn of the clockwork does: enforcement points where the settings name some.

    What is slow goes on beside the clockwork: mails are left to the post (`server.post`), probes to `looks_of`.
    """
    settings = installation.settings
    connected = {**SIMULATED, **installation.enforcement.effects(installation.database)}
    beside = (MAILED if settings.mail else set()) | ({Action.LOOK} if settings.scope.areas else set())
    return {action: effect for action, effect in connected.items() if action not in beside}


def looks_of(installation: Installation) -> Effects:
    """Connect probes, where there is a scope for them."""
    scope = installation.settings.scope
    if not scope.areas:
        return {}
    return {Action.LOOK: make_look(installation.database, scope, installation.policy)}
