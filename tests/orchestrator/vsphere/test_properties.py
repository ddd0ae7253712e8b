from __future__ import annotations

from pyVmomi import vim

from deploy.demo.simulator import Rule, Simulator
from orchestrator.vsphere.properties import Row, below, of, one
from orchestrator.vsphere.session import Session
from tests.orchestrator.vsphere.conftest import BIG, VMS

NAMES = {vim.VirtualMachine: ("name", "runtime.powerState")}
ALL = BIG + len(VMS)


def test_pages_bring_every_object_once(session: Session, simulator: Simulator) -> None:
    morefs = below(session, session.content.rootFolder, NAMES, lambda row: row.moref, page=100)
    assert len(set(morefs)) == len(morefs) == ALL
    assert simulator.count("RetrievePropertiesEx") == 1
    assert simulator.count("ContinueRetrievePropertiesEx") == (ALL - 1) // 100
    assert simulator.count("CreateContainerView") == simulator.count("DestroyView") == 1


def test_several_types_come_in_one_retrieval(session: Session) -> None:
    paths = {vim.HostSystem: ("name",), vim.Datastore: ("name",)}
    found = below(
        session, session.content.rootFolder, paths, lambda row: (row.kind.__name__, row.get("name"))
    )
    assert ("vim.HostSystem", "esx-0.example.com") in found
    assert ("vim.Datastore", "full") in found


def test_what_is_unset_is_absent_on_the_first_and_on_later_pages(session: Session) -> None:
    paths = {vim.VirtualMachine: ("name", "snapshot", "parentVApp")}
    rows = below(session, session.content.rootFolder, paths, lambda row: row, page=5)
    assert len(rows) == ALL
    assert all("parentVApp" not in row.values for row in rows)
    assert {row.get("name") for row in rows if row.get("snapshot") is not None} == {"web%2f1", "deep"}


def test_a_page_that_is_lost_costs_no_object_and_no_session(session: Session, simulator: Simulator) -> None:
    simulator.inject(Rule("ContinueRetrievePropertiesEx", drop=True, skip=1, count=1))
    simulator.inject(Rule("DestroyView", drop=True, count=5))
    morefs = below(session, session.content.rootFolder, NAMES, lambda row: row.moref, page=100)
    assert len(set(morefs)) == len(morefs) == ALL
    assert simulator.count("RetrievePropertiesEx") == 2
    assert len(simulator.sessions()) == 1


def test_a_session_that_ends_between_pages_loses_and_doubles_nothing(
    session: Session, simulator: Simulator
) -> None:
    ended: list[int] = []

    def parse(row: Row) -> str:
        if not ended:
            ended.append(simulator.end_sessions())
        return row.moref

    morefs = below(session, session.content.rootFolder, NAMES, parse, page=100)
    assert ended == [1]
    assert len(set(morefs)) == len(morefs) == ALL
    assert session.generation == 2


def test_an_answer_that_hides_the_sessions_end_is_asked_again(session: Session, simulator: Simulator) -> None:
    moref = simulator.vms()[0].moref
    simulator.end_sessions()
    row = one(session, session.managed(vim.VirtualMachine, moref), ("name",))
    assert row is not None
    assert row.get("name")
    assert session.generation == 2


def test_objects_that_are_gone_are_left_out(session: Session, simulator: Simulator) -> None:
    morefs = [vm.moref for vm in simulator.vms()[:5]]
    asked = [session.managed(vim.VirtualMachine, moref) for moref in [*morefs[:2], "vm-999999", *morefs[2:]]]
    assert sorted(of(session, asked, NAMES, lambda row: row.moref)) == sorted(morefs)
    assert one(session, session.managed(vim.VirtualMachine, "vm-999999"), ("name",)) is None
