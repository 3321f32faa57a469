"""The queue: who asked, in which order, on which rung, from which checkpoint; whether it is paused; whose turn it is.

Jobs that waited before keep their order, in one line.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("client", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("jobs", sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("jobs", sa.Column("rung", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("jobs", sa.Column("faults", sa.JSON(), server_default=sa.text("'[]'"), nullable=False))
    op.add_column("jobs", sa.Column("checkpoint", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("idempotency_key", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("order_digest", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("changed", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.execute("UPDATE jobs SET position = id * 1024, changed = id")
    op.create_index("ix_jobs_changed", "jobs", ["changed"])
    op.create_index("uq_jobs_idempotency_key", "jobs", ["client", "idempotency_key"], unique=True)
    op.create_table(
        "queue_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("why_code", sa.Text(), nullable=True),
        sa.Column("why_detail", sa.Text(), nullable=True),
        sa.Column("stop_after", sa.Integer(), nullable=True),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_queue_state"),
    )
    op.create_table(
        "turns",
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", name="pk_turns"),
    )
