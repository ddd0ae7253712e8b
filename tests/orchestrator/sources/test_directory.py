"""A folder as a source: what is found, what is fit, and what is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from converters.descriptors.package import Verification
from converters.disks.base import ImageFile, PackedDisk, RawFile
from orchestrator.errors import UsageError
from orchestrator.fleet.assess import Obstacle, Verdict
from orchestrator.fleet.identity import fingerprint, job_ids
from orchestrator.job import machine_facts
from tests.converters.descriptors.packages import (
    Hard,
    envelope,
    hardware,
    machine,
    manifest,
    ova,
    system,
    write,
)
from tests.converters.disks import deltas
from tests.orchestrator.sources.folders import DISK, flat_disk, source, vmx

CAPACITY = f'ovf:capacity="{len(DISK)}"'


def verdicts(folder: Path, verification: Verification = Verification.CHECK) -> dict[str, Verdict]:
    """By what tells machines apart."""
    place = source(folder, verification)
    return {verdict.vm.moref: verdict for verdict in place.verdicts(place.stock().inventory.vms)}


def only(folder: Path) -> Verdict:
    (verdict,) = verdicts(folder).values()
    return verdict


def test_a_tree_of_everything(tmp_path: Path) -> None:
    vmx(tmp_path / "prod/web")
    flat_disk(tmp_path / "prod/web")
    disk = Hard("disk.raw", disk=CAPACITY)
    ova(tmp_path / "exports/mail.ova", {"mail.ovf": machine("mail", disk).encode(), "disk.raw": DISK})
    write(tmp_path / "exports/db", {"db.ovf": machine("db", disk).encode(), "disk.raw": DISK})
    write(tmp_path / "loose", {"alone.raw": DISK, "notes.txt": b"no machine"})
    write(tmp_path / ".snapshot", {"old.raw": DISK})
    found = verdicts(tmp_path)
    assert {moref: (one.vm.name, one.vm.folder) for moref, one in found.items()} == {
        "exports/db/db.ovf": ("db", "exports/db"),
        "exports/mail.ova": ("mail", "exports"),
        "loose/alone.raw": ("alone", "loose"),
        "prod/web/web.vmx": ("web", "prod/web"),
    }
    assert all(one.converts for one in found.values())
    sources = {moref: one.files.disks[0][1] for moref, one in found.items() if one.files}
    web = tmp_path / "prod/web"
    assert sources["prod/web/web.vmx"] == ImageFile(str(web / "web.vmdk"), "vmdk", str(tmp_path))
    assert sources["exports/db/db.ovf"] == RawFile(str(tmp_path / "exports/db/disk.raw"))
    packed = sources["exports/mail.ova"]
    assert isinstance(packed, PackedDisk)
    ((part,),) = (packed.parts,)
    with open(part.path, "rb") as file:
        file.seek(part.offset)
        assert file.read(part.size or 0) == DISK
    marks = found["prod/web/web.vmx"].files
    assert marks is not None
    assert sorted(Path(mark.path).name for mark in marks.marks) == ["web-flat.vmdk", "web.vmdk", "web.vmx"]


def test_what_a_descriptor_tells_of_the_machine(tmp_path: Path) -> None:
    vmx(
        tmp_path,
        "web",
        'numvcpus = "4"\nsched.cpu.max = "2000"\nsched.mem.max = "256"\nguestOS = "debian12-64"',
        'vc.uuid = "50 1b 1f 1b 73 00 32 bf-93 a1 1c b2 b4 e6 17 d6"\ncheckpoint.vmState = "web.vmss"',
    )
    flat_disk(tmp_path)
    verdict = only(tmp_path)
    facts = machine_facts(verdict.vm)
    assert (facts.vcpus, facts.memory_mib, facts.memory_limit_mib, facts.cpu_limit) == (4, 512, 256, None)
    assert facts.restart_priority == ""
    assert verdict.vm.instance_uuid == "501b1f1b-7300-32bf-93a1-1cb2b4e617d6"
    assert verdict.vm.disks[0].capacity == len(DISK)
    assert any("suspended" in remark for remark in verdict.remarks)
    assert any("MHz" in remark for remark in verdict.remarks)


def test_the_leaf_of_a_chain_is_read_and_all_of_it_counts(tmp_path: Path) -> None:
    flat_disk(tmp_path)
    flat_disk(tmp_path, "web-000001", "web.vmdk", cid="00000001")
    vmx(tmp_path, disks=["web-000001.vmdk"])
    verdict = only(tmp_path)
    assert verdict.converts
    assert verdict.files is not None
    names = {Path(mark.path).name for mark in verdict.files.marks}
    assert names == {"web.vmx", "web.vmdk", "web-flat.vmdk", "web-000001.vmdk", "web-000001-flat.vmdk"}


def test_images_that_others_are_made_over_are_no_machines(tmp_path: Path) -> None:
    flat_disk(tmp_path)
    flat_disk(tmp_path, "overlay", "web.vmdk", cid="00000001")
    assert list(verdicts(tmp_path)) == ["overlay.vmdk"]


def test_images_beside_a_machine_that_does_not_name_them_are_told(tmp_path: Path) -> None:
    vmx(tmp_path)
    flat_disk(tmp_path)
    flat_disk(tmp_path, "old")
    place = source(tmp_path)
    stock = place.stock()
    assert [vm.name for vm in stock.inventory.vms] == ["web"]
    (note,) = stock.notes
    assert "old.vmdk" in note
    (tmp_path / "web.vmdk").unlink()  # now the machine may be the one that should name it
    assert source(tmp_path).stock().notes == ()


def test_what_was_not_looked_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "source"
    flat_disk(root / "a")
    (root / "linked.ova").symlink_to(tmp_path / "elsewhere.ova")
    (root / "away").symlink_to(tmp_path)
    (root / "notes.txt").symlink_to("nowhere")
    scandir = os.scandir

    def guarded(path: str) -> object:  # root may list any folder
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    stock = source(root).stock()
    assert stock.inventory.vms == ()
    assert stock.notes == (
        "links are not followed: linked.ova, away",
        f"the folder {root / 'a'} cannot be listed (Permission denied) and is left out",
    )


def test_several_machines_of_one_envelope(tmp_path: Path) -> None:
    disks = [Hard("a.raw", disk=CAPACITY), Hard("b.raw", disk=CAPACITY)]
    inner = system("one", hardware(disks[:1])) + system("two", hardware(disks[1:], first=1))
    text = envelope(disks, f"<VirtualSystemCollection>{inner}</VirtualSystemCollection>")
    write(tmp_path, {"pair.ovf": text.encode(), "a.raw": DISK, "b.raw": DISK})
    found = verdicts(tmp_path)
    assert {moref: one.vm.name for moref, one in found.items()} == {
        "pair.ovf#one": "one",
        "pair.ovf#two": "two",
    }
    assert len(set(job_ids("source", [one.vm for one in found.values()]).values())) == 2


def lock_of_esxi_on_nfs(folder: Path) -> None:
    number = (folder / "web-flat.vmdk").stat().st_ino.to_bytes(8, "little").hex()
    (folder / f".lck-{number}").touch()


def lock_of_workstation(folder: Path) -> None:
    (folder / "web.vmdk.lck").mkdir()
    (folder / "web.vmdk.lck/M12345.lck").touch()


def lock_of_esxi(folder: Path) -> None:
    (folder / "web.vmx.lck").touch()


@pytest.mark.parametrize("lock", [lock_of_esxi, lock_of_esxi_on_nfs, lock_of_workstation])
def test_a_machine_in_use_is_refused(tmp_path: Path, lock: Callable[[Path], None]) -> None:
    vmx(tmp_path / "web")
    flat_disk(tmp_path / "web")
    assert only(tmp_path).converts
    (tmp_path / "web/.lck-ffffffffffffff00").touch()  # of some other file, or of before it was copied
    (tmp_path / "web/other.vmx.lck").touch()
    assert only(tmp_path).converts
    lock(tmp_path / "web")
    assert only(tmp_path).obstacle is Obstacle.IN_USE


@pytest.mark.parametrize(
    ("lines", "obstacle"),
    [
        ('guestOS = "windows2019srv-64"', Obstacle.WINDOWS),
        ('guestOS = "freebsd12-64"', Obstacle.OTHER_SYSTEM),
        ('encryption.keySafe = "vmware:key/list/()"', Obstacle.ENCRYPTED),
        ('annotation = "VMware vCenter Server Appliance|0A8.0"', Obstacle.INFRASTRUCTURE),
    ],
)
def test_machines_that_are_not_converted(tmp_path: Path, lines: str, obstacle: Obstacle) -> None:
    vmx(tmp_path, "web", lines)
    flat_disk(tmp_path)
    assert only(tmp_path).obstacle is obstacle


def test_templates_and_machines_without_disks(tmp_path: Path) -> None:
    flat_disk(tmp_path / "a")
    vmx(tmp_path / "a").rename(tmp_path / "a/web.vmtx")
    vmx(tmp_path / "b", disks=[])
    assert [one.obstacle for one in verdicts(tmp_path).values()] == [Obstacle.TEMPLATE, Obstacle.NO_DISK]


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ("gone.vmdk", "is 'gone.vmdk', which is absent"),
        ("../outside/web.vmdk", "lies outside the folder"),
        ("/etc/passwd", "is absent"),
        ("link.vmdk", "lies outside the folder"),
        ("cut.vmdk", "needs the extent 'cut-flat.vmdk', which is absent"),
        ("evil.vmdk", "is not a file of the folder"),
        ("empty.vmdk", "is empty"),
    ],
)
def test_disks_that_cannot_be_read_are_told(tmp_path: Path, disk: str, said: str) -> None:
    root = tmp_path / "source"
    vmx(root, disks=[disk])
    flat_disk(tmp_path / "outside")
    (root / "link.vmdk").symlink_to(tmp_path / "outside/web.vmdk")
    (root / "empty.vmdk").touch()
    flat_disk(root, "cut")
    (root / "cut-flat.vmdk").unlink()
    evil = flat_disk(root, "evil")
    evil.write_text(evil.read_text().replace("evil-flat.vmdk", "../../etc/passwd"))
    verdict = only(root)
    assert verdict.obstacle is Obstacle.UNREADABLE
    assert said in verdict.reason
    assert verdict.remedy


@pytest.mark.parametrize(
    "name",
    [
        "/vmfs/volumes/5458b680-34ec3500/base/base.vmdk",
        "/vmfs/volumes/Data Store 1/base/base.vmdk",
        "[Data Store 1] base/base.vmdk",
        "D:\\machines\\base\\base.vmdk",
        "../base/base.vmdk",
    ],
)
def test_disks_in_another_folder_of_the_source(tmp_path: Path, name: str) -> None:
    flat_disk(tmp_path / "base", "base")
    vmx(tmp_path / "web", disks=[name])
    verdict = verdicts(tmp_path)["web/web.vmx"]
    assert verdict.files is not None
    assert verdict.files.disks[0][1] == ImageFile(str(tmp_path / "base/base.vmdk"), "vmdk", str(tmp_path))


def test_an_absolute_name_may_mean_the_file_beside_the_machine(tmp_path: Path) -> None:
    vmx(tmp_path / "moved", disks=["/vmfs/volumes/5458b680/web/web.vmdk"])
    flat_disk(tmp_path / "moved")
    assert only(tmp_path).converts


def test_what_a_broken_package_says_costs_it_alone(tmp_path: Path) -> None:
    files = {"web.ovf": machine("web", Hard("disk.raw", disk=CAPACITY)).encode(), "disk.raw": DISK}
    write(tmp_path / "good", files)
    write(tmp_path / "lying", {**files, "web.mf": manifest({"web.ovf": b"else"}).encode()})
    write(tmp_path / "torn", {"web.ovf": files["web.ovf"][:300]})
    write(tmp_path / "cut", {"web.ova": b"no archive" * 100})
    found = verdicts(tmp_path)
    assert [moref for moref, one in found.items() if one.converts] == ["good/web.ovf"]
    assert all(one.reason and one.remedy for one in found.values() if not one.converts)
    strict = verdicts(tmp_path, Verification.REQUIRE)
    assert not any(one.converts for one in strict.values())


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    vmx(tmp_path / "web")
    flat_disk(tmp_path / "web")
    before = fingerprint(only(tmp_path).vm)
    assert fingerprint(only(tmp_path).vm) == before
    extent = tmp_path / "web/web-flat.vmdk"
    about = extent.stat()
    os.utime(extent, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    after = fingerprint(only(tmp_path).vm)
    assert after != before
    moved = shutil.copytree(tmp_path / "web", tmp_path / "elsewhere/web", copy_function=shutil.copy2)
    assert fingerprint(only(moved.parent).vm) == after


def test_a_source_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        source(tmp_path / "absent")
    assert source(tmp_path).stock().inventory.vms == ()


def test_what_a_disk_is_over_is_no_machine_of_its_own(tmp_path: Path) -> None:
    """Of checkpoints of Hyper-V the last is the machine, and a change of any file another content."""
    size, base, leaf = 2 * deltas.MIB, tmp_path / "web.vhd", tmp_path / "web_1.avhd"
    base.write_bytes(deltas.vhd(size, {0: b"0" * 512}, ident=bytes(15) + b"1"))
    parent = bytes(15) + b"1"
    leaf.write_bytes(deltas.vhd(size, {}, ident=bytes(15) + b"2", parent=parent, name="web.vhd"))
    verdict = only(tmp_path)
    assert verdict.vm.moref == "web_1.avhd"
    assert verdict.files is not None
    assert {mark.path for mark in verdict.files.marks} == {str(base), str(leaf)}
