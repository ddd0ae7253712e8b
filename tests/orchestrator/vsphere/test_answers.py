"""What is read must be what pyvmomi reads, to the last member."""

from __future__ import annotations

import copyreg
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import Serialize, SoapResponseDeserializer
from pyVmomi.VmomiSupport import DataObject, ManagedObject, Object

from orchestrator.errors import VCenterError
from orchestrator.vsphere import devices
from orchestrator.vsphere.answers import Page, PageStub, read
from orchestrator.vsphere.inventory import DISK_DEVICES, DISKS, SURROUNDINGS, TREE, VM
from orchestrator.vsphere.properties import below
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.stub import API_VERSION

PC = vmodl.query.PropertyCollector
STUB = SimpleNamespace(version=API_VERSION, SupportServerGUIDs=lambda: False)
NAMESPACES = (
    'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**31), 2**31 - 1)
sizes = st.integers(0, 2**63 - 1)
morefs = st.builds("{}-{}".format, st.sampled_from(["vm", "host", "group"]), st.integers(1, 9999))
hosts = st.builds(vim.HostSystem, morefs)
datastores = st.builds(vim.Datastore, morefs)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
descriptions = st.builds(vim.Description, label=texts, summary=texts)
shares = st.builds(vim.SharesInfo, shares=numbers, level=st.sampled_from(["low", "normal", "custom"]))
allocations = st.builds(
    vim.ResourceAllocationInfo,
    reservation=st.none() | sizes,
    limit=st.none() | st.just(-1) | sizes,
    shares=st.none() | shares,
)
backings = st.one_of(
    st.builds(
        vim.vm.device.VirtualDisk.FlatVer2BackingInfo,
        fileName=texts,
        diskMode=texts,
        datastore=st.none() | datastores,
        sharing=st.none() | texts,
        thinProvisioned=st.none() | st.booleans(),
        parent=st.builds(
            vim.vm.device.VirtualDisk.FlatVer2BackingInfo, fileName=texts, diskMode=texts, parent=st.none()
        ),
    ),
    st.builds(
        vim.vm.device.VirtualDisk.RawDiskMappingVer1BackingInfo,
        fileName=texts,
        compatibilityMode=st.none() | st.just("physicalMode"),
    ),
)
disks = st.builds(
    vim.vm.device.VirtualDisk,
    key=numbers,
    deviceInfo=st.none() | descriptions,
    backing=st.none() | backings,
    controllerKey=st.none() | numbers,
    capacityInKB=sizes,
    capacityInBytes=st.none() | sizes,
)
controllers = st.builds(
    vim.vm.device.ParaVirtualSCSIController,
    key=numbers,
    busNumber=numbers,
    device=st.lists(numbers, max_size=3),
    sharedBus=st.sampled_from(["noSharing", "virtualSharing", "physicalSharing"]),
)
others = st.one_of(
    st.builds(vim.vm.device.VirtualKeyboard, key=numbers, deviceInfo=st.none() | descriptions),
    st.builds(vim.vm.device.VirtualDevice, key=numbers),
)
listed_devices = st.lists(disks | controllers | others, max_size=6)
snapshots = st.builds(
    vim.vm.SnapshotTree,
    snapshot=st.builds(vim.vm.Snapshot, morefs),
    vm=st.builds(vim.VirtualMachine, morefs),
    name=texts,
    description=texts,
    createTime=instants,
    state=st.sampled_from(["poweredOn", "poweredOff"]),
    quiesced=st.booleans(),
)
chains = st.builds(vim.vm.SnapshotInfo, rootSnapshotList=st.lists(snapshots, min_size=1, max_size=3))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": texts,
    "runtime.host": hosts,
    "runtime.powerState": st.sampled_from(["poweredOn", "suspended"]).map(vim.VirtualMachine.PowerState),
    "config.template": st.booleans(),
    "config.cpuAllocation": allocations,
    "config.hardware.numCPU": numbers,
    "config.hardware.device": listed_devices.map(vim.vm.device.VirtualDevice.Array),
    "config.createDate": instants,
    "datastore": st.lists(datastores, max_size=3).map(vim.Datastore.Array),
    "snapshot": chains,
}
faults = st.one_of(
    st.just(vim.fault.NotAuthenticated(object=vim.Folder("group-1"), privilegeId="System.Read")),
    st.just(vmodl.fault.ManagedObjectNotFound(obj=vim.VirtualMachine("vm-1"))),
)
missing = st.builds(PC.MissingProperty, path=st.sampled_from(list(VALUES)), fault=faults)
properties = st.lists(
    st.sampled_from(list(VALUES)).flatmap(
        lambda path: st.builds(vmodl.DynamicProperty, name=st.just(path), val=VALUES[path])
    ),
    max_size=8,
    unique_by=lambda change: change.name,
)
contents = st.builds(
    PC.ObjectContent,
    obj=st.builds(vim.VirtualMachine, morefs),
    propSet=properties,
    missingSet=st.lists(missing, max_size=2),
)
results = st.builds(
    PC.RetrieveResult, token=st.none() | texts, objects=st.lists(contents, min_size=1, max_size=4)
)


@pytest.fixture(autouse=True, scope="module")
def plain_copies() -> Iterator[None]:
    """Faults are copied as pyvmomi means it, also where Dask has registered its own way for exceptions."""
    faults = [kind for kind in copyreg.dispatch_table if issubclass(kind, vmodl.MethodFault)]
    registered = {kind: copyreg.dispatch_table.pop(kind) for kind in faults}
    yield
    copyreg.dispatch_table.update(registered)


