"""What a guest mounts at boot: fstab, mount units, and which of them counts where both say something."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.filesystems.boot_mounts import MOST, BootMounts, boot_mounts
from converters.filesystems.fstab import Line
from converters.guest.files import GuestFiles
from converters.guest.services.unit_file import Settings, parse_unit
from converters.guest.services.words import escape_path, unescape_name
from tests.converters.filesystems.guest_disks import Files, fill
from tests.directory_filesystem import DirectoryFilesystem

CASES = Path(__file__).parents[4] / "shared/cases/UNIT-01/test"
needs_cases = pytest.mark.skipif(
    not CASES.exists(), reason="the folder shared/cases is not beside the checkout"
)

SYSTEMD: Files = {
    "usr/lib/systemd/systemd": "",
    "sbin/init": "-> /usr/lib/systemd/systemd",
    "usr/lib/systemd/system/default.target": "[Unit]\nRequires=basic.target\nWants=web.service\n",
    "usr/lib/systemd/system/basic.target": "[Unit]\nRequires=sysinit.target\n",
    "usr/lib/systemd/system/sysinit.target": "[Unit]\nWants=local-fs.target\n",
    "usr/lib/systemd/system/local-fs.target": "[Unit]\n",
}
ETC, USR = "etc/systemd/system", "usr/lib/systemd/system"


def mount(what: str, where: str, type: str = "ext4", options: str = "") -> str:
    return f"[Mount]\nWhat={what}\nWhere={where}\nType={type}\nOptions={options}\n"


def found(root: Path, fstab: str, files: Files) -> BootMounts:
    fill(root, files)
    return boot_mounts(GuestFiles(DirectoryFilesystem(root)), fstab.encode())


def short(lines: tuple[Line, ...]) -> list[tuple[str, str]]:
    return [(line.source, line.target) for line in lines]


def test_without_systemd_all_but_noauto_is_mounted(tmp_path: Path) -> None:
    fstab = (
        "/dev/sda1 / ext3 defaults 1 1\n/dev/sda2 swap swap sw 0 0\n/dev/sdb1 /data ext3 defaults 1 2\n"
        "/dev/cdrom /media auto noauto,ro 0 0\n/dev/sdc1 /data ext3 defaults 1 2\n"
        "/dev/sdd1 /auto ext3 noauto,x-systemd.automount 1 2\n"
    )
    mounts = found(tmp_path, fstab, {"sbin/init": "sysvinit", "etc/inittab": ""})
    assert short(mounts.mounted) == [("/dev/sdc1", "/data")]
    assert short(mounts.skipped) == [("/dev/cdrom", "/media"), ("/dev/sdd1", "/auto")]
    assert short(mounts.swap) == [("/dev/sda2", "swap")]
    assert mounts.notes == ("/etc/fstab mounts /data twice; the later entry is followed.",)


def test_systemd_takes_the_first_of_two_entries(tmp_path: Path) -> None:
    mounts = found(tmp_path, "/dev/sdb1 /data ext4\n/dev/sdc1 /data/ ext4\n", SYSTEMD)
    assert short(mounts.mounted) == [("/dev/sdb1", "/data")]
    assert mounts.notes == ("/etc/fstab mounts /data twice; the first entry is followed.",)


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        ("defaults", True),
        ("nofail,x-systemd.device-timeout=9", True),
        ("noauto", False),
        ("noauto,x-systemd.automount", True),
        ("noauto,x-systemd.wanted-by=web.service", True),
        ("x-systemd.required-by=other.service", False),
        ("noauto,x-systemd.required-by=other.service,x-systemd.wanted-by=web.service", True),
        ("x-initrd.mount,x-systemd.growfs", True),
    ],
)
def test_options_that_say_when(tmp_path: Path, options: str, starts: bool) -> None:
    web = {f"{USR}/web.service": "[Service]\nExecStart=/bin/web\n"}
    mounts = found(tmp_path, f"/dev/sdb1 /srv/a-b ext4 {options} 0 2\n", {**SYSTEMD, **web})
    assert [line.target for line in mounts.mounted] == ["/srv/a-b"] * starts
    assert [line.target for line in mounts.skipped] == ["/srv/a-b"] * (not starts)


def test_a_service_that_needs_a_path_mounts_it(tmp_path: Path) -> None:
    files = {
        **SYSTEMD,
        f"{USR}/web.service": "[Unit]\nRequiresMountsFor=/srv/www/x /opt\n[Service]\nExecStart=/bin/web\n",
        f"{ETC}/opt.mount": mount("LABEL=opt", "/opt"),
        f"{ETC}/unasked.mount": mount("LABEL=no", "/unasked"),
    }
    mounts = found(tmp_path, "UUID=1 /srv/www ext4 noauto 0 0\nUUID=2 /srv/ww ext4 noauto 0 0\n", files)
    assert short(mounts.mounted) == [("LABEL=opt", "/opt"), ("UUID=1", "/srv/www")]
    assert short(mounts.skipped) == [("UUID=2", "/srv/ww")]


def test_units_are_mounted_when_something_pulls_them(tmp_path: Path) -> None:
    wants, requires = f"{ETC}/local-fs.target.wants", f"{ETC}/web.service.requires"
    files = {
        **SYSTEMD,
        f"{USR}/web.service": "[Service]\nExecStart=/bin/web\n",
        f"{ETC}/srv-data\\x2d1.mount": mount('UUID="1-1"', "/srv/data-1", "xfs", "noatime,nofail"),
        f"{wants}/srv-data\\x2d1.mount": "-> ../srv-data\\x2d1.mount",
        f"{ETC}/web.mount": mount("/dev/vg/web", "/web", ""),
        f"{requires}/web.mount": "-> ../web.mount",
        f"{ETC}/lazy.automount": "[Automount]\nWhere=/lazy\n",
        f"{ETC}/lazy.mount": mount("nas:/lazy", "/lazy", "nfs"),
        f"{wants}/lazy.automount": "-> ../lazy.automount",
        f"{ETC}/disabled.mount": mount("UUID=3", "/disabled"),
        f"{ETC}/masked.mount": "-> /dev/null",
        f"{wants}/masked.mount": "-> /usr/lib/systemd/system/masked.mount",
        f"{USR}/masked.mount": mount("UUID=4", "/masked"),
        f"{ETC}/wrong.mount": mount("UUID=5", "/elsewhere"),
        f"{wants}/wrong.mount": "-> ../wrong.mount",
        f"{ETC}/if.mount": f"[Unit]\nConditionPathExists=/etc/nothing\n{mount('UUID=6', '/if')}",
        f"{wants}/if.mount": "-> ../if.mount",
        f"{ETC}/home-%i.mount": "",
    }
    mounts = found(tmp_path, "UUID=0 /data ext4 defaults 0 2\n", files)
    assert sorted(mounts.mounted, key=lambda line: line.target) == [
        Line("UUID=0", "/data", "ext4", ("defaults",)),
        Line("nas:/lazy", "/lazy", "nfs", (), f"/{ETC}/lazy.mount"),
        Line("UUID=1-1", "/srv/data-1", "xfs", ("noatime", "nofail"), f"/{ETC}/srv-data\\x2d1.mount"),
        Line("/dev/vg/web", "/web", "auto", (), f"/{ETC}/web.mount"),
    ]
    assert mounts.notes == (
        f"/{ETC}/wrong.mount mounts nothing: What= is missing, or Where= is not what its name says.",
    )


def test_units_in_etc_go_before_fstab_and_those_in_usr_behind(tmp_path: Path) -> None:
    """The order of the load path: /etc, what generators make, /usr."""
    files = {
        **SYSTEMD,
        f"{ETC}/data.mount": mount("UUID=etc", "/data", "xfs"),
        f"{USR}/srv.mount": mount("UUID=usr", "/srv"),
        f"{USR}/local-fs.target.wants/srv.mount": "-> ../srv.mount",
        f"{ETC}/home.mount": "-> /dev/null",
        f"{ETC}/broken.mount": "[Mount]\nWhat=UUID=b\n",
    }
    fstab = "".join(f"UUID=fstab /{name} ext4 defaults 0 2\n" for name in ("data", "srv", "home", "broken"))
    mounts = found(tmp_path, fstab, files)
    assert short(mounts.mounted) == [("UUID=etc", "/data"), ("UUID=fstab", "/srv")]
    assert mounts.notes == (
        f"/data is mounted as /{ETC}/data.mount says, not as /etc/fstab does.",
        f"/home is not mounted at boot: /{ETC}/home.mount masks it.",
        f"/{ETC}/broken.mount mounts nothing: What= is missing, or Where= is not what its name says.",
    )


def test_drop_ins_change_what_an_fstab_says(tmp_path: Path) -> None:
    drop_in = f"{ETC}/var-lib-a\\x2db.mount.d/50-more.conf"
    files = {
        **SYSTEMD,
        drop_in: "[Mount]\nWhat=LABEL=other\nOptions=subvol=/@b,ro\n",
        f"{USR}/mount.d/10-all.conf": "[Unit]\nAfter=x.target\n",
    }
    mounts = found(tmp_path, "LABEL=one /var/lib/a-b btrfs defaults 0 0\nLABEL=two /srv ext4 ro\n", files)
    assert mounts.mounted == (
        Line("LABEL=two", "/srv", "ext4", ("ro",)),
        Line("LABEL=other", "/var/lib/a-b", "btrfs", ("subvol=/@b", "ro")),
    )


def test_parents_come_first_and_what_a_bind_mount_shows_before_it(tmp_path: Path) -> None:
    fstab = (
        "/srv/ftp/pub /a none bind\n/b /c none bind\n/dev/sdb1 /srv/ftp ext4\n/c/x /b none bind\n"
        "/dev/sdc1 /a/b/c ext4\n/dev/sdd1 /srv ext4\n"
    )
    mounts = found(tmp_path, fstab, {})
    targets = [line.target for line in mounts.mounted]
    assert targets == ["/srv", "/srv/ftp", "/a", "/a/b/c", "/c", "/b"]


def test_mounts_without_end(tmp_path: Path) -> None:
    fstab = "".join(f"/a/{number} /b/{number} none bind\n" for number in range(MOST + 1))
    mounts = found(tmp_path, fstab, {})
    assert len(mounts.mounted) == MOST
    assert mounts.notes == (f"Of {MOST + 1} mounts the first {MOST} are looked at.",)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "-"),
        ("/srv/data-1", "srv-data\\x2d1"),
        ("//a/./b/", "a-b"),
        ("/.snapshots", "\\x2esnapshots"),
        ("/a/.b", "a-.b"),
        ("/größe", "gr\\xc3\\xb6\\xc3\\x9fe"),
        ("/a b\\c", "a\\x20b\\x5cc"),
    ],
)
def test_names_of_paths(path: str, name: str) -> None:
    """As systemd-escape(1) writes them."""
    assert escape_path(path) == name


@given(st.text(st.characters(exclude_characters="\0", codec="ascii"), min_size=1))
def test_escaping_can_be_undone(name: str) -> None:
    path = "/".join(part for part in name.split("/") if part not in ("", "."))
    if path:
        assert unescape_name(escape_path(path)) == path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80), st.binary(max_size=80))
def test_no_unit_and_no_fstab_raises(tmp_path: Path, unit: str, fstab: bytes) -> None:
    """A unit of any content beside an fstab of any content: the good entry stays."""
    if not (tmp_path / "usr").exists():
        fill(tmp_path, SYSTEMD)
    folder = tmp_path / ETC
    (folder / "x.mount.d").mkdir(parents=True, exist_ok=True)
    (folder / "local-fs.target.wants").mkdir(exist_ok=True)
    for name in ("x.mount", "x.mount.d/a.conf", "local-fs.target.wants/x.mount"):
        (folder / name).write_bytes(b"[Mount]\n" + unit.encode("utf-8", "surrogatepass"))
    content = b"UUID=1 /good ext4 defaults 0 2\n" + fstab
    mounts = boot_mounts(GuestFiles(DirectoryFilesystem(tmp_path)), content)
    assert "/good" in [line.target for line in (*mounts.mounted, *mounts.skipped)]


@needs_cases
@pytest.mark.parametrize("name", ["sysroot.mount", "sysroot-usr.mount"])
def test_what_the_generator_makes_of_an_fstab(tmp_path: Path, name: str) -> None:
    """systemd's own expectation, read as a unit, is what we read from the fstab it was made of."""
    folder = CASES / "test-fstab-generator"
    fstab = (folder / "test-17-initrd-sysroot.fstab.input").read_text()
    unit = Settings(
        parse_unit((folder / f"test-17-initrd-sysroot.fstab.expected.sysroot/{name}").read_text())
    )
    lines = {line.target: line for line in found(tmp_path, fstab, SYSTEMD).mounted}
    line = lines[unit.last("Mount", "Where")]
    assert (line.source, line.type) == (unit.last("Mount", "What"), unit.last("Mount", "Type", "auto"))


@needs_cases
def test_units_of_systemd(tmp_path: Path) -> None:
    """Every mount unit that systemd's tests expect from its generator is taken, with all it says."""
    wanted = {}
    for path in sorted((CASES / "test-fstab-generator").rglob("*.mount")):
        # Links are what starts a unit; one name lost its backslash on the way into the folder.
        if path.is_symlink() or path.parent.suffix in (".requires", ".wants") or "x20" in path.name:
            continue
        unit = Settings(parse_unit(path.read_text()))
        wanted[path.name] = tuple(unit.last("Mount", key) for key in ("What", "Where", "Type", "Options"))
        unit_file, link = tmp_path / ETC / path.name, tmp_path / ETC / "local-fs.target.wants" / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        unit_file.write_text(path.read_text())
        if not link.is_symlink():
            link.symlink_to(f"../{path.name}")
    mounts = found(tmp_path, "", SYSTEMD)
    assert len(wanted) > 5
    read = {f"{escape_path(line.target)}.mount": line for line in mounts.mounted}
    assert {
        name: (line.source, line.target, line.type, ",".join(line.options)) for name, line in read.items()
    } == {
        name: (what, where, type or "auto", options) for name, (what, where, type, options) in wanted.items()
    }
