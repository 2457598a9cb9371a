"""A made-up company: sites, owners, machines and their habits; the same seed gives the same company."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from random import Random

from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.policy import DAY, HOUR, MINUTE

MACHINES_AT_A_SITE = 50
"""20,000 machines make 400 sites, the size of the company of 2004 divided by fifteen."""

_TOWNS = (
    "Akita", "Bergen", "Chiba", "Dublin", "Essen", "Fukuoka", "Gdansk", "Hakodate", "Izmir", "Jena", "Kyoto", "Lyon",
    "Matsue", "Nara", "Oulu", "Porto", "Quito", "Reno", "Sendai", "Tampa", "Umea", "Vaduz", "Winnipeg", "Yokohama",
)  # fmt: skip
_JAPANESE = frozenset(
    {"Akita", "Chiba", "Fukuoka", "Hakodate", "Kyoto", "Matsue", "Nara", "Sendai", "Yokohama"}
)
_GIVEN = (
    "aiko", "bela", "chen", "dana", "emil", "fumi", "greta", "haru", "ines", "jun", "kai", "lena", "mika",
)  # fmt: skip
_FAMILY = (
    "abe", "berg", "cruz", "doi", "ito", "kato", "lund", "mori", "novak", "ono", "ruiz", "sato", "ueda",
)  # fmt: skip


class Temper(StrEnum):
    """How a person answers to being asked."""

    RESPONDS = "responds"
    """Installs some hours or days after the offer."""
    WAITS = "waits"
    """Installs in the last days before the deadline."""
    HEEDS_WARNINGS = "heeds_warnings"
    """Does nothing until a final warning comes."""
    IGNORES = "ignores"
    """Does nothing until the machine is off the network."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place with a network of its own."""

    id: SiteId
    name: str
    language: str
    ahead_of_utc: timedelta


@dataclass(frozen=True, slots=True)
class Habit:
    """What a machine and its person do when nobody forces them."""

    temper: Temper
    answers_after: timedelta
    """From the offer, the warning or the removal to the person's own install."""
    portable: bool
    """On only during office hours."""
    away: tuple[tuple[timedelta, timedelta], ...]
    """Absences, counted from the day the campaign begins: from, until."""
    readable: bool
    """A probe can tell whether it is patched."""
    restarts_itself: bool
    """No old process is left after the install."""
    unreliable: bool
    """Its installs fail more often than not."""


@dataclass(frozen=True, slots=True)
class Member:
    """One machine with its habits."""

    device: Device
    habit: Habit


@dataclass(frozen=True, slots=True)
class Company:
    """Everybody and everything, as it is before the first campaign."""

    seed: int
    sites: tuple[Site, ...]
    members: tuple[Member, ...]

    @property
    def devices(self) -> tuple[Device, ...]:
        """All machines."""
        return tuple(member.device for member in self.members)

    @property
    def site_sizes(self) -> dict[SiteId, int]:
        """Machines at each site."""
        sizes = dict.fromkeys((site.id for site in self.sites), 0)
        for member in self.members:
            sizes[member.device.site] += 1
        return sizes


def make_company(devices: int, seed: int, managed_share: float = 0.8) -> Company:
    """Make a company of so many machines."""
    random = Random(f"company {seed}")  # noqa: S311 - made-up habits, nothing secret
    sites = tuple(_site(number, random) for number in range(max(1, devices // MACHINES_AT_A_SITE)))
    members = tuple(_member(number, sites, random, managed_share) for number in range(devices))
    return Company(seed, sites, members)


def _site(number: int, random: Random) -> Site:
    town = _TOWNS[number % len(_TOWNS)]
    name = town if number < len(_TOWNS) else f"{town} {number // len(_TOWNS) + 1}"
    japanese = town in _JAPANESE
    ahead = 9 * HOUR if japanese else random.randint(-8, 2) * HOUR
    return Site(SiteId(f"s{number:03}"), name, "ja" if japanese else "en", ahead)


def _member(number: int, sites: tuple[Site, ...], random: Random, managed_share: float) -> Member:
    site = sites[int(len(sites) * random.random() ** 1.5)]  # a few large sites, many small ones
    managed = random.random() < managed_share
    protected = random.random() < 0.03
    person = f"{random.choice(_GIVEN)}.{random.choice(_FAMILY)}{number % 100 or ''}"
    owned = random.random() < 0.97
    device = Device(
        id=DeviceId(f"m{number:05}"),
        name=f"{site.name.split(maxsplit=1)[0].lower()}-{'srv' if protected else 'pc'}-{number:05}",
        site=site.id,
        managed=managed,
        owner=f"{person}@{site.id}.example" if owned else "",
        language=site.language,
        addresses=(f"10.{number >> 14 & 255}.{number >> 6 & 255}.{(number & 63) + 10}",),
        protected=protected,
    )
    return Member(device, _habit(random, protected=protected))


def _habit(random: Random, *, protected: bool) -> Habit:
    temper = random.choices(list(Temper), weights=(62, 14, 12, 12))[0]
    portable = not protected and random.random() < 0.35
    return Habit(
        temper=temper,
        answers_after=_pause(temper, random),
        portable=portable,
        away=_absences(random) if portable and random.random() < 0.4 else (),
        readable=random.random() < 0.93,
        restarts_itself=random.random() < 0.75,
        unreliable=random.random() < 0.01,
    )


def _pause(temper: Temper, random: Random) -> timedelta:
    if temper is Temper.RESPONDS:
        return HOUR * random.expovariate(1 / 30)
    if temper is Temper.HEEDS_WARNINGS:
        return MINUTE * random.uniform(1, 40)  # some within the quarter of an hour, some too late
    return HOUR * random.uniform(1, 30)


def _absences(random: Random) -> tuple[tuple[timedelta, timedelta], ...]:
    """A long weekend or a holiday, somewhere around the campaign."""
    begins = DAY * random.uniform(0, 18)
    return ((begins, begins + DAY * random.choice((2.5, 3.5, 7, 16))),)
