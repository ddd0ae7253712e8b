"""Packages of dpkg, apk and pacman, by small databases of our own and by real ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from converters.guest.facts import Role, Service
from converters.guest.files import GuestFiles
from converters.guest.packages.apk import read_apk
from converters.guest.packages.dpkg import read_dpkg
from converters.guest.packages.find import read_packages
from converters.guest.packages.pacman import read_pacman
from converters.guest.packages.values import Package, ServicePackage
from tests.converters.guest.conftest import Plant
from tests.directory_filesystem import DirectoryFilesystem

NONE: frozenset[str] = frozenset()


def stanza(name: str, status: str, version: str = "1-1") -> str:
    said = f"Status: {status}\n" if status else ""
    return f"Package: {name}\n{said}Architecture: amd64\nVersion: {version}\nDescription: x\n y\n\n"


def service(name: str, unit: str, role: Role = Role.APPLICATION) -> Service:
    return Service(name, unit, role, "", ())


def test_only_what_is_installed_counts(plant: Plant) -> None:
    files = plant(
        {
            "/var/lib/dpkg/status": stanza("nginx", "install ok installed")
            + stanza("held", "hold ok installed")
            + stanza("removed", "deinstall ok config-files")
            + stanza("never", "install ok not-installed")
            + "Package: purged\nStatus: purge ok not-installed\n\n"
            + stanza("silent", "")
            + "Status: install ok installed\nVersion: 1\n\n"
        }
    )
    found = read_dpkg(files, NONE)
    assert found is not None
    assert (found[0].count, found[0].unfinished) == (2, ())
    assert files.notes == ("/var/lib/dpkg/status: 1 records without a name or a version were passed over.",)


def test_an_upgrade_that_was_cut_off_is_told(plant: Plant) -> None:
    files = plant(
        {
            "/var/lib/dpkg/status": stanza("libc6", "install ok installed")
            + stanza("postgresql-15", "install ok half-configured")
            + stanza("nginx", "install reinstreq half-installed"),
            "/var/lib/dpkg/updates/0001": stanza("nginx", "install ok unpacked"),
        }
    )
    facts = read_packages(files, ())
    assert facts is not None
    assert facts.count == 1
    assert facts.unfinished == (
        "postgresql-15 (half-configured)",
        "nginx (half-installed)",
        "1 steps in /var/lib/dpkg/updates",
    )
    assert "`dpkg --configure -a`" in files.notes[0]


def test_lines_end_in_any_way(tmp_path: Path) -> None:
    text = stanza("a", "install ok installed") + stanza("b", "install ok installed")
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_bytes(text.replace("\n", "\r\n").encode())
    found = read_dpkg(GuestFiles(DirectoryFilesystem(tmp_path)), NONE)
    assert found is not None
    assert found[0].count == 2


def test_services_and_their_packages(plant: Plant) -> None:
    files = plant(
        {
            "/var/lib/dpkg/status": stanza("nginx-common", "install ok installed", "1.22.1-9")
            + stanza("acme-suite", "install ok installed", "2:7")
            + stanza("libother", "install ok installed"),
            "/var/lib/dpkg/info/nginx-common.list": "/.\n/lib/systemd/system/nginx.service\n",
            "/var/lib/dpkg/info/acme-suite:amd64.list": "/.\n/usr/lib/systemd/system/billing.service\n",
            "/var/lib/dpkg/info/libother.list": "/.\n",
        }
    )
    services = (
        service("nginx", "/usr/lib/systemd/system/nginx.service"),
        service("billing", "/lib/systemd/system/billing.service"),
        service("own", "/etc/systemd/system/own.service"),
        service("stray", "/usr/lib/systemd/system/stray.service"),
        service("rsyslog", "/usr/lib/systemd/system/rsyslog.service", Role.PLATFORM),
    )
    facts = read_packages(files, services)
    assert facts is not None
    assert facts.owners == (
        ServicePackage("nginx", Package("nginx-common", "1.22.1-9", "amd64")),
        ServicePackage("billing", Package("acme-suite", "2:7", "amd64")),
    )


def test_apk(plant: Plant) -> None:
    files = plant(
        {
            "/lib/apk/db/installed": "C:Q1x\nP:nginx\nV:1.24-r0\nA:x86_64\nF:etc/init.d\nR:nginx\n\n"
            "P:musl\nV:1.2.4-r2\nA:x86_64\n\nV:1\nF:x\n\n\n"
        }
    )
    facts = read_packages(files, (service("nginx", "/etc/init.d/nginx"),))
    assert facts is not None
    assert (facts.manager, facts.count) == ("apk", 2)
    assert facts.owners == (ServicePackage("nginx", Package("nginx", "1.24-r0", "x86_64")),)
    assert "1 records without a name or a version" in files.notes[0]


def test_pacman(plant: Plant) -> None:
    folder = "/var/lib/pacman/local"
    files = plant(
        {
            f"{folder}/ALPM_DB_VERSION": "9\n",
            f"{folder}/nginx-1.24-1/desc": "%NAME%\nnginx\n\n%VERSION%\n1.24-1\n\n%ARCH%\nx86_64\n",
            f"{folder}/nginx-1.24-1/files": "%FILES%\nusr/\nusr/lib/systemd/system/nginx.service\n",
            f"{folder}/odd-1/desc": "%NAME%\n",
        }
    )
    facts = read_packages(files, (service("nginx", "/usr/lib/systemd/system/nginx.service"),))
    assert facts is not None
    assert (facts.manager, facts.count) == ("pacman", 1)
    assert facts.owners == (ServicePackage("nginx", Package("nginx", "1.24-1", "x86_64")),)


def test_a_guest_without_packages(plant: Plant) -> None:
    assert read_packages(plant({"/var/lib/dpkg/status": "", "/etc/hostname": "x"}), ()) is None


SYFT = "PKG-01/syft/pkg/cataloger"
PARTS: Mapping[str, int] = {"single": 1, "multiple": 2, "deinstall": 1, "empty": 0, "installed-size-4KB": 1}


@pytest.mark.parametrize(("name", "count"), PARTS.items(), ids=PARTS)
def test_real_records_of_dpkg(cases: Path, plant: Plant, name: str, count: int) -> None:
    text = (cases / SYFT / "debian/testdata/var/lib/dpkg/status.d" / name).read_text(encoding="utf-8")
    found = read_dpkg(plant({"/var/lib/dpkg/status": text}), NONE)
    assert found is not None
    assert found[0].count == count


def test_a_real_status_file(cases: Path, plant: Plant) -> None:
    text = (cases / "PKG-02/dpkg/testdata/texlive.status").read_text(encoding="utf-8")
    found = read_dpkg(plant({"/var/lib/dpkg/status": text}), NONE)
    assert found is not None
    assert found[0].count == text.count("Status: install ok installed\n")
    assert found[0].count > 100


def test_an_image_without_dpkg(cases: Path) -> None:
    tree = cases / SYFT / "debian/testdata/image-distroless-deb"
    found = read_dpkg(GuestFiles(DirectoryFilesystem(tree)), NONE)
    if found is not None:
        assert found[0].source == "/var/lib/dpkg/status.d"


def test_real_records_of_apk(cases: Path, plant: Plant, tmp_path: Path) -> None:
    corrupt = GuestFiles(DirectoryFilesystem(cases / SYFT / "alpine/testdata/corrupt"))
    found = read_apk(corrupt, NONE)
    assert found is not None
    single = (cases / SYFT / "alpine/testdata/single").read_text(encoding="utf-8")
    one = read_apk(plant({"/lib/apk/db/installed": single}), NONE)
    assert one is not None
    assert one[0].count == 1


def test_a_real_database_of_pacman(cases: Path) -> None:
    files = GuestFiles(DirectoryFilesystem(cases / SYFT / "arch/testdata/installed"))
    found = read_pacman(files, NONE)
    assert found is not None
    assert found[0].count == 5
