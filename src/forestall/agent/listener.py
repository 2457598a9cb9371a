"""The service's side of the talk with the person: who may answer, what is kept, what is refused and recorded.

A helper draws and decides nothing. Whatever it says, or if it says nothing at all, the deadline stands.
"""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from forestall.agent import journal, person, question, state
from forestall.agent.conversation import (
    MOST_BYTES,
    SOCKET,
    Answer,
    Broke,
    Installed,
    Look,
    Message,
    Shown,
    Verdict,
    View,
    Volunteering,
)
from forestall.agent.debian import printable
from forestall.agent.inbox import Inbox, Kept, KeptWord
from forestall.agent.journal import Entry
from forestall.agent.memory import Agent
from forestall.agent.state import Held, State
from forestall.domain.asking import Manners, Question, Unheard, answered, silence
from forestall.domain.errors import AgentError
from forestall.domain.order import Hold

_PATIENCE_SECONDS = 2.0
"""A stranger who connects and says nothing keeps the others waiting no longer."""
_LOOK_SECONDS = 0.5
_CLAIM_LASTS = timedelta(minutes=3)
"""What a helper said of its session counts this long; helpers look every minute."""
_SEAT_LASTS = timedelta(seconds=5)
_WORD_EVERY = timedelta(seconds=10)
"""What people say unasked is taken at most this often, and one at a time."""
_MOST_INSTALLED = 8
_RECORD_EVERY = timedelta(minutes=1)
"""Odd messages are recorded at most this often: nobody fills the journal, or the disk, by talking."""
_CREDENTIALS = struct.Struct("3i")


