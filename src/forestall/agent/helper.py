"""The helper in a person's session: looks every minute, draws what there is, hands on what was chosen.

It decides nothing and holds nothing up. Where it dies, or there is no desktop, the deadline stands all the same, and
`forestall-agent ask` asks in a terminal.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from forestall.agent import anew
from forestall.agent import person_texts as words
from forestall.agent.conversation import Answer, Installed, Look, QuestionView, Shown, View, look, tell
from forestall.agent.faces.fullscreen import full_screen
from forestall.agent.faces.notification import BROKE, BUS_TROUBLE, Bus
from forestall.agent.faces.page import Desk, address, serve_page
from forestall.agent.program import run
from forestall.clock import stopwatch, utc_now
from forestall.domain.asking import Choice
from forestall.domain.errors import AgentError
from forestall.domain.order import Hold
from forestall.durable import write_whole

_ROUND = timedelta(minutes=1)
_SLICE_SECONDS = 1.0
_OPENER = "/usr/bin/xdg-open"
_ADDRESS = "forestall-agent.html"


@dataclass(slots=True)
class Helper:
    """One person's session; `directory` is the agent's, `runtime` the person's own for this session."""

    directory: Path
    runtime: Path
    tongue: str
    complain: Callable[[str], None]
    here_since: datetime = field(default_factory=utc_now)
    _bus: Bus | None = None
    _drawn: dict[int, QuestionView] = field(default_factory=dict)
    _mentioned: set[str] = field(default_factory=set)
    """Campaigns of which was said that they came."""
    _said: str = ""

    def serve(self, stop: threading.Event) -> bool:
        """Look and draw until `stop` is set; returns whether to start anew, since its own code was replaced."""
        begun = stopwatch()
        desk = Desk(lambda: self._look(frozenset()), lambda said: tell(self.directory, said), self.tongue)
        with serve_page(desk) as server:
            page = threading.Thread(target=server.serve_forever, name="page")
            page.start()
            try:
                self._keep_address(address(server, desk))
                while not stop.is_set() and not anew.due(begun):
                    self.round()
                    self._wait(stop)
                return not stop.is_set()
            finally:
                self.close()
                server.shutdown()
                page.join()
                (self.runtime / _ADDRESS).unlink(missing_ok=True)

    def round(self) -> None:
        """Look once; draw what is to be said, erase what is over."""
        try:
            bus = self._connected()
            view = self._look(self._holds(bus))
            current = view.question.id if view.question is not None else ""
            for number in [number for number, drawn in self._drawn.items() if drawn.id != current]:
                del self._drawn[number]
                if bus is not None:
                    bus.erase(number)
            if view.speak and view.question is not None:
                self._speak(bus, view.question)
            if bus is not None and view.mine:
                self._mention(bus, view.installed)
        except AgentError as error:
            self._trouble(str(error))
        except BUS_TROUBLE as error:
            self._bus_lost(error)

    def close(self) -> None:
        """Hang up; what was drawn stays."""
        if self._bus is not None:
            self._bus.close()
        self._bus = None

    def _speak(self, bus: Bus | None, question: QuestionView) -> None:
        if bus is None:  # then a terminal is the only face
            self._trouble(f"{question.title} ({words.said(words.PAGE['type'], self.tongue)})")
            return
        self._drawn[bus.draw(question, self.tongue)] = question
        tell(self.directory, Shown(question.id))

    def _mention(self, bus: Bus, installed: Sequence[Installed]) -> None:
        """Say what came in this session, once, all in one: who it broke something for has it at hand."""
        new = [
            each for each in installed if each.at > self.here_since and each.campaign not in self._mentioned
        ]
        if new:
            self._mentioned |= {each.campaign for each in new}
            bus.installed(", ".join(each.name for each in new), self.tongue)

    def _wait(self, stop: threading.Event) -> None:
        until = stopwatch() + _ROUND.total_seconds()
        while not stop.is_set() and stopwatch() < until:
            if self._bus is None:
                stop.wait(_SLICE_SECONDS)
                continue
            try:
                for number, choice in self._bus.chosen(_SLICE_SECONDS):
                    self.chosen(number, choice)
            except AgentError as error:
                self._trouble(str(error))
            except BUS_TROUBLE as error:
                self._bus_lost(error)

    def chosen(self, number: int, pressed: str) -> None:
        """Hand on what was pressed; a time is picked on the page, and what broke is said there."""
        if pressed == BROKE:
            self._open_page()
            return
        question, choice = self._drawn.get(number), Choice(pressed)
        if question is None:
            return
        if choice is Choice.AT:
            self._open_page()
            return
        answer = Answer(question.id, choice)
        said = words.heard(tell(self.directory, answer), answer, self.tongue)
        if self._bus is not None:
            self._bus.say(said)

    def _open_page(self) -> None:
        run(os.environ, (_OPENER, str(self.runtime / _ADDRESS)), _ROUND)

    def _look(self, holds: frozenset[Hold]) -> View:
        return look(self.directory, Look(self.tongue, self.here_since, sorted(holds)))

    def _holds(self, bus: Bus | None) -> frozenset[Hold]:
        awake = bus.holds() if bus is not None else frozenset()
        return awake | ({Hold.FULL_SCREEN} if full_screen() else set())

    def _connected(self) -> Bus | None:
        if self._bus is None:
            try:
                self._bus = Bus()
            except BUS_TROUBLE as error:
                self._trouble(f"no session bus: {error}")
        return self._bus

    def _bus_lost(self, error: Exception) -> None:
        self._trouble(f"the session bus is gone: {error}")
        self.close()
        self._drawn.clear()

    def _trouble(self, text: str) -> None:
        """Say what is wrong, once until something else is."""
        if text != self._said:
            self._said = text
            self.complain(text)

    def _keep_address(self, url: str) -> None:
        """Keep the page's address in a file of this person's: in a browser's arguments everybody could read it."""
        page = f'<!doctype html><meta http-equiv="refresh" content="0;url={url}"><title>Forestall</title>'
        write_whole(self.runtime / _ADDRESS, page.encode(), 0o600)
