"""What two people decide is kept with its set of machines; a campaign remembers that it was resumed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("campaign", sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True))
    for name in ("subject", "reason", "control"):
        op.add_column("approval", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("approval", sa.Column("until", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "approval",
        sa.Column("devices", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
