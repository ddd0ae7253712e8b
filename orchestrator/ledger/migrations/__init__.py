"""Alembic's environment and the ledger's versions, shipped with the package."""
