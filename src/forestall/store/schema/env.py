"""Alembic runs this; the connection, inside a transaction, is handed over by `Database.migrate`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
