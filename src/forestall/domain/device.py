"""A machine, as the process sees it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

DeviceId = NewType("DeviceId", str)
"""Given by the server at enrolment or at first sight; never taken from what a machine says of itself."""

SiteId = NewType("SiteId", str)


class OwnerSource(StrEnum):
    """Who says whose a machine is; the first counts more."""

    DIRECTORY = "directory"
    """The company's directory: by the account that logs on there, or in so many words."""
    SELF = "self"
    """Somebody at the machine, confirmed by the person."""


@dataclass(frozen=True, slots=True)
class Device:
    """One machine with all its addresses (A13)."""

    id: DeviceId
    name: str
    site: SiteId
    managed: bool
    """Joined to the management: it has our agent (P5.1)."""
    owner: str = ""
    """Mail address of the person to tell; empty where nobody is known."""
    owner_source: OwnerSource | None = None
    disowned: str = ""
    """The address of the person who last said that it is not theirs: no directory makes them its owner again."""
    language: str = "en"
    addresses: tuple[str, ...] = ()
    protected: bool = False
    """Infrastructure that is never removed (A8)."""
    seen_at: datetime | None = None
    """Last contact: an agent's check-in or a probe's answer."""
