"""Sightings as they happen: where machines are attached, which tables were read when, where agents speak from."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("sighting", sa.Column("vlan", sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "sighting_waiting_idx",
        "sighting",
        ["seen_at"],
        unique=False,
        postgresql_where=sa.text("device IS NULL"),
    )
    op.create_index("sighting_device_idx", "sighting", ["device"], unique=False)
    op.add_column("device", sa.Column("spoke_from", sa.Text(), server_default="", nullable=False))
    op.add_column("device", sa.Column("spoke_by", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "attachment",
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("port", sa.Text(), nullable=False),
        sa.Column("vlan", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device", "source", name="attachment_pkey"),
    )
    op.create_table(
        "table_read",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("good_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("forwarding", sa.Integer(), nullable=False),
        sa.Column("neighbours", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="table_read_pkey"),
    )
