"""Facts of a running machine: read, refused, and put over what its files tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converters.guest.facts import GuestFacts, Port, Release, Role, Service
from converters.running.document import RunningFacts, RunningFactsError, read_running_facts
from converters.running.merge import SOURCE, with_running

SCHEMA = Path(__file__).parents[2] / "docs" / "running-facts.schema.json"


def facts(**fields: Any) -> RunningFacts:
    """A valid document with these fields."""
    return RunningFacts.model_validate({**document(), **fields})


def document() -> dict[str, Any]:
    """What every document has."""
    return {"version": 1, "machine": "web01", "taken": "2026-03-01T12:00:00Z"}


def service(name: str, command: str, *ports: Port) -> Service:
    """A service of the guest."""
    return Service(name, f"/lib/{name}", Role.APPLICATION, "", (command,), ports=ports)


def guest(*services: Service) -> GuestFacts:
    """A guest with these services."""
    release = Release("debian", "12", "Debian", "debian", "/etc/os-release")
    return GuestFacts(release, "amd64", "web01", "systemd", services)


def socket(port: int, protocol: str = "tcp", address: str = "0.0.0.0", **more: object) -> dict[str, object]:
    """A listening socket."""
    return {"protocol": protocol, "address": address, "port": port, **more}


WEB = service("nginx", "/usr/sbin/nginx", Port(80, "tcp", "/etc/nginx/nginx.conf"))
PROCESS = {"pid": 7, "program": "/usr/sbin/nginx", "unit": "nginx.service"}


def test_the_schema_in_the_documents_is_the_models() -> None:
    """``python -m tests.converters.test_running`` writes it."""
    assert json.loads(SCHEMA.read_text()) == RunningFacts.model_json_schema()


def test_real_sockets_beat_configuration_and_both_are_told() -> None:
    merged = with_running(guest(WEB), facts(sockets=[socket(8080, process=7)], processes=[PROCESS]))
    assert merged.services[0].ports == (Port(8080, "tcp", SOURCE),)
    assert merged.notes == (
        "Service nginx: /etc/nginx/nginx.conf says 80/tcp, and the running machine did not listen there;"
        " the running machine counts.",
        "Service nginx: the running machine listened on 8080/tcp, which no configuration that was read says.",
    )


def test_agreement_is_silent_and_the_source_is_the_better_one() -> None:
    merged = with_running(guest(WEB), facts(sockets=[socket(80, unit="nginx.service")]))
    assert merged.services[0].ports == (Port(80, "tcp", SOURCE),)
    assert not merged.notes


@pytest.mark.parametrize(
    "fields",
    [
        {"sockets": [socket(80, unit="nginx.socket")]},
        {"sockets": [socket(80, process=7)], "processes": [PROCESS]},
        {"sockets": [socket(80, process=8)], "processes": [{"pid": 8, "program": "/opt/sbin/nginx"}]},
        {"sockets": [socket(80, process=1)], "processes": [{"pid": 1, "program": "/lib/systemd/systemd"}]},
    ],
    ids=["unit", "unit of the process", "program", "port"],
)
def test_whose_socket_it_is(fields: dict[str, Any]) -> None:
    other = service("app", "/usr/bin/python3", Port(9000, "tcp", "command line"))
    merged = with_running(guest(WEB, other), facts(**fields))
    assert merged.services[0].ports == (Port(80, "tcp", SOURCE),)
    assert merged.services[1].ports == other.ports


def test_both_families_are_one_port_and_loopback_stays_inside() -> None:
    sockets = [
        socket(80, unit="nginx.service"),
        socket(80, address="::", unit="nginx.service"),
        socket(81, address="127.0.0.1", unit="nginx.service"),
    ]
    merged = with_running(guest(WEB), facts(sockets=sockets))
    assert merged.services[0].ports == (Port(80, "tcp", SOURCE), Port(81, "tcp", SOURCE, loopback=True))


def test_what_did_not_run_keeps_its_configuration() -> None:
    merged = with_running(guest(WEB), facts(processes=[{"pid": 1, "program": "/sbin/init"}]))
    assert merged.services[0].ports == WEB.ports
    assert merged.notes == ("Service nginx did not run when the machine was looked at.",)


def test_what_ran_without_a_socket_has_none() -> None:
    merged = with_running(guest(WEB), facts(processes=[PROCESS]))
    assert merged.services[0].ports == ()


def test_strangers_are_told_and_clients_left_out() -> None:
    sockets = [socket(9000, process=5), socket(40000, "udp", process=5)]
    merged = with_running(
        guest(WEB), facts(sockets=sockets, processes=[{"pid": 5, "command": ["app", "-x"]}])
    )
    assert [note for note in merged.notes if "9000" in note] == [
        "The running machine listened on 9000/tcp (app -x): no service that was found has this socket."
    ]
    assert not [note for note in merged.notes if "40000" in note]


def test_thousands_of_strangers_are_no_thousands_of_notes() -> None:
    merged = with_running(guest(), facts(sockets=[socket(port) for port in range(1, 5000)]))
    assert len(merged.notes) <= 20


def test_a_file_is_found_by_the_machines_name(tmp_path: Path) -> None:
    content = {**document(), "machine": "web/01", "sockets": [socket(80, said="HTTP 200")]}
    (tmp_path / "web%2f01.json").write_text(json.dumps(content))
    found = read_running_facts(tmp_path, "web/01")
    assert found is not None
    assert found.answers == {("tcp", 80): "HTTP 200"}
    assert read_running_facts(tmp_path, "db01") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version"),
        ({"machine": "db01"}, "facts of 'db01'"),
        ({"sockets": [socket(0)]}, "sockets.0.port"),
        ({"sockets": [socket(80, address="example.org")]}, "sockets.0.address"),
        ({"extra": 1}, "extra"),
        ({"collector": "x" * 5000}, "collector"),
    ],
)
def test_what_is_no_such_document_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "web01.json"
    path.write_text(json.dumps({**document(), **change}))
    with pytest.raises(RunningFactsError, match=message) as raised:
        read_running_facts(tmp_path, "web01")
    assert str(path) in raised.value.message
    assert "docs/running-facts.md" in raised.value.hint


def test_a_file_of_any_size_is_no_trouble(tmp_path: Path) -> None:
    with (tmp_path / "web01.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RunningFactsError, match="larger than 32 MiB"):
        read_running_facts(tmp_path, "web01")


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(RunningFacts.model_json_schema(), indent=2) + "\n")
