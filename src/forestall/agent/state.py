"""What the agent remembers between two runs: one JSON file, replaced as a whole or not at all.

An older agent reads what a newer one wrote, where that did not prove itself: fields that it does not know are passed
over, and what it cannot read comes from the copy that was kept before the newer one began.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from forestall.domain.errors import AgentError
from forestall.domain.evidence import Status
from forestall.domain.order import Hold
from forestall.durable import write_whole
from forestall.protocol import OrderHint, OrderMessage
from forestall.trust.recipe import RecipeMessage, UpdateAgentMessage


class Held(msgspec.Struct, kw_only=True):
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

    @property
    def awaits_machine(self) -> bool:
        """Say whether it waits for a restart of the machine; the agent restarts itself."""
        return self.status == Status.PENDING_RESTART and not isinstance(self.recipe, UpdateAgentMessage)


class Person(msgspec.Struct, kw_only=True):
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


class State(msgspec.Struct, kw_only=True):
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
_KEPT = "state.kept.json"


def load(directory: Path) -> tuple[State, str]:
    """Read the state; of a damaged file, set it aside and begin anew, with a sentence that says so."""
    path = directory / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=State), ""
    except FileNotFoundError:
        return State(), ""
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        found = _rescued(path.read_bytes(), _kept(directory))
        aside = path.with_name(f"{_FILE}.damaged")
        with contextlib.suppress(OSError):  # a person without rights may still look
            path.replace(aside)
        return found, f"{path} was damaged ({error}); it is kept as {aside.name}; what could be read is kept"


def keep(directory: Path) -> None:
    """Keep a copy of the state before another agent writes to it.

    Raises:
        OSError: it cannot be written.
    """
    with contextlib.suppress(FileNotFoundError):
        write_whole(directory / _KEPT, (directory / _FILE).read_bytes(), 0o644)


def forget_kept(directory: Path) -> None:
    """Need that copy no more."""
    (directory / _KEPT).unlink(missing_ok=True)


def _kept(directory: Path) -> State:
    """Read the copy; the words that it counted may have been said since, so its certificate counts none."""
    try:
        found = msgspec.json.decode((directory / _KEPT).read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return State()
    return msgspec.structs.replace(found, certificate="", sequence=0)


def _rescued(content: bytes, kept: State) -> State:
    """Read what can be read of a state, each part by itself; the rest is as it was kept."""
    try:
        parts = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return kept
    found: dict[str, object] = {}
    for each in msgspec.structs.fields(State):
        with contextlib.suppress(msgspec.MsgspecError, KeyError):
            found[each.name] = msgspec.json.decode(parts[each.name], type=each.type)
    with contextlib.suppress(msgspec.MsgspecError, KeyError):
        found.setdefault("held", _orders(parts["held"], kept.held))
    if not {"certificate", "sequence"} <= found.keys():
        found |= {"certificate": "", "sequence": 0}  # then the agent renews before it speaks
    return msgspec.structs.replace(kept, **found)


def _orders(content: msgspec.Raw, kept: dict[str, Held]) -> dict[str, Held]:
    """Read orders one by one; one that cannot be read is as it was kept, or comes with the next check-in."""
    found: dict[str, Held] = {}
    for campaign, part in msgspec.json.decode(content, type=dict[str, msgspec.Raw]).items():
        try:
            found[campaign] = msgspec.json.decode(part, type=Held)
        except msgspec.MsgspecError:
            if campaign in kept:
                found[campaign] = kept[campaign]
    return found


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
