"""Which distribution a guest runs: os-release(5), else the files distributions had before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from converters.guest.environment_file import parse_environment_file
from converters.guest.facts import Release
from converters.guest.files import GuestFiles

OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "debian": ("debian", "ubuntu", "raspbian"),
    "redhat": (
        "rhel",
        "fedora",
        "centos",
        "ol",
        "rocky",
        "almalinux",
        "amzn",
        "scientific",
        "cloudlinux",
        "openeuler",
        "hce",
    ),
    "suse": ("suse", "opensuse", "opensuse-leap", "opensuse-tumbleweed", "sles", "sled", "sles_sap"),
    "alpine": ("alpine",),
    "arch": ("arch",),
}
"""Distribution ids by family; derived ones are found through ``ID_LIKE``."""

RELEASE_FILES = (
    "/etc/oracle-release",
    "/etc/enterprise-release",
    "/etc/rocky-release",
    "/etc/almalinux-release",
    "/etc/altlinux-release",
    "/etc/centos-release",
    "/etc/fedora-release",
    "/etc/mageia-release",
    "/etc/mandriva-release",
    "/etc/SuSE-release",
    "/etc/redhat-release",
    "/etc/system-release",
    "/etc/gentoo-release",
    "/etc/slackware-version",
)
"""Files of one sentence, the particular before the general: derived distributions have their parent's too."""

_NAMES = (
    ("CentOS", "centos"),
    ("Red Hat", "rhel"),
    ("Oracle Linux", "ol"),
    ("Enterprise Linux Enterprise Linux", "ol"),
    ("Scientific Linux", "scientific"),
    ("Fedora", "fedora"),
    ("Amazon Linux", "amzn"),
    ("Rocky Linux", "rocky"),
    ("AlmaLinux", "almalinux"),
    ("CloudLinux", "cloudlinux"),
    ("Mageia", "mageia"),
    ("Mandriva", "mandriva"),
    ("ALT", "altlinux"),
    ("SUSE Linux Enterprise Server", "sles"),
    ("SUSE Linux Enterprise Desktop", "sled"),
    ("openSUSE", "opensuse"),
    ("Gentoo", "gentoo"),
    ("Slackware", "slackware"),
    ("KVM for IBM z Systems", "kvmibm"),
)
"""How a sentence begins, and the id os-release would have for it."""

_SENTENCE = re.compile(r"(?P<name>\S.*?)\s+(?:release\s+)?(?P<version>\d[\w.-]*)(?:\s|$)")
_NUMBER = re.compile(r"\d[\w.-]*")
_SUSE_SERVICE_PACK = re.compile(r"^PATCHLEVEL\s*=\s*([1-9]\d*)", re.MULTILINE)


def read_release(files: GuestFiles) -> Release | None:
    """The first source that names a distribution, or None when no file says anything."""
    readers: tuple[Callable[[GuestFiles], Iterator[Release]], ...] = (
        _from_os_release,
        _from_sentences,
        _from_lsb_release,
        _from_version_files,
        _from_nameless_os_release,
    )
    return next((release for reader in readers for release in reader(files)), None)


def _family(id: str, like: str = "") -> str:
    for word in (id, *like.lower().split()):
        for family, members in FAMILIES.items():
            if word in members:
                return family
    return ""


def _os_release(files: GuestFiles) -> Iterator[tuple[str, dict[str, str]]]:
    for path in OS_RELEASE:
        text = files.text(path)
        if text is not None and (values := dict(parse_environment_file(text))):
            yield path, values


def _from_os_release(files: GuestFiles) -> Iterator[Release]:
    for path, values in _os_release(files):
        # os-release(5) asks for lower case; openEuler and XCP-ng do not keep to it.
        if id := values.get("ID", "").lower():
            version = values.get("VERSION_ID", "")
            if not version and (number := _NUMBER.match(values.get("VERSION", ""))):
                version = number[0]
            if not version and id == "debian":  # testing and unstable carry no VERSION_ID
                version = (files.text("/etc/debian_version") or "").strip()
            name = values.get("NAME", id)
            yield Release(id, version, name, _family(id, values.get("ID_LIKE", "")), path)


def _from_nameless_os_release(files: GuestFiles) -> Iterator[Release]:
    """``ID`` defaults to ``linux`` (os-release(5)), unless an older file knows better."""
    for path, values in _os_release(files):
        name = values.get("NAME") or values.get("PRETTY_NAME", "Linux")
        yield Release(
            "linux", values.get("VERSION_ID", ""), name, _family("", values.get("ID_LIKE", "")), path
        )


def _from_sentences(files: GuestFiles) -> Iterator[Release]:
    for path in RELEASE_FILES:
        text = files.text(path) or ""
        sentence = _SENTENCE.match(text.strip().partition("\n")[0])
        if sentence is None:
            continue
        name, version = sentence["name"], sentence["version"]
        id = next((id for prefix, id in _NAMES if name.startswith(prefix)), "")
        if not id:
            continue
        if (service_pack := _SUSE_SERVICE_PACK.search(text)) and "." not in version:
            version = f"{version}.{service_pack[1]}"
        yield Release(id, version, name, _family(id), path)


def _from_lsb_release(files: GuestFiles) -> Iterator[Release]:
    path = "/etc/lsb-release"
    values = dict(parse_environment_file(files.text(path) or ""))
    if name := values.get("DISTRIB_ID", ""):
        id = name.lower().replace(" ", "")
        like = "ubuntu" if id == "linuxmint" else ""
        yield Release(id, values.get("DISTRIB_RELEASE", ""), name, _family(id, like), path)


def _from_version_files(files: GuestFiles) -> Iterator[Release]:
    """Files that hold a bare version, or whose presence says it all."""
    for path, id, name in (
        ("/etc/alpine-release", "alpine", "Alpine Linux"),
        ("/etc/arch-release", "arch", "Arch Linux"),
        ("/etc/debian_version", "debian", "Debian GNU/Linux"),
    ):
        text = files.text(path)
        if text is not None:
            yield Release(id, text.strip(), name, _family(id), path)
