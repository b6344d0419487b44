"""Run by Alembic: migrate over the connection that the store passes in, inside the store's own transaction."""

from alembic import context

from agent.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
