"""What `forestall-agent status` shows: one view of the state, as a page for people and as stable keys."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from forestall.agent import journal, state, texts
from forestall.agent.debian import printable
from forestall.agent.journal import Entry
from forestall.agent.state import Held, Person
from forestall.domain.evidence import Status
from forestall.domain.order import Hold


class OrderView(msgspec.Struct):
    """One order as the person sees it."""

    campaign: str
    source: str
    version: str
    level: str
    text: str
    status: str
    detail: str
    problem: str
    deadline_at: datetime
    deadline_in_seconds: int
    next: str
    rule: str
    paragraph: str
    until: datetime | None
    chosen: bool
    forced: bool
    failures: int
    installed_at: datetime | None
    picked_at: datetime | None
    held_by: list[Hold]
    services: list[str]
    """Those that have failed since it was installed."""
    broke: str
    """What the person said that it broke, until the server has heard it."""


class StatusView(msgspec.Struct):
    """Everything that `status` shows."""

    checked_at: datetime | None
    next_check_at: datetime | None
    problem: str
    restart_latest_at: datetime | None
    """The machine restarts then by itself, if not before; none where no restart is due or only people do it."""
    restart_units: list[str]
    """The services that are started anew instead of the machine."""
    volunteers: bool | None
    """The person tests updates before others do; None where nobody ever said."""
    orders: list[OrderView]
    done: list[Entry]


def status_of(directory: Path, clock_now: datetime, tongue: str) -> StatusView:
    """Read what the agent remembers; needs no rights and no server."""
    remembered, complaint = state.load(directory)
    now = clock_now + timedelta(seconds=remembered.skew_seconds)
    return StatusView(
        checked_at=remembered.checked_at,
        next_check_at=remembered.next_check_at,
        problem=complaint or remembered.last_problem,
        restart_latest_at=remembered.person.restart_latest_at,
        restart_units=remembered.person.restart_units,
        volunteers=remembered.person.volunteers,
        orders=[_view(held, remembered.person, now, tongue) for held in remembered.held.values()],
        done=journal.tail(directory, 10),
    )


def lines(view: StatusView, now: datetime, tongue: str) -> Iterator[str]:
    """Write the view for a person; everything from outside is made printable."""
    words = texts.WORDS[tongue]
    checked = texts.instant(view.checked_at, now, tongue) if view.checked_at else words["never"]
    yield f"{words['checked']}: {checked}"
    if view.problem:
        yield f"{words['problem']}: {printable(view.problem, 300)}"
    if view.volunteers:
        yield words["volunteers"]
    if not view.orders:
        yield words["nothing"]
    for order in view.orders:
        yield from _order_lines(order, now, tongue)
    if view.done:
        yield ""
        yield f"{words['done']}:"
    for entry in view.done:
        about = " ".join(part for part in (entry.campaign, entry.event, entry.detail) if part)
        yield f"  {entry.at.astimezone():%Y-%m-%d %H:%M:%S}  {printable(about, 300).replace(chr(10), ' ')}"


def _order_lines(order: OrderView, now: datetime, tongue: str) -> Iterator[str]:
    words = texts.WORDS[tongue]
    yield ""
    yield printable(f"{order.source} {order.version} [{order.level}] {order.text}", 400)
    yield f"  {words['state']}: {words.get(order.status, order.status)} ({printable(order.detail, 300)})"
    yield f"  {words['deadline']}: {texts.instant(order.deadline_at, now, tongue)}"
    yield f"  {words['next']}: {printable(order.next, 300)} [{order.paragraph}]"
    if order.picked_at is not None:
        yield f"  {words['picked']}: {texts.instant(order.picked_at, now, tongue)}"
    if order.held_by:
        yield f"  {words['held']}: {', '.join(words[hold] for hold in order.held_by)}"
    if order.services:
        yield f"  {words['services']}: {printable(', '.join(order.services), 400)}"
    if order.broke:
        yield f"  {words['broke']}: {printable(order.broke, 400)}"
    if order.problem:
        yield f"  {words['problem']}: {printable(order.problem, 400)}"


def as_json(view: StatusView) -> str:
    """Print a view with its stable keys."""
    return msgspec.json.format(msgspec.json.encode(view)).decode()


def _view(held: Held, person: Person, now: datetime, tongue: str) -> OrderView:
    order, pending = held.order, held.awaits_machine
    if pending:
        until, units = person.restart_until, person.restart_units
        coming = texts.restart_next(person.restart_step, units, until, now, tongue)
    elif held.status == Status.PENDING_RESTART:
        coming = ""  # the agent itself, which needs nobody for it
    else:
        failed = held.failures > 0
        coming = texts.what_next(held.step, order.campaign, held.until, now, tongue, failed=failed)
    return OrderView(
        campaign=order.campaign,
        source=order.source,
        version=order.version,
        level=order.level,
        text=order.texts.get(tongue) or order.texts.get("en", ""),
        status=held.status,
        detail=held.detail,
        problem=held.problem,
        deadline_at=order.force_at,
        deadline_in_seconds=int((order.force_at - now).total_seconds()),
        next=coming,
        rule=held.rule,
        paragraph=held.paragraph,
        until=held.until,
        chosen=held.chosen,
        forced=held.forced,
        failures=held.failures,
        installed_at=held.installed_at,
        picked_at=person.restart_picked_at if pending else held.picked_at,
        held_by=held.held_by,
        services=held.services,
        broke=held.broke,
    )
