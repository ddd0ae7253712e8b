"""The ledger's tables. What a deployed ledger has comes from ``migrations``; a test compares the two.

Times are seconds since 1970-01-01 UTC by the clock of the process that wrote them: for people. Nothing is
decided by comparing them; heartbeats, which are compared, say whose clock they follow.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Words(TypeDecorator[str]):
    """Text for people: what no database takes (NUL, bytes that are not UTF-8) is escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """As it is written."""
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _entry() -> Column[str]:
    return Column(
        "entry", String(36), unique=True, index=True, comment="by its writer: a write done twice is one row"
    )


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("created", Double, nullable=False),
    comment="One row: which ledger this is; snapshots carry its id.",
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("number", Integer, nullable=False, server_default="0", unique=True, index=True, comment="from 1"),
    Column("vcenter", String(80), nullable=False, comment="instance UUID of the vCenter"),
    Column("datacenter", Text, nullable=False, comment="path of the datacenter"),
    Column("started", Double, nullable=False),
    Column("heartbeat", Double, nullable=False),
    Column("clock", String(40), comment="that heartbeats follow; null: the machine's, of version 0001"),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("place", Text, comment="machine's boot and namespace in which pid is a process"),
    Column("process_started", BigInteger, comment="clock ticks after the boot"),
    Column("ended", Double),
    Column("outcome", String(20)),
)

vms = Table(
    "vms",
    metadata,
    Column("job", String(64), primary_key=True),
    Column("vcenter", String(80), nullable=False),
    Column("instance_uuid", String(80), nullable=False),
    Column("moref", String(80), nullable=False),
    Column("name", Words, nullable=False),
    Column("folder", Words, nullable=False),
    Column("datacenter", Text, nullable=False),
    Column("repository", Text, nullable=False, comment="where its images go, without tag"),
    comment="One row a VM that was ever taken into a run.",
)

jobs = Table(
    "jobs",
    metadata,
    Column("run", ForeignKey("runs.id"), primary_key=True),
    Column("job", ForeignKey("vms.job"), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("queued", Double, nullable=False),
    Column("changed", Double, nullable=False),
    Column("ended", Double),
    Column("error_kind", String(40)),
    Column("error_message", Words),
    Column("error_hint", Words),
    Column("reason", Words, comment="why it was skipped"),
    Column("remedy", Words),
    comment="A VM in a run.",
)

stages = Table(
    "stages",
    metadata,
    Column("id", Integer, primary_key=True),
    _entry(),
    Column("run", String(36), nullable=False),
    Column("job", String(64), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started", Double, nullable=False),
    Column("ended", Double),
    Column("ok", Boolean, nullable=False),
    Column("bytes", BigInteger, nullable=False, comment="moved by the stage"),
    ForeignKeyConstraint(["run", "job"], ["jobs.run", "jobs.job"]),
    Index(None, "run", "job"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Integer, primary_key=True),
    _entry(),
    Column("run", ForeignKey("runs.id"), nullable=False),
    Column("job", ForeignKey("vms.job"), nullable=False),
    Column("vm", String(80), nullable=False, comment="moref of the VM"),
    Column("name", Words, nullable=False),
    Column("intended", Double, nullable=False, comment="written before vCenter is asked"),
    Column("moref", String(80), comment="of the snapshot, once it is made"),
    Column("created", Double, comment="by vCenter's clock"),
    Column("quiesced", Boolean),
    Column("note", Words),
    Column("removed", Double, comment="when it was known to be gone"),
    Index(None, "removed"),
)

images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    _entry(),
    Column("run", ForeignKey("runs.id"), nullable=False),
    Column("job", ForeignKey("vms.job"), nullable=False),
    Column("reference", Text, nullable=False, comment="with the digest"),
    Column("digest", String(80), nullable=False),
    Column("config_digest", String(80), nullable=False),
    Column("size", BigInteger, nullable=False, comment="compressed bytes"),
    Column("published", Double, nullable=False),
    Column("snapshot_time", Double, comment="of the disks that the image shows"),
    Column("fingerprint", String(80), nullable=False, comment="of the VM, as far as vCenter tells"),
    Column("settings", String(80), nullable=False, comment="fingerprint of what shapes the image"),
    Index(None, "job"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    _entry(),
    Column("run", ForeignKey("runs.id"), nullable=False),
    Column("job", String(64)),
    Column("at", Double, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("message", Words, nullable=False),
    Column("hint", Words, nullable=False),
    Index(None, "run"),
    comment="What a person may want to read later: each failure, each snapshot swept.",
)
