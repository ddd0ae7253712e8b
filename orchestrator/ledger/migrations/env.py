"""Run by alembic: upgrade over the connection that ``orchestrator.ledger.engine`` hands in."""

from __future__ import annotations

from alembic import context

from orchestrator.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
