"""Disagreements of agent and probe: since when, and whom people believe meanwhile (A18)."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("record", sa.Column("disputed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("record", sa.Column("believed", sa.Text(), nullable=True))
    op.add_column("record", sa.Column("believed_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "record_disputed_idx",
        "record",
        ["campaign"],
        unique=False,
        postgresql_where=sa.text("disputed_at IS NOT NULL"),
    )
