"""When an agent began to install by force, so that silence shows early; room in every page for a second version."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("record", sa.Column("forcing_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("ALTER TABLE record SET (fillfactor = 45)")
