"""Pictures can be starred and put in the trash, and are searched by their negative prompt too; jobs know their group.

Each index holds one of the lists that people leaf through, in order, so that a page of it reads that page only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("group_id", sa.Text(), nullable=True))
    op.create_index("ix_jobs_group_id", "jobs", ["group_id"])
    op.add_column("pictures", sa.Column("starred", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("pictures", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("pictures", sa.Column("negative_prompt", sa.Text(), server_default=sa.text("''"), nullable=False))
    pictures = sa.table(
        "pictures",
        sa.column("request", sa.JSON()),
        sa.column("starred", sa.Boolean()),
        sa.column("deleted_at", sa.DateTime()),
        sa.column("negative_prompt", sa.Text()),
    )
    op.execute(pictures.update().values(negative_prompt=pictures.c.request["negative_prompt"].as_string()))
    kept = pictures.c.deleted_at.is_(None)
    lists = {
        "kept": kept,
        "starred": sa.and_(pictures.c.starred.is_(True), kept),
        "trash": pictures.c.deleted_at.is_not(None),
    }
    for name, condition in lists.items():
        op.create_index(f"ix_pictures_{name}", "pictures", ["id"], sqlite_where=condition, postgresql_where=condition)
