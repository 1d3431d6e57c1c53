"""Alembic's entry: runs the migrations on the connection that `database.py` hands over."""

from alembic import context

from townsfolk.feedback.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite too: a crash in the midst of a migration leaves the old schema
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
