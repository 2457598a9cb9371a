"""The conversation as a desktop notification (org.freedesktop.Notifications 1.2), over D-Bus.

A notification takes no focus and has no button that a key presses by default: there is no `default` action.
"""

import html
from collections import deque
from collections.abc import Iterator
from typing import Any

from jeepney import DBusAddress, MatchRule, Message, MessageType, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from forestall.agent import person_texts as words
from forestall.agent.conversation import QuestionView
from forestall.domain.asking import Choice
from forestall.domain.order import Hold

_NOTIFICATIONS = DBusAddress(
    "/org/freedesktop/Notifications", "org.freedesktop.Notifications", "org.freedesktop.Notifications"
)
_SESSION = DBusAddress("/org/gnome/SessionManager", "org.gnome.SessionManager", "org.gnome.SessionManager")
_POWER = DBusAddress(
    "/org/freedesktop/PowerManagement/Inhibit",
    "org.freedesktop.PowerManagement",
    "org.freedesktop.PowerManagement.Inhibit",
)
_IDLE = 8
"""GNOME's flag of whoever keeps the session from becoming idle."""
_AWAKE = ((_SESSION, "IsInhibited", "u", (_IDLE,)), (_POWER, "HasInhibit", "", ()))
"""Where desktops tell whether something keeps the screen awake: GNOME and its kin, then KDE, Xfce and others."""
_PATIENCE_SECONDS = 5.0
BROKE = "broke"
"""The button of who wants to say that an update broke something; all others are a `Choice`."""
_Body = tuple[Any, ...]
BUS_TROUBLE = (OSError, KeyError, ValueError, RuntimeError)
"""What a missing or dying session bus looks like."""


class Bus:
    """One connection to the session's bus."""

    def __init__(self) -> None:
        self._connection: DBusConnection = open_dbus_connection("SESSION")
        self._signals: deque[Message] = deque(maxlen=64)
        chosen = MatchRule(
            type="signal",
            interface=_NOTIFICATIONS.interface,
            member="ActionInvoked",
            path=_NOTIFICATIONS.object_path,
        )
        self._connection.filter(chosen, queue=self._signals)
        self._call(message_bus.AddMatch(chosen))

    def close(self) -> None:
        """Hang up; what was drawn stays."""
        self._connection.close()

    def draw(self, view: QuestionView, tongue: str) -> int:
        """Draw a question; returns the number by which the desktop knows it."""
        can = self._ask("GetCapabilities")
        capabilities = can[0] if can else []
        body = "\n".join(view.sentences)
        if "actions" not in capabilities:
            body += "\n" + words.said(words.PAGE["type"], tongue)
        if "body-markup" in capabilities:
            body = html.escape(body, quote=False)
        urgent = view.counting_to is not None
        hints = {"urgency": ("y", 2 if urgent else 1), "category": ("s", "device")}
        labels = view.choices.items() if "actions" in capabilities else ()
        actions = [part for choice, label in labels for part in (str(choice), label)]
        # 0: it stays until somebody touched it. -1: the desktop decides.
        given = ("Forestall", 0, "", view.title, body, actions, hints, 0 if urgent else -1)
        found = self._ask("Notify", "susssasa{sv}i", given)
        return int(found[0])

    def installed(self, name: str, tongue: str) -> int:
        """Say in passing that an update came, and where to say that it broke something."""
        capabilities = self._ask("GetCapabilities")[0]
        body = words.said(words.PAGE["should"], tongue)
        actions = [BROKE, words.said(words.PAGE["broke"], tongue)] if "actions" in capabilities else []
        hints = {"urgency": ("y", 0), "category": ("s", "device")}
        title = words.said(words.INSTALLED, tongue, name=name)
        found = self._ask("Notify", "susssasa{sv}i", ("Forestall", 0, "", title, body, actions, hints, -1))
        return int(found[0])

    def say(self, text: str) -> None:
        """Say what came of an answer."""
        self._ask("Notify", "susssasa{sv}i", ("Forestall", 0, "", text, "", [], {}, -1))

    def erase(self, number: int) -> None:
        """Take a notification away whose question is gone."""
        self._ask("CloseNotification", "u", (number,))

    def chosen(self, seconds: float) -> Iterator[tuple[int, str]]:
        """Wait a while for buttons that were pressed; anything that is none of ours is passed over."""
        try:
            self._connection.recv_messages(timeout=seconds)
        except TimeoutError:
            return
        while self._signals:
            body = self._signals.popleft().body
            if len(body) == 2 and body[1] in {*Choice, BROKE}:
                yield int(body[0]), body[1]

    def holds(self) -> frozenset[Hold]:
        """Ask the desktop whether something keeps the screen awake: a talk, a film, a meeting."""
        for address, method, signature, given in _AWAKE:
            answer = self._reply(new_method_call(address, method, signature, given))
            if answer and answer[0] is True:
                return frozenset({Hold.PRESENTATION})
        return frozenset()

    def _ask(self, method: str, signature: str = "", given: _Body = ()) -> _Body:
        return self._call(new_method_call(_NOTIFICATIONS, method, signature, given))

    def _call(self, message: Message) -> _Body:
        answer = self._reply(message)
        if answer is None:
            raise OSError("the desktop shows no notifications")
        return answer

    def _reply(self, message: Message) -> _Body | None:
        found = self._connection.send_and_get_reply(message, timeout=_PATIENCE_SECONDS)
        return None if found.header.message_type is MessageType.error else found.body
