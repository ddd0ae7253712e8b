"""Paths of files on datastores, and disks that cannot be read there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from pydantic import SecretStr

from deploy.demo import guests
from deploy.demo.fleet import Datacenter, Datastore, Disk, Fleet, Machine
from deploy.demo.simulator import Simulator
from orchestrator.errors import DisksChangedError, UnreadableError, VCenterError
from orchestrator.vsphere.chain import DatastoreReader
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.datastore import DatastorePath
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import QuiescePolicy, SnapshotRef
from tests.conftest import StartSimulator

STORE = "Data Store 1"
WORDS = {
    "zero": "RW {sectors} ZERO",
    "rdm": 'RW {sectors} VMFSRDM "rdm-rdmp.vmdk"',
    "short": 'RW 99999999 VMFS "short-flat.vmdk"',
    "away": 'RW {sectors} VMFS "nowhere-flat.vmdk"',
    "outside": 'RW {sectors} VMFS "../plain/plain-flat.vmdk"',
    "child": 'parentCID=12345678\nRW {sectors} VMFS "child-flat.vmdk"',
}
"""What stands in the descriptors of VMs that cannot be read in place."""


def test_a_path_is_split_where_the_datastore_ends() -> None:
    path = DatastorePath.parse("[Data Store 1] my vm/my vm.vmdk")
    assert path == DatastorePath("Data Store 1", "my vm/my vm.vmdk")
    wanted = "/folder/my%20vm/my%20vm.vmdk?dcPath=sites/DC%200&dsName=Data%20Store%201"
    assert path.target("sites/DC 0") == wanted
    assert str(path.beside("my vm-flat.vmdk")) == "[Data Store 1] my vm/my vm-flat.vmdk"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("[a] b] c/d.vmdk", "/folder/b%5D%20c/d.vmdk?dcPath=DC&dsName=a"),
        ("[é] 100%/ü#?&+.vmdk", "/folder/100%25/%C3%BC%23%3F%26%2B.vmdk?dcPath=DC&dsName=%C3%A9"),
        ("[x%2fy] top.vmdk", "/folder/top.vmdk?dcPath=DC&dsName=x%252fy"),
    ],
)
def test_names_are_quoted_once(text: str, target: str) -> None:
    assert DatastorePath.parse(text).target("DC") == target


@pytest.mark.parametrize(
    "text", ["", "a/b.vmdk", "[ds]a.vmdk", "[ds] ", "[] a.vmdk", "/vmfs/volumes/x/y.vmdk"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(VCenterError, match="no path of a datastore"):
        DatastorePath.parse(text)


@pytest.mark.parametrize("name", ["", "..", "a/b.vmdk", "/vmfs/volumes/x.vmdk", "a\0b"])
def test_an_extent_lies_in_the_folder_of_its_descriptor(name: str) -> None:
    with pytest.raises(VCenterError, match="not one of its own folder"):
        DatastorePath.parse("[ds] vm/vm.vmdk").beside(name)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    guest, folder = guests.small("datastore"), tmp_path_factory.mktemp("descriptors")
    sectors = guest.raw.stat().st_size // 512
    machines = [Machine("plain", datastore=STORE, disks=(Disk(str(guest.vmdk), str(guest.raw)),))]
    for name, words in WORDS.items():
        text = folder / name
        text.write_text(
            "# Disk DescriptorFile\nversion=1\nCID=fffffffe\n" + words.format(sectors=sectors) + "\n"
        )
        disk = Disk(
            str(text), capacity=guest.raw.stat().st_size, files=((f"{name}-flat.vmdk", str(guest.raw)),)
        )
        machines.append(Machine(name, datastore=STORE, disks=(disk,)))
    machines.append(Machine("sparse", datastore=STORE, disks=(Disk(str(guest.vmdk)),)))
    machines.append(Machine("object", datastore="vv", disks=(Disk(str(guest.vmdk), str(guest.raw)),)))
    stores = (Datastore(STORE), Datastore("vv", type="VVOL"))
    return Fleet((Datacenter("DC 0", folders=("a b",), datastores=stores, vms=tuple(machines)),))


@pytest.fixture
def simulator(start_simulator: StartSimulator, fleet: Fleet) -> Simulator:
    return start_simulator(fleet)


Freeze = Callable[[str], SnapshotRef]


@pytest.fixture
def vcenter(simulator: Simulator) -> Iterator[VCenter]:
    settings = VCenterSettings.parse(
        simulator.url, simulator.username, SecretStr(simulator.password), ca_file=str(simulator.ca_file)
    )
    with VCenter(settings) as connected:
        yield connected


@pytest.fixture
def freeze(vcenter: VCenter) -> Iterator[Freeze]:
    """Makes a snapshot of a VM, which is removed at the end."""
    vms = {vm.name: vm.moref for vm in vcenter.inventory("DC 0").vms}
    made: list[SnapshotRef] = []

    def snapshot(name: str) -> SnapshotRef:
        marker = Marker("ledger", "run", "job", expires=int(vcenter.current_time()) + 600)
        made.append(vcenter.create_snapshot(vms[name], marker, QuiescePolicy.NEVER))
        return made[-1]

    yield snapshot
    for one in made:
        vcenter.remove_snapshot(one)


@pytest.fixture
def reader(vcenter: VCenter) -> Iterator[DatastoreReader]:
    with closing(vcenter.datastores(4)) as made:
        yield made


def test_what_the_snapshot_holds_is_opened(reader: DatastoreReader, freeze: Freeze) -> None:
    frozen = reader.open(freeze("plain"))
    ((disk, raw),) = [(disk, guests.small("datastore").raw) for disk in frozen.disks]
    assert disk.paths == (f"[{STORE}] plain/plain.vmdk",)  # not the delta that the VM writes to
    (file,) = disk.disk.files
    assert (file.size, disk.disk.capacity) == (raw.stat().st_size, raw.stat().st_size)
    assert "dcPath=a%20b/DC%200&" in file.url
    assert file.version
    found = reader.file(file)
    assert reader.folder.read(found, 1 << 20, 4096) == raw.read_bytes()[1 << 20 :][:4096]
    reader.verify(frozen)


def test_a_snapshot_that_is_removed_meanwhile(
    reader: DatastoreReader, vcenter: VCenter, freeze: Freeze
) -> None:
    snapshot = freeze("plain")
    frozen = reader.open(snapshot)
    vcenter.remove_snapshot(snapshot)
    with pytest.raises(DisksChangedError, match="is no longer there"):
        reader.verify(frozen)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zero", "RW ZERO"),
        ("rdm", "RW VMFSRDM"),
        ("short", "a file of it"),
        ("away", "404"),
        ("outside", "not one of its own folder"),
        ("child", "name different parents"),
        ("sparse", "descriptor"),
        ("object", "type VVOL"),
    ],
)
def test_what_cannot_be_read_exactly_is_told(
    reader: DatastoreReader, freeze: Freeze, name: str, words: str
) -> None:
    with pytest.raises(UnreadableError, match=words):
        reader.open(freeze(name))
