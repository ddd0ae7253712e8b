"""The first version of the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "ledger",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        comment="One row: which ledger this is; snapshots carry its id.",
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("vcenter", sa.String(length=80), nullable=False, comment="instance UUID of the vCenter"),
        sa.Column("datacenter", sa.Text(), nullable=False, comment="path of the datacenter"),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("heartbeat", sa.Double(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_table(
        "vms",
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("vcenter", sa.String(length=80), nullable=False),
        sa.Column("instance_uuid", sa.String(length=80), nullable=False),
        sa.Column("moref", sa.String(length=80), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("datacenter", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False, comment="where its images go, without tag"),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_vms")),
        comment="One row a VM that was ever taken into a run.",
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_events_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        comment="What a person may want to read later: each failure, each snapshot swept.",
    )
    op.create_index(op.f("ix_events_run"), "events", ["run"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False, comment="with the digest"),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("config_digest", sa.String(length=80), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="compressed bytes"),
        sa.Column("published", sa.Double(), nullable=False),
        sa.Column("snapshot_time", sa.Double(), nullable=True, comment="of the disks that the image shows"),
        sa.Column(
            "fingerprint", sa.String(length=80), nullable=False, comment="of the VM, as far as vCenter tells"
        ),
        sa.Column(
            "settings", sa.String(length=80), nullable=False, comment="fingerprint of what shapes the image"
        ),
        sa.ForeignKeyConstraint(["job"], ["vms.job"], name=op.f("fk_images_job")),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_images_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
    )
    op.create_index(op.f("ix_images_job"), "images", ["job"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("queued", sa.Double(), nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("error_kind", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_hint", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was skipped"),
        sa.Column("remedy", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["vms.job"], name=op.f("fk_jobs_job")),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_jobs_run")),
        sa.PrimaryKeyConstraint("run", "job", name=op.f("pk_jobs")),
        comment="A VM in a run.",
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("vm", sa.String(length=80), nullable=False, comment="moref of the VM"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("intended", sa.Double(), nullable=False, comment="written before vCenter is asked"),
        sa.Column("moref", sa.String(length=80), nullable=True, comment="of the snapshot, once it is made"),
        sa.Column("created", sa.Double(), nullable=True, comment="by vCenter's clock"),
        sa.Column("quiesced", sa.Boolean(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("removed", sa.Double(), nullable=True, comment="when it was known to be gone"),
        sa.ForeignKeyConstraint(["job"], ["vms.job"], name=op.f("fk_snapshots_job")),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_snapshots_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
    )
    op.create_index(op.f("ix_snapshots_removed"), "snapshots", ["removed"], unique=False)
    op.create_table(
        "stages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False, comment="moved by the stage"),
        sa.ForeignKeyConstraint(["run", "job"], ["jobs.run", "jobs.job"], name=op.f("fk_stages_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stages")),
    )
    op.create_index(op.f("ix_stages_run"), "stages", ["run", "job"], unique=False)
