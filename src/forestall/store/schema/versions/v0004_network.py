"""What enforcement points ask for: machines by address."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("device_addresses_idx", "device", ["addresses"], unique=False, postgresql_using="gin")
