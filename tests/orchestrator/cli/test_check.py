"""``orchestrate check`` tells the truth about a vCenter, a registry and workers, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.demo.registry import registry
from deploy.demo.simulator import Simulator
from orchestrator.errors import ExitCode
from orchestrator.probe.hosts import NFC_PORT
from tests.orchestrator.cli.conftest import HOSTS, Orchestrate
from tests.tls_server import tls_server


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Here the hosts are tried, too."""
    return {**environment, "ORCHESTRATE_SKIP_CHECK": ""}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[None]:
    """The ESXi hosts answer where export leases are served."""
    with ExitStack() as stack:
        try:
            for host in HOSTS:
                stack.enter_context(tls_server(tmp_path, host, NFC_PORT))
        except OSError as error:
            pytest.skip(f"no server can listen on port {NFC_PORT} of {host}: {error}")
        yield


def test_all_is_fine_and_nothing_was_changed(
    orchestrate: Orchestrate, simulator: Simulator, hosts: None
) -> None:
    made = simulator.leases().made
    said = orchestrate("check")
    assert said.status == ExitCode.OK, said.out + said.err
    assert "all is fine" in said.out
    for line in (
        "verified by its CA",
        "VirtualMachine.State.RemoveSnapshot on the VMs",
        "System.Read on their datastores",
        "1 of 1 can convert",
        "2 of 2 take a connection on port 443",
        "takes a blob, without a user name, and deletes it again",
        "the registry's clock is within 60 s",
        "free, written at",
        "1 worker, which may use 2.00 GiB",
        "vCenter's clock is within 60 s",
        "engine ext2fs",
        "engine uml",
        "engine guestfs",
    ):
        assert line in said.out
    assert simulator.count("CreateSnapshot_Task") == 0
    assert simulator.leases().made == made


def test_each_trouble_is_told_beside_the_others(orchestrate: Orchestrate, simulator: Simulator) -> None:
    simulator.change(denied_privileges=["VApp.Export"])
    said = orchestrate("check", "--datastore-free", "99", "--exclude", "big")
    assert said.status == ExitCode.SOME_FAILED
    assert "a run would not begin" in said.out
    assert "missing on 3 of 3" in said.out, said.out
    assert "add vApp > Export (VApp.Export) to the account's role" in said.out
    assert "free; the limit is 99%" in said.out
    assert "2 of 2 out of reach of the workers: 127.0.0.2: Connection refused" in said.out
    assert "open TCP 443" in said.out


def test_who_cannot_be_reached_is_told_and_the_rest_is_checked(orchestrate: Orchestrate) -> None:
    with registry(users={"pusher": "right"}) as guarded:
        said = orchestrate(
            "check",
            "--registry",
            f"{guarded.address}/vms",
            "--registry-username",
            "pusher",
            GOVC_PASSWORD="wrong",
            ORCHESTRATE_REGISTRY_PASSWORD="also wrong",
        )
    assert said.status == ExitCode.CANNOT_CONNECT
    assert "refuses the user name or password" in said.out
    assert said.out.count("401") >= 2, "from here and from the worker"
    assert "check --registry-username and its password" in said.out
    assert "engine ext2fs" in said.out


def test_an_unknown_datacenter_and_a_scheduler_that_is_not_there(orchestrate: Orchestrate) -> None:
    said = orchestrate("check", "--datacenter", "DC9", "--scheduler", "tcp://127.0.0.1:9")
    assert said.status == ExitCode.CANNOT_CONNECT
    assert "DC0" in said.out
    assert "tcp://127.0.0.1:9 cannot be reached" in said.out


def test_a_warning_lets_a_run_begin_and_machines_can_read_all_of_it(
    orchestrate: Orchestrate, hosts: None
) -> None:
    said = orchestrate("check", "--datastore-free", "99.9", "--format", "json")
    assert said.status == ExitCode.OK, said.out
    told = json.loads(said.out)
    assert told["version"] == 1 and told["can_begin"] is True
    grades = {(line["part"], line["name"]): line["grade"] for line in told["checks"]}
    assert grades["vCenter", "datastore datastore-0"] == "warning"
    assert grades["vCenter", "VApp.Export on the VMs"] == "fine"
    assert grades["workers", "workers"] == "fine"
    assert grades["workers", "ESXi hosts"] == "fine"
    (store,) = [line for line in told["checks"] if line["grade"] == "warning"]
    assert "lower --datastore-free" in store["remedy"]


def test_what_is_skipped_is_not_tried(orchestrate: Orchestrate) -> None:
    said = orchestrate(
        "check", "--skip-check", "hosts", "--skip-check", "registry", "--registry", "127.0.0.1:9/x"
    )
    assert said.status == ExitCode.OK, said.out
    assert "ESXi hosts" not in said.out and "127.0.0.1:9" not in said.out and "engine ext2fs" in said.out
    said = orchestrate("check", "--skip-check", "workers", "--scheduler", "tcp://127.0.0.1:9")
    assert said.status == ExitCode.OK, said.out


def test_a_run_refuses_to_begin_with_the_same_words(orchestrate: Orchestrate, simulator: Simulator) -> None:
    checked, ran = orchestrate("check", "--format", "json"), orchestrate()
    assert checked.status == ran.status == ExitCode.SOME_FAILED
    reasons = "; ".join(f"{host}: Connection refused" for host in HOSTS)
    words = f"2 of 2 out of reach of the workers: {reasons}; 4 VMs there would be set aside"
    assert words in checked.out and words in ran.err, checked.out + ran.err
    assert simulator.count("CreateSnapshot_Task") == 0
