"""Which distribution a guest runs, by small files of our own and by real ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from converters.guest.facts import Release
from converters.guest.files import GuestFiles
from converters.guest.release import read_release
from converters.guest.support import end_of_life_note
from tests.converters.guest.conftest import Plant
from tests.directory_filesystem import DirectoryFilesystem


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/os-release": "ID=debian\nVERSION_ID='12'\n"}, ("debian", "12", "debian")),
        ({"/usr/lib/os-release": "ID=fedora\nVERSION_ID=40\n"}, ("fedora", "40", "redhat")),
        ({"/etc/os-release": 'ID="openEuler"\nVERSION_ID="24.03"'}, ("openeuler", "24.03", "redhat")),
        (
            {"/etc/os-release": "ID=pop\nID_LIKE='ubuntu debian'\nVERSION_ID=22.04"},
            ("pop", "22.04", "debian"),
        ),
        ({"/etc/os-release": "ID=nixos\nVERSION_ID=24.11"}, ("nixos", "24.11", "")),
        (
            {"/etc/os-release": "ID=debian", "/etc/debian_version": "trixie/sid\n"},
            ("debian", "trixie/sid", "debian"),
        ),
        ({"/etc/os-release": "NAME=Thing\nVERSION_ID=3"}, ("linux", "3", "")),
        (
            {"/etc/os-release": "NAME=Thing\n", "/etc/redhat-release": "CentOS release 6.10 (Final)\n"},
            ("centos", "6.10", "redhat"),
        ),
        (
            {"/etc/os-release": "", "/usr/lib/os-release": "ID=alpine\nVERSION_ID=3.20"},
            ("alpine", "3.20", "alpine"),
        ),
        ({"/etc/system-release": "Amazon Linux AMI release 2014.03\n"}, ("amzn", "2014.03", "redhat")),
        (
            {"/etc/redhat-release": "Red Hat Enterprise Linux Server release 6.5 (Santiago)\n"},
            ("rhel", "6.5", "redhat"),
        ),
        (
            {"/etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n"},
            ("sles", "11.4", "suse"),
        ),
        ({"/etc/SuSE-release": "openSUSE 11.4 (x86_64)\nVERSION = 11.4\n"}, ("opensuse", "11.4", "suse")),
        (
            {
                "/etc/lsb-release": 'DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE="10.04"\n',
                "/etc/debian_version": "squeeze/sid",
            },
            ("ubuntu", "10.04", "debian"),
        ),
        ({"/etc/debian_version": "5.0.10\n"}, ("debian", "5.0.10", "debian")),
        ({"/etc/alpine-release": "3.4.6\n"}, ("alpine", "3.4.6", "alpine")),
        ({"/etc/arch-release": ""}, ("arch", "", "arch")),
        ({"/etc/os-release": "ID=arch\nVERSION_ID=TEMPLATE_VERSION_ID\n"}, ("arch", "", "arch")),
        (
            {"/etc/issue": "Welcome to Alpine Linux 3.14\nKernel \\r on an \\m (\\l)\n"},
            ("alpine", "3.14", "alpine"),
        ),
        ({"/etc/issue": "Debian GNU/Linux 7 \\n \\l\n"}, ("debian", "7", "debian")),
        ({"/etc/issue": "Ubuntu 10.04.4 LTS \\n \\l\n"}, ("ubuntu", "10.04.4", "debian")),
        (
            {
                "/etc/redhat-release": "CentOS release 5.5 (Final)\n",
                "/etc/oracle-release": "Oracle Linux Server release 5.5",
            },
            ("ol", "5.5", "redhat"),
        ),
    ],
)
def test_sources(plant: Plant, files: dict[str, str], expected: tuple[str, str, str]) -> None:
    release = read_release(plant(files))
    assert release is not None
    assert (release.id, release.version, release.family) == expected
    assert release.source in files


def test_a_link_out_of_the_tree_is_followed_inside_it(plant: Plant) -> None:
    files = plant(
        {
            "/etc/os-release": "-> ../../../usr/lib/os-release",
            "/usr/lib/os-release": "-> /opt/image/os-release",
            "/opt/image/os-release": "ID=guest-of-ours\n",
        }
    )
    release = read_release(files)
    assert release is not None
    assert release.id == "guest-of-ours"


def test_nothing_says(plant: Plant) -> None:
    assert read_release(plant({"/etc/redhat-release": "redhat-release\n", "/etc/system-release": ""})) is None


@pytest.mark.parametrize(
    ("files", "code_name", "end_of_life"),
    [
        (
            {"/etc/os-release": "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm"},
            "bookworm",
            "2028-06-30",
        ),
        ({"/etc/os-release": 'ID=debian\nVERSION_ID=7\nVERSION="7 (wheezy)"'}, "wheezy", "2018-05-31"),
        (
            {"/etc/os-release": 'ID=ubuntu\nVERSION_ID=14.04\nVERSION="14.04.3 LTS, Trusty Tahr"'},
            "trusty",
            "2019-04-25",
        ),
        ({"/etc/debian_version": "6.0.10"}, "squeeze", "2016-02-29"),
        ({"/etc/redhat-release": "CentOS release 6.10 (Final)\n"}, "", "2020-11-30"),
        (
            {"/etc/redhat-release": "Red Hat Enterprise Linux Server release 5.11 (Tikanga)"},
            "Tikanga",
            "2017-03-31",
        ),
        (
            {"/etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nPATCHLEVEL = 4\n"},
            "",
            "2019-03-31",
        ),
        ({"/etc/os-release": "ID=sles\nVERSION_ID=12\n"}, "", "2016-06-30"),
        ({"/etc/os-release": "ID=sles\nVERSION_ID=12.9\n"}, "", ""),
        ({"/etc/os-release": 'ID=centos\nNAME="CentOS Linux"\nVERSION_ID=8\n'}, "", "2021-12-31"),
        ({"/etc/os-release": 'ID=centos\nNAME="CentOS Stream"\nVERSION_ID=8\n'}, "", "2024-05-31"),
        ({"/etc/os-release": "ID=alpine\nVERSION_ID=3.20.7\n"}, "", "2026-04-01"),
        ({"/etc/os-release": 'ID=fedora\nVERSION_ID=43\nVERSION="43 (Server Edition)"\n'}, "", "2026-12-09"),
        ({"/etc/os-release": "ID=of-ours\nVERSION_ID=1\n"}, "", ""),
    ],
)
def test_code_names_and_ends_of_life(
    plant: Plant, files: dict[str, str], code_name: str, end_of_life: str
) -> None:
    release = read_release(plant(files))
    assert release is not None
    assert (release.code_name, release.end_of_life) == (code_name, end_of_life)


def test_the_end_is_told_once_it_has_come() -> None:
    release = Release("debian", "12", "Debian GNU/Linux", "debian", "x", "bookworm", "2028-06-30")
    assert end_of_life_note(release, date(2028, 6, 30)) == ""
    assert "Debian GNU/Linux 12 has had no general security updates since 2028-06-30" in end_of_life_note(
        release, date(2028, 7, 1)
    )
    assert end_of_life_note(replace(release, end_of_life=""), date(2099, 1, 1)) == ""


def test_a_release_file_of_any_length(plant: Plant) -> None:
    release = read_release(plant({"/etc/alpine-release": "3." + "9" * 100_000}))
    assert release is not None
    assert len(release.version) <= 200


FOLDERS = {
    "alpine": ("alpine", "3.23.2", "alpine"),
    "altlinux10": ("altlinux", "10.1", ""),
    "amazon2023": ("amzn", "2023", "redhat"),
    "bttcb1": ("debian", "11", "debian"),
    "centos5": ("centos", "5.11", "redhat"),
    "centos7": ("centos", "7", "redhat"),
    "centosstream9": ("centos", "9", "redhat"),
    "cloudlinux7": ("cloudlinux", "7.3", "redhat"),
    "coreos": ("coreos", "899.15.0", ""),
    "debian10": ("debian", "10", "debian"),
    "debian13": ("debian", "13", "debian"),
    "debian8": ("debian", "8", "debian"),
    "debiantesting": ("debian", "bookworm/sid", "debian"),
    "exherbo": ("exherbo", "", ""),
    "fedora19": ("fedora", "19", "redhat"),
    "fedora23": ("fedora", "23", "redhat"),
    "fedora30": ("fedora", "30", "redhat"),
    "gentoo": ("gentoo", "", ""),
    "guix": ("guix", "", ""),
    "kali": ("kali", "2017.1", "debian"),
    "kvmibm1": ("kvmibm", "1.1.1", "redhat"),
    "linuxmint17": ("ubuntu", "14.04", "debian"),
    "mageia5": ("mageia", "5", "redhat"),
    "mandriva2011": ("mandriva", "2011.0", ""),
    "openelec6": ("openelec", "6.0", ""),
    "opensuse15": ("opensuse-leap", "15.2", "suse"),
    "opensuse42": ("opensuse", "42.1", "suse"),
    "oracle7": ("ol", "7.5", "redhat"),
    "raspbian8": ("raspbian", "8", "debian"),
    "rhel5": ("rhel", "5.11", "redhat"),
    "rhel9": ("rhel", "9.6", "redhat"),
    "rocky10": ("rocky", "10.0", "redhat"),
    "rocky9": ("rocky", "9.3", "redhat"),
    "scientific6": ("scientific", "6.4", "redhat"),
    "slackware14": ("slackware", "14.1", ""),
    "sles12": ("sles", "12.1", "suse"),
    "ubuntu14": ("ubuntu", "14.04", "debian"),
    "ubuntu24": ("ubuntu", "24.04", "debian"),
    "ubuntu2510": ("ubuntu", "25.10", "debian"),
    "ubuntu2604": ("ubuntu", "26.04", "debian"),
}


@pytest.mark.parametrize(("folder", "expected"), FOLDERS.items(), ids=FOLDERS)
def test_real_trees(cases: Path, folder: str, expected: tuple[str, str, str]) -> None:
    tree = cases / "OSREL-01/tests/resources/distros" / folder
    release = read_release(GuestFiles(DirectoryFilesystem(tree)))
    assert release is not None
    assert (release.id, release.version, release.family) == expected


OS_RELEASES = {
    "alma_10": ("almalinux", "10.0", "redhat"),
    "amazon_2": ("amzn", "2", "redhat"),
    "arcolinux": ("arcolinux", "", "arch"),
    "cbl-mariner_2": ("mariner", "2.0", ""),
    "cos_97": ("cos", "97", ""),
    "cumulus_3_7": ("cumulus-linux", "3.7.2", "debian"),
    "elementary_6": ("elementary", "6", "debian"),
    "fedora_43": ("fedora", "43", "redhat"),
    "flatcar": ("flatcar", "4459.0.0", ""),
    "hce_2": ("hce", "2.0", "redhat"),
    "kali_2018_4": ("kali", "2018.4", "debian"),
    "linuxmint_20": ("linuxmint", "20.3", "debian"),
    "mageia_9": ("mageia", "9", "redhat"),
    "manjaro": ("manjaro", "", "arch"),
    "nexus_7": ("nexus", "7.0(BUILDER)", ""),
    "nixos": ("nixos", "18.09.1436.a7fd4310c0c", ""),
    "openeuler": ("openeuler", "24.03", "redhat"),
    "opensuse_13": ("opensuse", "13.2", "suse"),
    "opensusetumbleweed": ("opensuse-tumbleweed", "20240823", "suse"),
    "openwrt_2203": ("openwrt", "22.03.4", ""),
    "oracle_9": ("ol", "9.1", "redhat"),
    "parrot": ("parrot", "4.11", "debian"),
    "photon_1": ("photon", "1.0", ""),
    "raspbian_11": ("raspbian", "11", "debian"),
    "redhat_10": ("rhel", "10.0", "redhat"),
    "sled_12_3": ("sled", "12.3", "suse"),
    "sles_11": ("sles", "11.4", "suse"),
    "sles_15": ("sles", "15.7", "suse"),
    "sles_sap_12_0": ("sles_sap", "12.0.1", "suse"),
    "steamos": ("steamos", "3.7.16", "arch"),
    "ubios": ("ubios", "v1.12.24.4315-136ee7c", ""),
    "ubuntu_2510": ("ubuntu", "25.10", "debian"),
    "xbian": ("raspbian", "1.0", "debian"),
    "xcp-ng_7_4": ("xcp-ng", "7.4.0", "redhat"),
    "xenserver_7_6": ("xenenterprise", "7.6.0", "redhat"),
    "zorin": ("zorin", "16", "debian"),
}


@pytest.mark.parametrize(("name", "expected"), OS_RELEASES.items(), ids=OS_RELEASES)
def test_real_os_releases(cases: Path, plant: Plant, name: str, expected: tuple[str, str, str]) -> None:
    release = read_release(plant({"/etc/os-release": (cases / "OSREL-02" / name).read_text()}))
    assert release is not None
    assert (release.id, release.version, release.family) == expected


SENTENCES = {
    "oracle_7/oracle-release": ("ol", "7.6"),
    "alma/almalinux-release": ("almalinux", "8.4"),
    "rocky/rocky-release": ("rocky", "8.4"),
    "redhat_6/redhat-release": ("rhel", "6.2"),
    "fedora_29/fedora-release": ("fedora", "29"),
    "centos/centos-release": ("centos", "7.6.1810"),
}


@pytest.mark.parametrize(("path", "expected"), SENTENCES.items(), ids=SENTENCES)
def test_real_sentences(cases: Path, plant: Plant, path: str, expected: tuple[str, str]) -> None:
    text = (cases / "PKG-03/pkg/fanal/analyzer/os/redhatbase/testdata" / path).read_text()
    release = read_release(plant({"/etc/" + path.partition("/")[2]: text}))
    assert release is not None
    assert (release.id, release.version, release.family) == (*expected, "redhat")
