"""COPY, the way in for many rows: ten times faster than a statement for each."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection as Driver
from psycopg import sql
from sqlalchemy import Column, Connection, MetaData, Table, text
from sqlalchemy.schema import CreateTable


def driver(connection: Connection) -> Driver:
    """Get the psycopg connection inside, in the same transaction."""
    inside = connection.connection.driver_connection
    if not isinstance(inside, Driver):
        raise TypeError(f"not a psycopg connection: {inside!r}")
    return inside


def copy_in(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Append rows, their values in the order of `columns`; arrays as lists."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), names)
    with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def staged(
    connection: Connection, like: Sequence[Column[Any]], rows: Iterable[Sequence[object]]
) -> Iterator[Table]:
    """Hold rows in a temporary table with columns named and typed as those given, for one statement to join."""
    columns = [Column(column.name, column.type) for column in like]
    stage = Table("stage", MetaData(), *columns, prefixes=["TEMPORARY"])
    connection.execute(CreateTable(stage))
    copy_in(connection, stage, [column.name for column in columns], rows)
    # Nothing is known of a new table: without this the planner takes it for a small one.
    connection.execute(text("ANALYZE stage"))
    yield stage
    connection.execute(text("DROP TABLE stage"))
