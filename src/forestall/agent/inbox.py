"""What the person said, kept until the next pass takes it: whole after a power cut, the newest answer counts."""

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from forestall.agent.conversation import Word
from forestall.domain.asking import Choice, Topic
from forestall.durable import write_whole

ANSWER = "answer.json"
WORD = "word.json"
_SPOKEN = "spoken.json"


class Kept(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An answer, as it was taken."""

    topic: Topic
    campaigns: list[str]
    choice: Choice
    at: datetime | None
    user: int


class KeptWord(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a person said unasked, and who it was."""

    word: Word
    user: int


class Spoken(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """When the person was last spoken to, and about what."""

    at: datetime | None = None
    question: str = ""


@dataclass(frozen=True, slots=True)
class Inbox:
    """Files beside the state; the service's listener writes, its pass reads."""

    directory: Path

    def keep_answer(self, answer: Kept) -> None:
        """Keep an answer for the next pass."""
        write_whole(self.directory / ANSWER, msgspec.json.encode(answer), 0o600)

    def answer(self) -> Kept | None:
        """Read the answer that waits; a damaged one is none."""
        try:
            return msgspec.json.decode((self.directory / ANSWER).read_bytes(), type=Kept)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def taken(self, answer: Kept) -> None:
        """Forget an answer that is in the state by now; one that came meanwhile stays."""
        if self.answer() == answer:
            (self.directory / ANSWER).unlink(missing_ok=True)

    def keep_word(self, word: KeptWord) -> bool:
        """Keep a word for the next pass; not while another waits for it."""
        path = self.directory / WORD
        if path.exists():
            return False
        write_whole(path, msgspec.json.encode(word), 0o600)
        return True

    def word(self) -> KeptWord | None:
        """Read the word that waits; a damaged one is none, and makes room."""
        path = self.directory / WORD
        try:
            return msgspec.json.decode(path.read_bytes(), type=KeptWord)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            path.unlink(missing_ok=True)
            return None

    def word_taken(self) -> None:
        """Forget the word, which is in the state by now."""
        (self.directory / WORD).unlink(missing_ok=True)

    def keep_spoken(self, at: datetime, question: str) -> None:
        """Remember that the person was spoken to: not twice a day, whatever restarts in between."""
        write_whole(self.directory / _SPOKEN, msgspec.json.encode(Spoken(at, question)), 0o600)

    def spoken(self) -> Spoken:
        """Tell when the person was last spoken to."""
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode((self.directory / _SPOKEN).read_bytes(), type=Spoken)
        return Spoken()
