"""Rings: their lists, which of them has a campaign's patch, and what the machines of a test have said."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("campaign", sa.Column("ring", sa.Text(), nullable=True))
    op.add_column("campaign", sa.Column("ring_opened_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaign", sa.Column("tested_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "ring_member",
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("ring", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["device"], ["device.id"], name="ring_member_device_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device", name="ring_member_pkey"),
    )
    op.create_index("ring_member_ring_idx", "ring_member", ["ring"], unique=False)
    op.create_table(
        "trial",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("was_affected", sa.Boolean(), nullable=False),
        sa.Column("installed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("boot_id", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("restarted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("relapsed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("services", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("services_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("broke", sa.Text(), nullable=False),
        sa.Column("broke_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.id"], name="trial_campaign_fkey"),
        sa.PrimaryKeyConstraint("campaign", "revision", "device", name="trial_pkey"),
    )
