"""Notices: what each person is told, and what became of it; and the owner's wish for a check."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("daily", sa.Boolean(), nullable=False),
        sa.Column("everybody", sa.Boolean(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("doubt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="notice_pkey"),
    )
    op.create_index("notice_address_idx", "notice", ["address"])
    op.create_index("notice_campaign_revision_idx", "notice", ["campaign", "revision"])
    op.create_index("notice_message_idx", "notice", ["message"])
    op.create_index(
        "notice_open_idx",
        "notice",
        ["daily", "due_at", "address"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.add_column("intent", sa.Column("notice", sa.Text(), nullable=True))
    op.create_index("intent_notice_idx", "intent", ["notice"], postgresql_where=sa.text("notice IS NOT NULL"))
    op.add_column("record", sa.Column("check_asked_at", sa.DateTime(timezone=True), nullable=True))
