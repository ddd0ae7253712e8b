"""A run at one moment, for the tests of what shows it: one VM in each state that matters."""

from __future__ import annotations

from converters.guest.facts import StepDown
from orchestrator.fleet.states import JobState, Stage
from orchestrator.fleet.view import (
    BudgetUse,
    ConversionView,
    ErrorView,
    ImageView,
    JobView,
    LeftOut,
    RunPhase,
    RunView,
    StageTime,
)

DIGEST = "sha256:" + "ab" * 32


def job(name: str, state: JobState, **values: object) -> JobView:
    """A VM in the datacenter's root folder."""
    base = JobView(f"job-{name}", name, f"vm-{name}", "", "esx-1", ("fast",), state, queued=1000.0)
    return type(base)(**{**{key: getattr(base, key) for key in base.__dataclass_fields__}, **values})


def run_view() -> RunView:
    """Two done (one after a retry), one failed, one at work, one waiting, one skipped."""
    lost = ErrorView(Stage.CONVERT, 1, "worker-lost", "the worker ended", "", True)
    refused = ErrorView(Stage.CONVERT, 1, "no-linux", "no Linux on <disk 0>", "look at the disk", False)
    image = ImageView(f"registry:5000/vms/web@{DIGEST}", DIGEST, 300 << 20, 1100.0)
    return RunView(
        run="r1",
        ledger="l1",
        datacenter="DC0",
        phase=RunPhase.RUNNING,
        now=1200.0,
        started=1000.0,
        jobs=(
            job(
                "web",
                JobState.DONE,
                attempt=1,
                started=1010.0,
                ended=1100.0,
                image=image,
                conversion=ConversionView(
                    release="Debian GNU/Linux 12",
                    service="nginx",
                    engines=("guestfs",),
                    step_downs=(
                        StepDown("disk 0 partition 1", "ext2fs", "guestfs", "xfs is not read in process"),
                    ),
                    entries=1234,
                    tree_bytes=2000,
                    left_out=(
                        LeftOut("boot", "a container has the host's kernel", 12, 3 << 20),
                        LeftOut("lost-found", "it belongs to the file system", 1, 0),
                    ),
                    notes=("There is no /etc/fstab: only the root file system is read.",),
                ),
                stages=(StageTime(Stage.DOWNLOAD, 1, 1012.0, 1019.5, True),),
                received_total=1000,
                read_total=2000,
                pushed_total=300,
            ),
            job("db", JobState.DONE, attempt=2, started=1010.0, ended=1190.0, image=image, errors=(lost,)),
            job("odd", JobState.FAILED, attempt=1, started=1010.0, ended=1020.0, errors=(refused,)),
            job(
                "mail",
                JobState.EXPORTING,
                running=(Stage.DOWNLOAD,),
                attempt=1,
                started=1150.0,
                wire_bytes=4096,
                received_bytes=1024,
                received_total=1024,
                rate=512.0,
                snapshot_since=1155.0,
            ),
            job("later", JobState.QUEUED),
            job("win", JobState.SKIPPED, reason="runs Windows", remedy="convert it by other means"),
        ),
        workers=("tcp://127.0.0.1:1", "tcp://127.0.0.1:2"),
        budgets=(BudgetUse("host disks", "esx-1", 1, 8),),
    )
