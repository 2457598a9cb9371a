"""What the agent remembers between two runs: one JSON file, replaced as a whole or not at all."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from forestall.domain.errors import AgentError
from forestall.domain.order import Hold
from forestall.durable import write_whole
from forestall.protocol import OrderHint, OrderMessage
from forestall.trust.recipe import RecipeMessage


class Held(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An order that the machine holds, and how far it got with it."""

    order: OrderMessage
    recipe: RecipeMessage | None = None
    """What its approval says is to be done, where there is no package."""
    hint: OrderHint
    """What the server last said beside the signed order; it counts while the server is silent."""
    held_since: datetime
    status: str = ""
    """As last seen; empty before the first look."""
    detail: str = ""
    """Why it has that status."""
    problem: str = ""
    """The last download or installation that failed, until one succeeds."""
    offered_at: datetime | None = None
    downloaded: bool = False
    returned_at: datetime | None = None
    attempts: int = 0
    failures: int = 0
    failed_at: datetime | None = None
    installed_at: datetime | None = None
    chosen: bool = False
    forced: bool = False
    forcing: bool = False
    step: str = ""
    rule: str = ""
    paragraph: str = ""
    until: datetime | None = None
    picked_at: datetime | None = None
    """The moment that the person picked for it."""
    held_by: list[Hold] = []
    """What keeps the picked moment from being used."""
    ran: list[str] = []
    """Services that ran before it was installed."""
    services: list[str] = []
    """Those of them that have failed since (P4.2)."""
    broke: str = ""
    """What the person says that it broke; until the server has heard it."""


class Person(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What concerns the person, not one order: the machine's one restart, and when it was last away."""

    back_at: datetime | None = None
    restart_picked_at: datetime | None = None
    restart_step: str = ""
    restart_rule: str = ""
    restart_until: datetime | None = None
    restart_latest_at: datetime | None = None
    """The moment after which it is not put off any more; none where only people restart this machine."""
    restarted_for: list[str] = []
    """What it was restarted for already (A6)."""
    restarted_boot: str = ""
    """The boot in which it was told to restart."""
    restart_units: list[str] = []
    """The services that are started anew instead; none where it is the machine that restarts."""
    renewed_for: list[str] = []
    """What services were started anew for already (A6)."""
    renewed_at: datetime | None = None
    volunteers: bool | None = None
    """The person tests updates before others do (P4.1); None where nobody ever said."""


class State(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything remembered, without the secret: any local user may see what is open on this machine."""

    certificate: str = ""
    """Serial number of the one whose words `sequence` counts."""
    sequence: int = 0
    skew_seconds: float = 0.0
    """The server's clock minus ours, seen at the last check-in."""
    passed_at: datetime | None = None
    """The agent's last sign of life."""
    checked_at: datetime | None = None
    next_check_at: datetime | None = None
    silent_checks: int = 0
    """Check-ins in a row that got no answer."""
    last_problem: str = ""
    reported: str = ""
    """Digest of what the last answered check-in said."""
    installing: bool = False
    """An installation was begun: if it is still set at a start, it was cut off."""
    held: dict[str, Held] = {}
    channel: str = ""
    """What became of silencing the native updater at the last pass (P5.5)."""
    person: Person = msgspec.field(default_factory=Person)


_FILE = "state.json"


def load(directory: Path) -> tuple[State, str]:
    """Read the state; of a damaged file, set it aside and begin anew, with a sentence that says so."""
    path = directory / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=State), ""
    except FileNotFoundError:
        return State(), ""
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        aside = path.with_name(f"{_FILE}.damaged")
        with contextlib.suppress(OSError):  # a person without rights may still look
            path.replace(aside)
        return State(), f"{path} was damaged ({error}); it is kept as {aside.name} and begun anew"


def save(directory: Path, state: State) -> None:
    """Replace the state file; after a power cut there is the old one or the new one, never half of either."""
    write_whole(directory / _FILE, msgspec.json.format(msgspec.json.encode(state)), 0o644)


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold the agent's lock: the service and a person's command never work at the same time.

    The lock goes with the process, however it ends.
    """
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AgentError(
            f"cannot work in {directory}: {error.strerror} (run it as root, or name --state)"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
