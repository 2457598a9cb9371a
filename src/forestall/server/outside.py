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
    """Connect what the settings name: probes where there is a scope, enforcement points where there are some.

    Mails are left to the post (`server.post`), which hands them over beside the clockwork.
    """
    settings, database = installation.settings, installation.database
    connected = {**SIMULATED, **installation.enforcement.effects(database)}
    if settings.scope.areas:
        connected[Action.LOOK] = make_look(database, settings.scope, installation.policy)
    return {
        action: effect for action, effect in connected.items() if not (settings.mail and action in MAILED)
    }
