"""A made-up machine: what is true of it, and what its agent remembers."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from forestall.domain.device import Device, DeviceId
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.order import CampaignId, Order
from forestall.simulate.company import Habit, Member


@dataclass(slots=True)
class Truth:
    """How one machine truly stands against one remediation."""

    status: Status
    clean_since: datetime | None = None
    shown_at: datetime | None = None
    """A witness last saw it vulnerable."""
    heard_clean_at: datetime | None = None
    """The server first heard that it is clean while its port was closed."""
    warned_at: datetime | None = None
    """A mail server accepted the final warning; gone after a bounce, a clean word, a release."""
    planned: bool = False
    """Its person has decided when to install."""
    forced_at: datetime | None = None
    down: bool = False
    """Services have failed since the install."""

    @property
    def clean(self) -> bool:
        """Nothing is left to do."""
        return self.status in CLEAN


@dataclass(slots=True)
class Held:
    """An order as the agent holds it."""

    order: Order
    held_since: datetime
    restart: bool = False
    countdown: timedelta = timedelta(minutes=30)
    offered: bool = False
    returned_at: datetime | None = None
    failed_at: datetime | None = None
    failures: int = 0


@dataclass(slots=True)
class Machine:
    """One machine of the company in its present state."""

    member: Member
    truths: dict[CampaignId, Truth] = field(default_factory=dict[CampaignId, Truth])
    on: bool = True
    connected: bool = True
    agent_alive: bool = True
    repaired: bool = False
    """The help desk was here: installs succeed from now on."""
    dead: bool = False
    """A patch was its end, until the help desk comes."""
    skew: timedelta = timedelta()
    """How far its own clock is off."""
    orders: dict[CampaignId, Held] = field(default_factory=dict[CampaignId, Held])
    sequence: int = 0
    checked_at: datetime | None = None
    passed_at: datetime | None = None
    next_check_at: datetime | None = None
    timer: int = 0
    """Only the newest wake-up of the agent counts."""
    installing: bool = False
    boots: int = 0
    fragile: bool = False
    """It runs a service that a bad patch breaks."""

    @property
    def device(self) -> Device:
        """What the company knows of it."""
        return self.member.device

    @property
    def id(self) -> DeviceId:
        """Name it."""
        return self.member.device.id

    @property
    def habit(self) -> Habit:
        """What it and its person do."""
        return self.member.habit

    @property
    def speaks(self) -> bool:
        """Its agent runs and can reach the server."""
        return self.on and self.connected and self.agent_alive and self.device.managed


@dataclass(frozen=True, slots=True)
class Report:
    """What an agent says at a check-in."""

    device: DeviceId
    sequence: int
    states: tuple[tuple[CampaignId, Status, int], ...]
    """Campaign, status, failed forced installs in a row."""
    forcing: CampaignId | None = None
    """It installs this by force right after the answer."""
    boot: int = 0
    down: tuple[CampaignId, ...] = ()
    """After these installs services have failed."""


@dataclass(frozen=True, slots=True)
class Handed:
    """One order in the answer to a check-in."""

    order: Order
    restart: bool
    countdown: timedelta


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says to an agent."""

    at: datetime
    orders: tuple[Handed, ...]
