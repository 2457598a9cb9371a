"""What every enforcement point has in common: targets, plans, refusals, marks, and the two questions asked of it."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Target:
    """A machine that is to go off the network, or back: all its addresses (A13)."""

    device: str
    campaign: str
    site: str = ""
    addresses: tuple[str, ...] = ()
    protected: bool = False


class Reason(StrEnum):
    """Why nothing is sent."""

    SIMULATE = "simulate"
    STOPPED = "stopped"
    """Somebody broke the glass: nothing is closed until a person lets enforcement go on."""
    PROTECTED = "protected"
    INFRASTRUCTURE = "infrastructure"
    NEVER = "never"
    """The settings say that this port is never touched."""
    MANY_ADDRESSES = "many-addresses"
    NEIGHBOUR = "neighbour"
    """A telephone, an access point or the like says by LLDP that it hangs there."""
    CLOSED_BY_OTHERS = "closed-by-others"
    MARK_TOO_LONG = "mark-too-long"
    NO_QUARANTINE_VLAN = "no-quarantine-vlan"
    TRUNK = "trunk"
    UPLINK = "uplink"
    OWN_PATH = "own-path"
    OWN_PATH_UNKNOWN = "own-path-unknown"
    NO_ADDRESS = "no-address"
    NO_POINT = "no-point"
    NOT_SEEN = "not-seen"
    CAP = "cap"
    UNREACHABLE = "unreachable"
    NOT_AS_PROMISED = "not-as-promised"
    """The point said yes, and reads otherwise."""


ELSEWHERE = frozenset({Reason.TRUNK, Reason.UPLINK, Reason.OWN_PATH, Reason.NOT_SEEN, Reason.NO_ADDRESS})
"""The machine is not at a port of this point, at most behind one: another point may have it."""

LATER = frozenset({Reason.NOT_SEEN, Reason.CAP, Reason.UNREACHABLE, Reason.NOT_AS_PROMISED, Reason.STOPPED})
"""Worth another try; all other refusals are for a person."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was sent, and why."""

    reason: Reason
    point: str
    detail: str = ""

    def __str__(self) -> str:
        """Write it as one line."""
        return f"{self.reason} at {self.point}{': ' if self.detail else ''}{self.detail}"


class Step(Protocol):
    """One command for a device."""

    @property
    def text(self) -> str:
        """The command as people read it."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be sent to one place of one point, in order; without steps it is already so."""

    point: str
    place: str
    closes: bool
    steps: tuple[Step, ...] = ()
    note: str = ""
    """What a person should know of it later, for the receipt."""

    def __str__(self) -> str:
        """Write it as one line."""
        done = "; ".join(step.text for step in self.steps) or "nothing to do"
        return f"{self.place} at {self.point}: {done}{' (' if self.note else ''}{self.note}{')' if self.note else ''}"


Answer = Plan | Refusal


@dataclass(frozen=True, slots=True)
class Marked:
    """A place that carries our mark."""

    point: str
    place: str
    device: str
    campaigns: tuple[str, ...]
    closed: bool
    """As the point itself reads; a marked place that is open was opened by somebody else."""


class Sight(Protocol):
    """What one point looked like at one instant. From here on all is pure."""

    @property
    def readable(self) -> bool:
        """Whether its marks tell what is closed; RADIUS servers cannot say."""
        ...

    @property
    def detail(self) -> str:
        """What `forestall network status` says of it."""
        ...

    def marks(self) -> tuple[Marked, ...]:
        """List what carries our mark."""
        ...

    def close(self, target: Target, protected: AbstractSet[str]) -> tuple[Answer, ...]:
        """Plan to take a machine off, or say why not; `protected` are addresses of machines never removed (A8)."""
        ...

    def release(self, target: Target) -> tuple[Plan, ...]:
        """Plan to let a machine back for one campaign; it stays off where another campaign's mark remains."""
        ...

    def free(self, places: AbstractSet[str] | None = None) -> tuple[Plan, ...]:
        """Plan to free everything that carries our mark (break-glass), or what does at some places."""
        ...

    def shows(self, addresses: Iterable[str]) -> bool:
        """Say whether one of these addresses is seen there at all: a removed machine may have moved (A13)."""
        ...


class Point(Protocol):
    """One place where machines can be taken off the network."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def sites(self) -> AbstractSet[str]:
        """The sites it serves; none named: all."""
        ...

    async def look(self, *, marks_only: bool = False) -> Sight | Refusal:
        """Ask the point itself, now; a refusal where it does not answer."""
        ...

    async def send(self, plan: Plan) -> Refusal | None:
        """Send a plan and read the point back; None where it is as the plan promised."""
        ...


def serves(point: Point, site: str) -> bool:
    """Say whether a point has the machines of a site."""
    return not point.sites or site in point.sites


def listed(answers: Iterable[Answer]) -> str:
    """Write answers as one line, for receipts and for people."""
    return "; ".join(map(str, answers))
