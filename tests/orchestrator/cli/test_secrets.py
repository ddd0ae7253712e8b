"""vCenter's password stays in the process that was given it; the registry's goes to workers alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Client

from deploy.demo.registry import registry
from deploy.demo.simulator import Download, Simulator
from orchestrator.errors import ExitCode
from tests.orchestrator.cli.conftest import Start
from tests.orchestrator.dask_processes import remote_cluster

PUSH_PASSWORD = "the-registry-must-know-me"


@dataclass
class Seen:
    """What others on the machine could see of a process and its children while it ran."""

    processes: set[tuple[int, bytes, bytes]] = field(default_factory=set)
    """Process, command line, environment; a process has others after ``exec``."""

    def look(self, pid: int) -> None:
        """Add what a process shows now, unless it shows another command line a moment later."""
        folder = Path(f"/proc/{pid}")
        command, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        if command == (folder / "cmdline").read_bytes():
            self.processes.add((pid, command, variables))

    def running(self, word: bytes) -> list[bytes]:
        """The command lines that hold the word."""
        return sorted({command for _, command, _ in self.processes if word in command})

    def knowing(self, word: bytes) -> list[bytes]:
        """The command lines of processes that have the word in their environment."""
        return sorted({command for _, command, variables in self.processes if word in variables})


@contextmanager
def watching(parent: int) -> Iterator[Seen]:
    """Look at a process and everything below it, again and again, until the block ends."""
    seen = Seen()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            for pid in family(parent):
                with suppress(OSError):  # it has ended
                    seen.look(pid)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def family(parent: int) -> list[int]:
    """A process and its descendants."""
    found = [parent]
    for pid in found:
        with suppress(OSError):  # it has ended
            for children in list(Path(f"/proc/{pid}/task").glob("*/children")):
                found += [int(child) for child in children.read_text().split()]
    return found


def files_with(secret: str, *folders: Path) -> list[Path]:
    """Files below the folders that hold the secret."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if secret.encode() in path.read_bytes()]


def test_no_child_log_or_file_holds_the_password(
    start: Start, simulator: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    simulator.disturb_downloads(Download(vm="big", rate=24 << 20))
    with (
        registry(users={"pusher": PUSH_PASSWORD}) as guarded,
        (tmp_path / "stdout").open("wb") as stdout,
        start(
            *("--exclude", "no-linux", "--log-format", "json"),
            stdout=stdout,
            TMPDIR=str(tmp_path),
            ORCHESTRATE_REGISTRY=f"{guarded.address}/vms",
            ORCHESTRATE_REGISTRY_USERNAME="pusher",
            ORCHESTRATE_REGISTRY_PASSWORD=PUSH_PASSWORD,
        ) as run,
    ):
        with watching(run.pid) as seen:
            assert run.wait(120) == ExitCode.SOME_FAILED, run.stderr().decode()
        said = run.stderr() + (tmp_path / "stdout").read_bytes()
    assert seen.running(b"converters.reader") and seen.running(b"multiprocessing")
    # A process cannot take back the environment that it was started with; a child has it until its ``exec``.
    given = seen.running(b"orchestrator\0--exclude")
    assert len(given) == 1
    assert [words for words in seen.knowing(b"GOVC_") if b"spawn" in words or b"reader" in words] == []
    for secret in (simulator.password, PUSH_PASSWORD):
        assert seen.running(secret.encode()) == []
        assert seen.knowing(secret.encode()) == given
        assert secret.encode() not in said
        assert files_with(secret, tmp_path) == []
    assert b"broken" in said, "what was said was looked at"


def test_no_task_holds_the_password(start: Start, simulator: Simulator, tmp_path: Path) -> None:
    simulator.disturb_downloads(Download(vm="big", rate=24 << 20))
    with (
        remote_cluster(
            tmp_path,
            TMPDIR=str(tmp_path),
            ORCHESTRATE_REGISTRY_USERNAME="pusher",
            ORCHESTRATE_REGISTRY_PASSWORD=PUSH_PASSWORD,
        ) as (address, _),
        registry(users={"pusher": PUSH_PASSWORD}) as guarded,
        Client(address, set_as_default=False) as client,
        start(
            *("--include", "big", "--scheduler", address),
            ORCHESTRATE_REGISTRY=f"{guarded.address}/vms",
            ORCHESTRATE_REGISTRY_USERNAME="pusher",
            ORCHESTRATE_REGISTRY_PASSWORD=PUSH_PASSWORD,
        ) as run,
    ):
        specifications: dict[str, bytes] = {}
        while run.ended() is None:
            specifications |= client.run_on_scheduler(tasks)
        said = run.stderr()
        assert run.ended() == ExitCode.OK, said.decode()
    stages = {key.partition("/")[2].partition("/")[0] for key in specifications}
    assert {"download", "convert"} <= stages
    held = b"".join((said, *specifications.values()))
    assert b"/nfc/" in held, "the arguments of a task were looked at"
    assert simulator.password.encode() not in held
    assert PUSH_PASSWORD.encode() not in held


def tasks(dask_scheduler: object) -> dict[str, bytes]:
    """The tasks that a scheduler holds, as it holds them: key and pickled call."""
    import pickle

    held = dask_scheduler.tasks.values()  # type: ignore[attr-defined]
    return {str(task.key): pickle.dumps(task.run_spec) for task in held if task.run_spec is not None}
