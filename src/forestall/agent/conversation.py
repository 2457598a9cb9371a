"""What a helper in the person's session and the service say to each other (docs/people.md).

One message and one answer a connection, over a local socket that keeps messages apart. The kernel says who speaks.
"""

import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from forestall.domain.asking import Choice, Topic
from forestall.domain.errors import AgentError
from forestall.domain.order import Hold
from forestall.protocol import Instant, in_this_age

SOCKET = "person.sock"
LONGEST_COMPLAINT = 500
"""Characters."""
MOST_BYTES = 4_096
"""No message to the service is longer."""
_MOST_ANSWER = 64 * 1024
_PATIENCE_SECONDS = 10.0

_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
_Tongue = Annotated[str, msgspec.Meta(pattern=r"^(en|ja)\Z")]
Answered = TypeVar("Answered", "View", "Verdict")


class Look(msgspec.Struct, forbid_unknown_fields=True, tag="look", frozen=True):
    """A helper asks what its person is to be asked, and tells what it sees in its session."""

    tongue: _Tongue
    here_since: Instant
    """Since when the helper runs; it starts with the session."""
    holds: Annotated[list[Hold], msgspec.Meta(max_length=8)] = []

    def __post_init__(self) -> None:
        in_this_age(self.here_since)


class Shown(msgspec.Struct, forbid_unknown_fields=True, tag="shown", frozen=True):
    """A question was drawn."""

    question: _Id


class Answer(msgspec.Struct, forbid_unknown_fields=True, tag="answer", frozen=True):
    """A person chose."""

    question: _Id
    choice: Choice
    at: Instant | None = None

    def __post_init__(self) -> None:
        if self.at is not None:
            in_this_age(self.at)


class Broke(msgspec.Struct, forbid_unknown_fields=True, tag="broke", frozen=True):
    """A person says that an installed update broke something, in words of their own or in none (P4.2)."""

    campaign: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    what: Annotated[str, msgspec.Meta(max_length=LONGEST_COMPLAINT)] = ""


class Volunteering(msgspec.Struct, forbid_unknown_fields=True, tag="testing", frozen=True):
    """A person joins those who get updates before others do, or leaves them (P4.1)."""

    joins: bool


Word = Broke | Volunteering
"""What a person says unasked."""
Message = Look | Shown | Answer | Broke | Volunteering


class QuestionView(msgspec.Struct, forbid_unknown_fields=True):
    """A question in the person's language."""

    id: str
    topic: Topic
    title: str
    sentences: list[str]
    """What, why, how long, until when."""
    choices: dict[Choice, str]
    """What may be answered, and the words for it."""
    proposals: list[datetime]
    """Moments that may be picked."""
    latest_at: datetime
    counting_to: datetime | None
    picked_at: datetime | None


class Installed(msgspec.Struct, forbid_unknown_fields=True):
    """An update that came onto this machine not long ago."""

    campaign: str
    name: str
    at: datetime


class View(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked now, and whether to say so unasked; what a person may say unasked."""

    question: QuestionView | None
    speak: bool
    installed: list[Installed] = []
    """The newest first: any of them may have broken something."""
    volunteers: bool = False
    """The machine gets updates before others do."""
    mine: bool = False
    """Who looks is who may say something."""


class Verdict(msgspec.Struct, forbid_unknown_fields=True):
    """Whether an answer was taken; it is kept from then on, whatever happens."""

    taken: bool
    why: str = ""
    """A name of `domain.asking.Unheard`, or one of the service's own, as `person_texts.UNHEARD` says them."""


def look(directory: Path, message: Look) -> View:
    """Ask the service what is asked of the person.

    Raises:
        AgentError: the service does not run, or says something odd.
    """
    return _talk(directory, message, View)


def tell(directory: Path, message: Shown | Answer | Word) -> Verdict:
    """Tell the service what was shown, chosen or said.

    Raises:
        AgentError: as above.
    """
    return _talk(directory, message, Verdict)


def _talk(directory: Path, message: Message, shape: type[Answered]) -> Answered:
    path = directory / SOCKET
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.settimeout(_PATIENCE_SECONDS)
            line.connect(str(path))
            line.sendall(msgspec.json.encode(message))
            said = line.recv(_MOST_ANSWER)
        return msgspec.json.decode(said, type=shape)
    except OSError as error:
        why = error.strerror or "no answer came"
        raise AgentError(f"the agent's service does not answer at {path}: {why} (does it run?)") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AgentError(f"the agent's service said something odd at {path}: {error}") from None
