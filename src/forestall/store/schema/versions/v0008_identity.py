"""Machines have certificates instead of secrets: those enrolled before are to be enrolled anew."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    op.drop_table("device_secret")
    op.create_table(
        "device_identity",
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("void", sa.Text(), nullable=True),
        sa.Column("void_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device"], ["device.id"], name="device_identity_device_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device", name="device_identity_pkey"),
    )
