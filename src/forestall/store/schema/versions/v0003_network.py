"""What enforcement points ask for: machines by address, and checks that their owners want now."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("record", sa.Column("check_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("device_addresses_idx", "device", ["addresses"], unique=False, postgresql_using="gin")
