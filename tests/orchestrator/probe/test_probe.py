"""What a worker finds out about itself is so."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from converters.errors import OutputError, OutputUnavailableError, ScratchFullError
from converters.outputs.client import RegistryAccess
from deploy.demo.registry import registry
from orchestrator.probe import hosts, machine
from orchestrator.probe.hosts import Reach, reach
from orchestrator.probe.registry import write
from orchestrator.probe.scratch import measure
from orchestrator.probe.worker import ProbeOrder, probe
from orchestrator.skew import clock
from orchestrator.vsphere.values import Grade
from tests.kernel import needs_root
from tests.tls_server import tls_server

ACCESS = RegistryAccess(patience=0)
NOWHERE = "127.0.0.1:9/vms"


def test_a_probe_tells_all_there_is_to_tell(tmp_path: Path) -> None:
    order = ProbeOrder((), NOWHERE, ACCESS, str(tmp_path / "scratch"), ("ext2fs", "guestfs"))
    began = time.time()
    probed = probe(order)
    lines = {line.name: line for line in probed.results}
    assert list(lines) == ["registry", "engine ext2fs", "engine guestfs", "disk formats", "KVM"]
    assert lines["registry"].grade is Grade.BLOCKING and lines["registry"].remedy
    assert lines["engine ext2fs"].ok
    assert probed.space is not None and min(probed.space.written, probed.space.read) > 0
    assert probed.space.sparse
    assert began <= probed.clock <= time.time()
    assert 1 << 28 < probed.memory.total <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_a_run_asks_takes_no_time(tmp_path: Path) -> None:
    engines = ("ext2fs", "uml", "guestfs")
    probed = probe(ProbeOrder((), NOWHERE, ACCESS, str(tmp_path), engines, thorough=False))
    assert [line.name for line in probed.results] == ["registry", "engine ext2fs", "engine guestfs"]


def test_without_any_engine_nothing_can_be_read(tmp_path: Path) -> None:
    (line,) = machine.engines((), tmp_path, thorough=False)
    assert line.grade is Grade.BLOCKING and "--engines" in line.remedy


def test_scratch_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    probed = probe(ProbeOrder((), NOWHERE, ACCESS, str(tmp_path / "file"), ()))
    assert probed.space is None
    scratch = next(line for line in probed.results if line.name == "scratch")
    assert scratch.grade is Grade.BLOCKING
    assert "no scratch folder can be made" in scratch.detail and "--scratch" in scratch.remedy


@pytest.mark.root
@needs_root
def test_scratch_that_is_full_is_told(small_disk: Path) -> None:
    with pytest.raises(ScratchFullError, match="takes no 64 MiB"):
        measure(small_disk, small_disk, seconds=5)


def test_a_measurement_ends_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    measure(tmp_path, tmp_path, seconds=0)
    assert time.monotonic() - began < 2, "one block of 4 MiB"


def test_a_small_memory_limit_of_a_container_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("268435456\n")
    monkeypatch.setattr(machine, "_CGROUP_LIMITS", (tmp_path / "absent", limit))
    assert machine.memory().total == 256 << 20
    limit.write_text("max\n")
    assert machine.memory().total > 256 << 20


def test_the_appliance_is_started_when_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ProbeOrder((), NOWHERE, ACCESS, str(tmp_path), ("ext2fs", "guestfs"), deep=True)
    *_, started = probe(order).results
    assert re.fullmatch(r"starts in \d+\.\d s", started.detail), started
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(
        "LIBGUESTFS_PATH", str(tmp_path)
    )  # where no appliance is, and no kernel to make one of
    monkeypatch.setenv("LIBGUESTFS_CACHEDIR", str(tmp_path))
    *_, failed = probe(order).results
    assert failed.grade is Grade.WARNING and failed.remedy, failed


def test_without_kvm_it_is_said_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_KVM", tmp_path / "kvm")
    *_, absent = machine.engines(("guestfs",), tmp_path, thorough=True)
    (tmp_path / "kvm").touch()
    *_, useless = machine.engines(("guestfs",), tmp_path, thorough=True)
    assert (absent.name, absent.ok) == ("KVM", True)
    assert (
        "(No such file or directory)" in absent.detail
        and "(Inappropriate ioctl for device)" in useless.detail
    )


class TestHosts:
    @pytest.fixture
    def port(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
        """A host that serves TLS; its port is the one that is tried."""
        with tls_server(tmp_path, "127.0.0.1") as port:
            monkeypatch.setattr(hosts, "NFC_PORT", port)
            yield port

    def test_each_is_told_with_its_reason(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hosts, "_CONNECT_SECONDS", 0.3)
        with ExitStack() as stack:
            stack.enter_context(socket.create_server(("127.0.0.4", port)))
            stack.enter_context(answering(("127.0.0.5", port), b"SSH-2.0-OpenSSH\r\n"))
            found = reach(("127.0.0.1", "127.0.0.3", "nowhere.invalid", "127.0.0.4", "127.0.0.5"))
        assert found.untried == frozenset()
        problems = dict(found.problems)
        assert problems.pop("127.0.0.5").startswith(f"port {port} answers, but not with TLS")
        assert problems == {
            "127.0.0.3": "Connection refused",
            "nowhere.invalid": "its name cannot be resolved",
            "127.0.0.4": "no answer within 0.3 s",
        }

    def test_a_thousand_hosts_that_say_nothing_take_bounded_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hosts, "_CONNECT_SECONDS", 0.3)
        names = [f"127.1.{number // 200}.{number % 200 + 1}" for number in range(1000)]
        with socket.create_server(("0.0.0.0", 0), backlog=2000) as server:
            monkeypatch.setattr(hosts, "NFC_PORT", server.getsockname()[1])
            began = time.monotonic()
            found = reach(names)
            took = time.monotonic() - began
            monkeypatch.setattr(hosts, "_CONNECT_SECONDS", 5.0)
            cut = reach(names, seconds=0.1)
        assert set(found.problems.values()) == {"no answer within 0.3 s"} and len(found.problems) == 1000
        assert took < 6, "they are tried beside each other"
        assert cut.problems == {} and len(cut.untried) == 1000

    def test_no_host_is_no_problem(self) -> None:
        assert reach(()) == Reach({})


@contextmanager
def answering(address: tuple[str, int], words: bytes) -> Iterator[None]:
    """A server that says something at once, as SSH does."""
    with socket.create_server(address) as server:
        thread = threading.Thread(target=lambda: _say(server, words))
        thread.start()
        yield
        thread.join()


def _say(server: socket.socket, words: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(words)
        connection.recv(1 << 16)


def visible(address: str) -> list[str]:
    """Tags that the registry shows of the repositories that it shows."""
    with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
        names = client.get("/v2/_catalog").json()["repositories"]
        return [tag for name in names for tag in client.get(f"/v2/{name}/tags/list").json().get("tags") or ()]


class TestRegistry:
    def test_a_blob_is_written_and_deleted(self) -> None:
        with registry() as images:
            trial = write(f"{images.address}/vms/orchestrate-check", ACCESS)
            assert trial.detail == "takes a blob, without a user name, and deletes it again"
            assert trial.skew is not None and abs(trial.skew) < 3
            assert visible(images.address) == []
            links = list((images.folder / "content").rglob("link"))
            assert links == [], "the repository holds no blob"
            again = write(f"{images.address}/vms/orchestrate-check", ACCESS)
            assert again.detail == trial.detail

    def test_a_registry_that_deletes_nothing_is_told_and_fine(self) -> None:
        with registry(deletes=False) as images:
            trial = write(f"{images.address}/vms/orchestrate-check", ACCESS)
            assert "keeps its 70 bytes until garbage collection (deleting: 405)" in trial.detail
            assert visible(images.address) == []

    def test_a_refusal_and_a_registry_that_is_away(self) -> None:
        with registry(users={"pusher": "right"}) as guarded, pytest.raises(OutputError, match="401"):
            write(f"{guarded.address}/vms", ACCESS)
        with pytest.raises(OutputUnavailableError, match="not available"):
            write(NOWHERE, ACCESS)


@pytest.mark.parametrize(("skew", "grade"), [(0.5, Grade.FINE), (-61, Grade.WARNING), (3600, Grade.WARNING)])
def test_clocks_apart_are_a_warning(skew: float, grade: Grade) -> None:
    line = clock("clock", skew, "vCenter's clock", "this machine's")
    assert line.grade is grade
    assert ("NTP" in line.remedy) is (grade is Grade.WARNING)
