"""The number of the latest change of jobs that are gone, so that no later change is given it again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("queue_state", sa.Column("forgotten", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
