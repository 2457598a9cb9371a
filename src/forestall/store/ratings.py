"""Ratings: every one that was ever given; the newest of an update counts (P2.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from forestall.domain.level import Level
from forestall.domain.remediation import RemediationId
from forestall.store.tables import rating as table


@dataclass(frozen=True, slots=True)
class ThreeEs:
    """What exploitation would bring (P2.2)."""

    escalation: bool = False
    expansion: bool = False
    exposure: bool = False


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's judgement of one update, with what was proposed."""

    remediation: RemediationId
    level: Level
    proposed: Level
    es: ThreeEs
    by: str
    at: datetime
    reasons: tuple[str, ...]
    """The person's own first, then the proposal's."""


def save(con: Connection, rating: Rating) -> None:
    """Add a rating; earlier ones of the same update stay."""
    con.execute(
        insert(table).values(
            remediation=rating.remediation,
            level=rating.level,
            proposed=rating.proposed,
            escalation=rating.es.escalation,
            expansion=rating.es.expansion,
            exposure=rating.es.exposure,
            by=rating.by,
            at=rating.at,
            reasons=list(rating.reasons),
        )
    )


def newest(con: Connection) -> Sequence[Rating]:
    """Read the rating in force of every rated update."""
    statement = select(table).order_by(table.c.remediation, table.c.id.desc())
    return [_rating(row) for row in con.execute(statement.ext(distinct_on(table.c.remediation)))]


def of(con: Connection, remediation: RemediationId) -> Rating | None:
    """Read the rating in force of one update."""
    given = select(table).where(table.c.remediation == remediation).order_by(table.c.id.desc()).limit(1)
    row = con.execute(given).first()
    return _rating(row) if row else None


def _rating(row: Row[tuple[object, ...]]) -> Rating:
    return Rating(
        RemediationId(row.remediation),
        Level(row.level),
        Level(row.proposed),
        ThreeEs(row.escalation, row.expansion, row.exposure),
        row.by,
        row.at,
        tuple(row.reasons),
    )
