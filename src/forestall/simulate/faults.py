"""What goes wrong in one run: each fault is switched on or off and set by its own draw, so that runs differ in kind."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from forestall.domain.policy import DAY, HOUR, MINUTE

Window = tuple[datetime, datetime]
"""From, until."""


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one run; none of them after `calm_at`."""

    calm_at: datetime
    lost: float = 0.0
    """Share of messages that never arrive."""
    late: float = 0.0
    doubled: float = 0.0
    bounced: float = 0.0
    """Share of accepted mails that come back later."""
    mail_down: tuple[Window, ...] = ()
    switches_down: tuple[Window, ...] = ()
    switches_lie: float = 0.0
    """Share of commands that a switch says it carried out and did not, or the other way round."""
    switches_slow: float = 0.0
    agents_die: float = 0.0
    """Share of agents that stop some day."""
    patch_breaks: float = 0.0
    """Share of installs that fail because the patch is bad."""
    patch_kills: float = 0.0
    """Share of forced installs after which a machine is not heard again."""
    patch_breaks_services: bool = False
    """After its install a service of fragile machines does not start any more; also in the calm."""
    clock_jumps: tuple[datetime, ...] = ()
    kills: tuple[datetime, ...] = ()
    """The server process dies and starts again."""
    pauses: tuple[Window, ...] = ()
    """The scheduler that holds the lease is stopped in the middle of whatever it does, and goes on later."""
    restore: tuple[datetime, datetime] | None = None
    """A backup of the first instant is put back at the second."""
    hands_on_ports: tuple[datetime, ...] = ()
    """Somebody opens a closed port by hand."""
    withdrawn_at: datetime | None = None
    stopped: Window | None = None
    """A person halts the campaign and lets it go on."""


def no_faults(calm_at: datetime) -> Faults:
    """Nothing goes wrong."""
    return Faults(calm_at)


def draw_faults(random: Random, begins: datetime, calm_at: datetime, enforced_at: datetime) -> Faults:
    """Draw the faults of one run; most of them crowd around and after the deadline, where they hurt."""

    def share(most: float) -> float:
        return most * random.random() if random.random() < 0.5 else 0.0

    def instant() -> datetime:
        if random.random() < 0.4:  # the first hours after the deadline
            return min(calm_at, enforced_at + 20 * HOUR * random.random() ** 2)
        start = begins if random.random() < 0.3 else enforced_at - 2 * HOUR
        return start + (calm_at - start) * random.random()

    def instants(most: int) -> tuple[datetime, ...]:
        return (
            tuple(sorted(instant() for _ in range(random.randint(1, most)))) if random.random() < 0.5 else ()
        )

    def windows(most: int, least: timedelta, longest: timedelta) -> tuple[Window, ...]:
        found = instants(most)
        return tuple((at, min(calm_at, at + least + (longest - least) * random.random())) for at in found)

    mail_down, switches_down = windows(3, 10 * MINUTE, 8 * HOUR), windows(4, 5 * MINUTE, 2 * HOUR)
    pauses = windows(4, 2 * MINUTE, 30 * MINUTE)
    if pauses:  # a process is stopped all the sooner while others are in trouble
        pauses += tuple(outage for outage in mail_down + switches_down if random.random() < 0.5)
    return Faults(
        calm_at=calm_at,
        lost=share(0.2),
        late=share(0.1),
        doubled=share(0.2),
        bounced=share(0.2),
        mail_down=mail_down,
        switches_down=switches_down,
        switches_lie=share(0.3),
        switches_slow=share(0.5),
        agents_die=share(0.05),
        patch_breaks=random.uniform(0.05, 0.3) if random.random() < 0.15 else 0.0,
        clock_jumps=instants(8),
        kills=instants(6),
        pauses=pauses,
        restore=_restore(random, instant(), begins) if random.random() < 0.35 else None,
        hands_on_ports=instants(2),
        withdrawn_at=instant() if random.random() < 0.12 else None,
        stopped=_stop(random, instant(), calm_at) if random.random() < 0.2 else None,
        patch_kills=random.uniform(0.3, 1) if random.random() < 0.08 else 0.0,
    )


def _restore(random: Random, at: datetime, begins: datetime) -> Window:
    return max(begins + HOUR, at - DAY * random.uniform(0.05, 2)), at


def _stop(random: Random, at: datetime, calm_at: datetime) -> Window:
    return at, min(calm_at, at + HOUR * random.uniform(0.5, 20))


def within(windows: tuple[Window, ...], now: datetime) -> bool:
    """Say whether now lies in one of the windows."""
    return any(start <= now < end for start, end in windows)
