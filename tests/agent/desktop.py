"""A tiny desktop on a real D-Bus wire: it shows notifications, and says whether something keeps the screen awake.

On a `dbus-daemon` of the test's own where one is installed; and always without one, as the only other end of the line.
"""

import contextlib
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    Parser,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import open_dbus_connection

NOTIFICATIONS = DBusAddress(
    "/org/freedesktop/Notifications", "org.freedesktop.Notifications", "org.freedesktop.Notifications"
)
DAEMON = Path("/usr/bin/dbus-daemon")
KINDS = ("alone", *(("dbus-daemon",) if DAEMON.exists() else ()))


@dataclass
class Desktop:
    """What was shown, and what the desktop can do."""

    capabilities: list[str] = field(default_factory=lambda: ["actions", "body", "body-markup"])
    awake: bool = False
    shown: dict[int, tuple[object, ...]] = field(default_factory=dict)
    pressed: list[tuple[int, str]] = field(default_factory=list)

    def press(self, number: int, action: str) -> None:
        """Press a button; its signal goes out with the next turn of the loop."""
        self.pressed.append((number, action))

    def signals(self) -> Iterator[Message]:
        """Give the signals that are due."""
        while self.pressed:
            yield new_signal(NOTIFICATIONS, "ActionInvoked", "us", self.pressed.pop(0))

    def answer(self, message: Message) -> Message | None:
        """Answer a call as the specification of notifications says."""
        if message.header.message_type is not MessageType.method_call:
            return None
        method = message.header.fields[HeaderFields.member]
        if method == "Notify":
            self.shown[len(self.shown) + 1] = message.body
        elif method == "CloseNotification":
            self.shown.pop(message.body[0], None)
        answers: dict[str, tuple[str | None, tuple[object, ...]]] = {
            "Hello": ("s", (":1.1",)),
            "AddMatch": (None, ()),
            "GetCapabilities": ("as", (self.capabilities,)),
            "Notify": ("u", (len(self.shown),)),
            "CloseNotification": (None, ()),
            "IsInhibited": ("b", (self.awake,)),
        }
        if method not in answers:
            return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
        return new_method_return(message, *answers[method])


@contextlib.contextmanager
def running(desktop: Desktop, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a desktop, and let the test's environment find its bus."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "bus"
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={path}")
        stop = threading.Event()
        if kind == "dbus-daemon":
            stack.enter_context(_daemon(path))
            thread = threading.Thread(target=_on_a_bus, args=(desktop, ready := threading.Event(), stop))
            thread.start()
            assert ready.wait(30)
        else:
            door = stack.enter_context(socket.socket(socket.AF_UNIX))
            door.bind(str(path))
            door.listen()
            door.settimeout(0.05)
            thread = threading.Thread(target=_alone, args=(desktop, door, stop))
            thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def _daemon(path: Path) -> Iterator[None]:
    configuration = path.with_name("bus.conf")
    configuration.write_text(
        f"<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>"
        '<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>'
        '<allow own="*"/></policy></busconfig>'
    )
    command = [DAEMON, f"--config-file={configuration}", "--nofork", "--print-address=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()  # it says its address once it listens
        try:
            yield
        finally:
            daemon.terminate()


def _on_a_bus(desktop: Desktop, ready: threading.Event, stop: threading.Event) -> None:
    with open_dbus_connection("SESSION") as line:
        for name in (NOTIFICATIONS.bus_name, "org.gnome.SessionManager"):
            line.send_and_get_reply(message_bus.RequestName(name))
        ready.set()
        while not stop.is_set():
            for signal in desktop.signals():
                line.send(signal)
            with contextlib.suppress(TimeoutError):
                reply = desktop.answer(line.receive(timeout=0.05))
                if reply is not None:
                    line.send(reply)


def _alone(desktop: Desktop, door: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError, ConnectionError):
            line, _ = door.accept()
            with line:
                _talk(desktop, line, stop)


def _more(line: socket.socket) -> bytes:
    heard = line.recv(1024)
    if not heard:
        raise ConnectionError("it hung up before it had introduced itself")
    return heard


def _talk(desktop: Desktop, line: socket.socket, stop: threading.Event) -> None:
    said = b""
    while b"\r\n" not in said:
        said += _more(line)
    line.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
    while b"BEGIN\r\n" not in said:
        said += _more(line)
    parser, number = Parser(), 0
    parser.add_data(said.split(b"BEGIN\r\n", 1)[1])
    line.settimeout(0.05)
    while not stop.is_set():
        due = list(desktop.signals())
        with contextlib.suppress(TimeoutError):
            heard = line.recv(4096)
            if not heard:
                return
            parser.add_data(heard)
        while (message := parser.get_next_message()) is not None:
            reply = desktop.answer(message)
            due += [reply] if reply is not None else []
        for each in due:
            number += 1
            line.sendall(each.serialise(serial=number))