@dataclass(slots=True)
class Listener:
    """One socket, one thread; `user_here` names the user who works at the machine, if any."""

    agent: Agent
    user_here: Callable[[], int | None]
    manners: Manners = field(default_factory=Manners)
    _claims: tuple[datetime, frozenset[Hold]] | None = None
    _recorded_at: datetime | None = None
    _here: tuple[datetime, int | None] | None = None
    _word_at: datetime | None = None

    def holds(self) -> frozenset[Hold]:
        """Tell what the helper of the person here last saw."""
        claims = self._claims
        if claims is None or not timedelta() <= self.agent.clock() - claims[0] <= _CLAIM_LASTS:
            return frozenset()
        return claims[1]

    def serve(self, stop: threading.Event, complain: Callable[[str], None]) -> None:
        """Answer until `stop` is set. Without a socket nobody is asked, and everything else goes on."""
        path = self.agent.directory / SOCKET
        try:
            path.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
                door.bind(str(path))
                path.chmod(0o666)  # anybody may knock; the kernel says who it is
                door.listen(16)
                door.settimeout(_LOOK_SECONDS)
                while not stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        self._hear(door.accept()[0])
        except OSError as error:
            complain(f"nobody can be asked at {path}: {error.strerror or error}")

    def _hear(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):  # whoever hangs up gets no answer
            line.settimeout(_PATIENCE_SECONDS)
            _, user, _ = _CREDENTIALS.unpack(
                line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            line.sendall(msgspec.json.encode(self.answer(line.recv(MOST_BYTES + 1), user)))

    def answer(self, said: bytes, user: int) -> View | Verdict:
        """Answer one message of a local user."""
        message = _read(said)
        if isinstance(message, str):
            self._record("odd message refused", f"of user {user}: {message}")
            return Verdict(False, "odd")
        remembered, _ = state.load(self.agent.directory)
        now = question.server_now(remembered, self.agent.clock())
        if isinstance(message, Look):
            return self._view(message, user, remembered, now)
        if not self._may_answer(user):
            self._record("answer refused", f"of user {user}, who does not work at this machine")
            return Verdict(False, "not-yours")
        match message:
            case Shown():
                return self._shown(message, remembered, now)
            case Broke() | Volunteering():
                return self._word(KeptWord(message, user), remembered)
            case Answer():
                return self._take(message, user, remembered, now)

    def _view(self, message: Look, user: int, remembered: State, now: datetime) -> View:
        asked = question.question_of(remembered, now)
        mine = self._may_answer(user)
        if mine:
            self._claims = (self.agent.clock(), frozenset(message.holds))
        view = None if asked is None else question.view_of(asked, remembered, now, message.tongue)
        return View(
            view,
            asked is not None and mine and self._speaks(asked, message, now),
            [_installed(held) for held in person.installed(remembered)[:_MOST_INSTALLED]],
            bool(remembered.person.volunteers),
            mine,
        )

    def _speaks(self, asked: Question, message: Look, now: datetime) -> bool:
        spoken = Inbox(self.agent.directory).spoken()
        same = spoken.question == question.id_of(asked)
        spoken_at = spoken.at if asked.counting_to is None or same else None
        holds = self.agent.holds() | frozenset(message.holds)
        return silence(asked, spoken_at, message.here_since, holds, now.astimezone(), self.manners) is None

    def _shown(self, message: Shown, remembered: State, now: datetime) -> Verdict:
        asked = question.question_of(remembered, now)
        if asked is None or question.id_of(asked) != message.question:
            return Verdict(False, Unheard.NOTHING_ASKED)
        return self._keep(lambda inbox: inbox.keep_spoken(now, message.question))

    def _take(self, message: Answer, user: int, remembered: State, now: datetime) -> Verdict:
        asked = question.question_of(remembered, now)
        if asked is not None and question.id_of(asked) != message.question:
            asked = None
        meaning = answered(asked, message.choice, message.at, now)
        if asked is None or isinstance(meaning, Unheard):
            self._record("answer refused", f"of user {user}: {meaning}")
            return Verdict(False, str(meaning))
        kept = Kept(asked.topic, list(asked.campaigns), message.choice, meaning, user)
        return self._keep(lambda inbox: inbox.keep_answer(kept))

    def _word(self, kept: KeptWord, remembered: State) -> Verdict:
        """Keep what a person says unasked for the next pass, if it is about something that is here."""
        if isinstance(kept.word, Broke):
            held = remembered.held.get(kept.word.campaign)
            if held is None or held.installed_at is None:
                return Verdict(False, "not-here")
        now = self.agent.clock()
        if self._word_at is not None and timedelta() <= now - self._word_at < _WORD_EVERY:
            return Verdict(False, "too-often")
        verdict = self._keep(lambda inbox: inbox.keep_word(kept))
        self._word_at = now if verdict.taken else self._word_at
        return verdict

    def _keep(self, write: Callable[[Inbox], bool | None]) -> Verdict:
        try:
            room = write(Inbox(self.agent.directory)) is not False
        except OSError as error:
            return Verdict(False, "no-room" if error.errno else "odd")
        return Verdict(room, "" if room else "too-often")

    def _may_answer(self, user: int) -> bool:
        """Say whether a user decides here: root, the service's own, and whoever works at the machine now.

        Not any local user: at a shared machine somebody logged in from afar must not restart it under the person's
        hands, nor put off what that person waits for.
        """
        if user in {0, os.geteuid()}:
            return True
        now = self.agent.clock()
        if self._here is None or not timedelta() <= now - self._here[0] <= _SEAT_LASTS:
            self._here = (now, self.user_here())  # asking anew for every message would be work for a talker
        return user == self._here[1]

    def _record(self, event: str, detail: str) -> None:
        now = self.agent.clock()
        if self._recorded_at is not None and timedelta() <= now - self._recorded_at < _RECORD_EVERY:
            return
        self._recorded_at = now
        with contextlib.suppress(OSError, AgentError):  # a full disk does not end the talk
            journal.append(self.agent.directory, Entry(now, event, detail=detail))


def _installed(held: Held) -> Installed:
    return Installed(
        held.order.campaign, printable(held.order.source, 60), held.installed_at or held.held_since
    )


def _read(said: bytes) -> Message | str:
    """Parse a message; of one that is none, say why."""
    if len(said) > MOST_BYTES:
        return f"longer than {MOST_BYTES} bytes"
    try:
        message: Message = msgspec.json.decode(said, type=Message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    return message
