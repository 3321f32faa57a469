"""Alembic runs this file for each upgrade. The connection comes from `upgrade`, with its transaction open."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
