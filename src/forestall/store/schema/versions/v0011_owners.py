"""Who says whose a machine is, who says that it is not theirs, and claims that wait for their confirmation."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("device", sa.Column("owner_source", sa.Text(), nullable=True))
    op.add_column("device", sa.Column("disowned", sa.Text(), server_default="", nullable=False))
    op.execute("UPDATE device SET owner_source = 'directory' WHERE owner <> ''")
    op.create_table(
        "claim",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["device"], ["device.id"], name="claim_device_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="claim_pkey"),
    )
    op.create_index("claim_device_idx", "claim", ["device"], unique=False)
    op.create_index("claim_asked_at_idx", "claim", ["asked_at"], unique=False)
