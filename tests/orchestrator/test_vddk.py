"""``--transport vddk`` with a stand-in for VMware's library: a plugin of nbdkit's that serves a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from converters.disks import NbdSource, open_disk
from converters.disks.remote import at_hand
from deploy.demo import guests
from deploy.demo.fleet import Datacenter, Disk, Fleet, Machine
from deploy.demo.simulator import Simulator
from orchestrator.errors import DisksChangedError, UnreadableError, UsageError
from orchestrator.nbdkit import Vddk
from orchestrator.proxy import Proxy
from orchestrator.settings import Settings
from orchestrator.transports import vddk
from orchestrator.vddk import VddkExporter
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import QuiescePolicy, SnapshotRef
from tests.conftest import StartSimulator

PLUGIN = """#!/bin/sh
case "$1" in
    config)
        echo "$2=$3" >> "{log}"
        [ "$2" != password ] || echo "read $(cat "/proc/self/fd/${{3#-}}")" >> "{log}" ;;
    dump_plugin|can_write|can_trim|can_zero|can_flush) [ "$1" = dump_plugin ] || exit 3 ;;
    thread_model) echo parallel ;;
    open) [ ! -e "{broken}" ] || {{ echo "ENOENT VixDiskLib_Open: file not found" >&2; exit 1; }} ;;
    get_size) stat -L -c %s "{disk}" ;;
    pread) dd if="{disk}" iflag=skip_bytes,count_bytes skip="$4" count="$3" bs=1M status=none ;;
    *) exit 2 ;;
esac
"""


@dataclass
class Place:
    vcenter: VCenter
    library: Vddk
    snapshot: SnapshotRef
    log: Path
    broken: Path
    """While it is there, the stand-in opens no disk."""


@pytest.fixture
def place(start_simulator: StartSimulator, tmp_path: Path) -> Iterator[Place]:
    guest = guests.small("vddk")
    machine = Machine("my vm", disks=(Disk(str(guest.vmdk), str(guest.raw)),))
    simulator = start_simulator(Fleet((Datacenter("DC0", vms=(machine,)),)))
    log, broken, script = tmp_path / "log", tmp_path / "broken", tmp_path / "plugin"
    script.write_text(PLUGIN.format(log=log, broken=broken, disk=guest.raw))
    script.chmod(0o700)
    settings = vcenter_settings(simulator)
    library = Vddk(settings, simulator.thumbprint, str(tmp_path), "nbdssl:nbd", ("sh", str(script)))
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib64/libvixDiskLib.so.8").touch()
    with VCenter(settings) as vcenter:
        (vm,) = vcenter.inventory("DC0").vms
        marker = Marker("ledger", "run", "job", expires=int(vcenter.current_time()) + 600)
        snapshot = vcenter.create_snapshot(vm.moref, marker, QuiescePolicy.NEVER)
        yield Place(vcenter, library, snapshot, log, broken)
        vcenter.remove_snapshot(snapshot)
    assert simulator.snapshots() == []


def vcenter_settings(simulator: Simulator) -> VCenterSettings:
    return VCenterSettings.parse(
        simulator.url, simulator.username, SecretStr(simulator.password), ca_file=str(simulator.ca_file)
    )


def test_a_disk_comes_through_nbdkit_and_the_proxy(place: Place, tmp_path: Path) -> None:
    place.library.require()
    content = guests.small("vddk").raw.read_bytes()
    with (
        closing(place.vcenter.datastores(4)) as reader,
        Proxy("127.0.0.1") as proxy,
        VddkExporter(reader, place.library, proxy, 60) as exporter,
    ):
        held = exporter.begin(place.snapshot)
        with at_hand(held.beside(()), tmp_path) as hand:
            (source,) = hand.disks
            assert isinstance(source, NbdSource)
            disk = open_disk(source)
            assert disk.pread(1 << 20, 5) == content[5 : (1 << 20) + 5]
            disk.close()
            hand.check()
        exporter.verify(held)
        exporter.end(held)
        exporter.end(held)
        with pytest.raises(DisksChangedError):
            exporter.verify(held)
    assert not list(Path("/tmp").glob("orchestrate-vddk-*/socket"))
    words = place.log.read_text().splitlines()
    assert f"read {place.library.vcenter.password.get_secret_value()}" in words
    given = dict(word.split("=", 1) for word in words if "=" in word)
    descriptor = given.pop("password")
    assert int(descriptor) < -2
    assert given == {
        "libdir": str(tmp_path),
        "server": "127.0.0.1",
        "port": str(place.library.vcenter.port),
        "user": place.library.vcenter.username,
        "thumbprint": place.library.thumbprint,
        "vm": f"moref={place.snapshot.vm}",
        "snapshot": place.snapshot.moref,
        "transports": "nbdssl:nbd",
        "file": "[datastore-0] my vm/my vm.vmdk",  # what the snapshot holds, not where the VM writes
    }


def test_what_vddk_cannot_open_goes_by_the_lease(place: Place) -> None:
    place.broken.touch()
    with (
        closing(place.vcenter.datastores(4)) as reader,
        Proxy("127.0.0.1") as proxy,
        VddkExporter(reader, place.library, proxy, 60) as exporter,
        pytest.raises(UnreadableError, match=r"my vm/my vm\.vmdk"),
    ):
        exporter.begin(place.snapshot)


def test_what_is_missing_is_told_before_the_first_snapshot(place: Place, tmp_path: Path) -> None:
    library = place.library
    with pytest.raises(UsageError, match=r"no lib64/libvixDiskLib.so\* in a folder that --vddk-libdir"):
        replace(library, libdir="").require()
    with pytest.raises(UsageError, match="a user name and a password"):
        replace(library, vcenter=replace(library.vcenter, token_file="/x")).require()
    with pytest.raises(UsageError, match=r"cannot open plugin 'nothing'.*nbdkit-plugin-vddk"):
        replace(library, plugin=("nothing",)).require()
    settings = Settings(
        vcenter=library.vcenter.url,
        username=library.vcenter.username,
        password=library.vcenter.password,
        ca_file=Path(library.vcenter.ca_files[0]),
        vddk_libdir=tmp_path,
    )
    made = vddk(settings)
    assert (made.thumbprint, made.libdir, made.plugin) == (library.thumbprint, str(tmp_path), ("vddk",))
    assert library.vcenter.password.get_secret_value() not in repr(made)
