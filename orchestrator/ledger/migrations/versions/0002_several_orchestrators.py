"""Several orchestrators: heartbeats by a shared clock, writes that can be repeated, runs in their order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NUMBER = """
UPDATE runs SET number = (
    SELECT count(*) FROM runs AS other
    WHERE other.started < runs.started OR (other.started = runs.started AND other.id <= runs.id)
)
"""


def upgrade() -> None:
    number = sa.Column("number", sa.Integer(), nullable=False, server_default="0", comment="from 1")
    op.add_column("runs", number)
    op.execute(_NUMBER)
    op.create_index(op.f("ix_runs_number"), "runs", ["number"], unique=True)
    for column in (
        sa.Column(
            "clock",
            sa.String(length=40),
            nullable=True,
            comment="that heartbeats follow; null: the machine's, of version 0001",
        ),
        sa.Column(
            "place",
            sa.Text(),
            nullable=True,
            comment="machine's boot and namespace in which pid is a process",
        ),
        sa.Column("process_started", sa.BigInteger(), nullable=True, comment="clock ticks after the boot"),
    ):
        op.add_column("runs", column)
    for table in ("stages", "snapshots", "images", "events"):
        comment = "by its writer: a write done twice is one row"
        op.add_column(table, sa.Column("entry", sa.String(length=36), nullable=True, comment=comment))
        op.create_index(op.f(f"ix_{table}_entry"), table, ["entry"], unique=True)