def envelope(body: str, head: str = "") -> bytes:
    """An answer as servers send it."""
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>\n{head}<soapenv:Envelope {NAMESPACES}><soapenv:Body>"
        f'<RetrievePropertiesExResponse xmlns="urn:vim25">{body}</RetrievePropertiesExResponse>'
        "</soapenv:Body></soapenv:Envelope>"
    ).encode()


def serialized(result: Any) -> bytes:
    """The answer that pyvmomi would send for a ``RetrieveResult``."""
    part = Object(name="returnval", type=PC.RetrieveResult, flags=0, version=API_VERSION)
    return envelope(Serialize(result, part, API_VERSION).decode())


def shape(value: Any) -> Any:
    """The value with the types of all that is in it; data objects and managed ones do not compare so."""
    if isinstance(value, DataObject):
        members = {info.name: shape(getattr(value, info.name)) for info in value._GetPropertyList()}
        return type(value), members
    if isinstance(value, ManagedObject):
        return type(value), value._moId, value._serverGuid
    if isinstance(value, list):
        return type(value), [shape(item) for item in value]
    return type(value), value


def ours(page: Page) -> Any:
    """Everything in the page, comparable."""
    return page.token, [
        (
            found.kind,
            found.moref,
            {path: shape(value) for path, value in found.values.items()},
            [shape(entry) for entry in found.missing],
        )
        for found in page.objects
    ]


def theirs(document: bytes, stub: Any = STUB) -> Any:
    """What pyvmomi reads, in the form of ``ours``."""
    result: Any = SoapResponseDeserializer(stub).Deserialize(document, PC.RetrieveResult)
    return (result.token or "") if result else "", [
        (
            type(content.obj),
            content.obj._moId,
            {change.name: shape(change.val) for change in content.propSet if change.val is not None},
            [shape(entry) for entry in content.missingSet],
        )
        for content in (result.objects if result else ())
    ]


@given(results)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_answer_reads_as_by_pyvmomi(result: Any) -> None:
    document = serialized(result)
    assert ours(read(document, STUB)) == theirs(document)


@given(listed_devices)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_disks_are_the_same_without_the_other_devices(listed: list[Any]) -> None:
    change = vmodl.DynamicProperty(
        name="config.hardware.device", val=vim.vm.device.VirtualDevice.Array(listed)
    )
    result = PC.RetrieveResult(objects=[PC.ObjectContent(obj=vim.VirtualMachine("vm-1"), propSet=[change])])
    (found,) = read(serialized(result), STUB, DISK_DEVICES).objects
    kept = found.values["config.hardware.device"]
    assert all(isinstance(device, devices.NEEDED) for device in kept)
    assert devices.disks(kept) == devices.disks(listed)


class Recorder:
    """A stub that keeps the documents that pass."""

    def __init__(self, session: Session) -> None:
        self.documents: list[bytes] = []
        self._send = session.stub.document
        session.stub.document = self.document  # type: ignore[method-assign]

    def document(self, mo: Any, info: Any, args: Any) -> bytes:
        self.documents.append(self._send(mo, info, args))
        return self.documents[-1]


def test_a_whole_vcenter_reads_as_by_pyvmomi(session: Session) -> None:
    recorder = Recorder(session)
    for paths in (
        TREE,
        SURROUNDINGS,
        {vim.VirtualMachine: (*VM[vim.VirtualMachine], *DISKS[vim.VirtualMachine])},
    ):
        below(session, session.content.rootFolder, paths, lambda row: row, page=40)
    assert len(recorder.documents) > 20
    for document in recorder.documents:
        assert ours(read(document, session.stub)) == theirs(document, session.stub)


def test_a_page_does_not_stay_in_memory(session: Session) -> None:
    recorder = Recorder(session)
    below(session, session.content.rootFolder, DISKS, lambda row: row.moref, page=500)
    document = max(recorder.documents, key=len)
    tracemalloc.start()
    try:
        read(document, STUB, DISK_DEVICES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(document)


def test_nothing_found_is_an_empty_page() -> None:
    assert read(envelope(""), STUB) == Page((), "")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "no element found"),
        (b"<html></html>", "no answer of the vSphere API"),
        (envelope("<returnval><token>t</token>")[:-60], "unclosed token"),
        (envelope("", '<!DOCTYPE a [<!ENTITY x "y">]>'), "document type"),
        (envelope("<returnval><object/></returnval>"), "among the objects"),
        (envelope("<returnval><objects><propSet/></objects></returnval>"), "no object"),
        (envelope('<returnval><objects><obj type="Nothing">x</obj></objects></returnval>'), "Nothing"),
        (envelope('<returnval xmlns:xsd="urn:other"></returnval>'), "two namespaces"),
    ],
)
def test_what_cannot_be_read_is_said(document: bytes, why: str) -> None:
    with pytest.raises(VCenterError, match=why):
        read(document, STUB)


def test_references_call_through_the_stub() -> None:
    document = envelope(
        '<returnval><objects><obj type="VirtualMachine">vm-1</obj><propSet><name>runtime.host</name>'
        '<val xsi:type="ManagedObjectReference" type="HostSystem">host-1</val></propSet></objects>'
        "</returnval>"
    )
    stub = PageStub(SimpleNamespace(version=API_VERSION, document=lambda *call: document), {})
    (found,) = stub.InvokeMethod(None, None, None).objects
    assert found.values["runtime.host"]._stub.document() == document
