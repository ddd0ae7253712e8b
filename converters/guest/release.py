"""Which distribution a guest runs: os-release(5), else the files distributions had before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from converters.guest.environment_file import parse_environment_file
from converters.guest.facts import Release
from converters.guest.files import GuestFiles, printable
from converters.guest.support import support

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
_BRACKETED = re.compile(r"\(([^()]{1,80})\)")
_NUMBER = re.compile(r"\d[\w.-]*")
_LONGEST_LINE = 200
_NO_CODE_NAME = re.compile(r"Final|Official|LTS.*|.* (Image|Edition)|x86_64|i.86|aarch64|[A-Z]+", re.DOTALL)
"""What stands in brackets behind a version and is no name of the release."""
_TEMPLATE = re.compile(r"TEMPLATE_\w+")
"""What Arch Linux's package leaves for images to fill in."""
_ISSUE = re.compile(r"(?:Welcome to )?(?P<name>Alpine Linux|Debian GNU/Linux|Ubuntu) (?P<version>\d[\w.]*)")
"""How the banners of issue(5) begin that say which distribution greets."""
_SUSE_SERVICE_PACK = re.compile(r"^PATCHLEVEL\s*=\s*([1-9]\d*)", re.MULTILINE)


def read_release(files: GuestFiles) -> Release | None:
    """The first source that names a distribution, or None when no file says anything."""
    readers: tuple[Callable[[GuestFiles], Iterator[Release]], ...] = (
        _from_os_release,
        _from_sentences,
        _from_lsb_release,
        _from_version_files,
        _from_nameless_os_release,
        _from_issue,
    )
    found = next((release for reader in readers for release in reader(files)), None)
    return None if found is None else _dated(found)


def _dated(release: Release) -> Release:
    """The release with what the table of distributors' support says of it."""
    known = support(release.id, release.version, release.name)
    return replace(
        release,
        version=printable(release.version),
        name=printable(release.name),
        code_name=printable(release.code_name or (known.code_name if known else "")),
        end_of_life=known.end.isoformat() if known else "",
    )


def _code_name(values: Mapping[str, str]) -> str:
    """``VERSION_CODENAME``, else what ``VERSION`` says: ``7 (wheezy)``, ``14.04.3 LTS, Trusty Tahr``."""
    version = values.get("VERSION", "")
    if named := values.get("VERSION_CODENAME") or values.get("UBUNTU_CODENAME"):
        return named
    if bracketed := _BRACKETED.search(version):
        return _named(bracketed[1])
    return version.partition(", ")[2].partition(" ")[0].lower()


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


def _named(text: str) -> str:
    return "" if _NO_CODE_NAME.fullmatch(text) else text


def _from_os_release(files: GuestFiles) -> Iterator[Release]:
    for path, values in _os_release(files):
        # os-release(5) asks for lower case; openEuler and XCP-ng do not keep to it.
        if id := values.get("ID", "").lower():
            version = _TEMPLATE.sub("", values.get("VERSION_ID", ""))
            if not version and (number := _NUMBER.match(values.get("VERSION", ""))):
                version = number[0]
            if not version and id == "debian":  # testing and unstable carry no VERSION_ID
                version = _first_line(files.text("/etc/debian_version"))
            name = values.get("NAME", id)
            family = _family(id, values.get("ID_LIKE", ""))
            yield Release(id, version, name, family, path, _code_name(values))


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
        line = _first_line(text)
        sentence = _SENTENCE.match(line)
        if sentence is None:
            continue
        name, version = sentence["name"], sentence["version"]
        id = next((id for prefix, id in _NAMES if name.startswith(prefix)), "")
        if not id:
            continue
        if (service_pack := _SUSE_SERVICE_PACK.search(text)) and "." not in version:
            version = f"{version}.{service_pack[1]}"
        bracketed = _BRACKETED.search(line, sentence.end())
        # SUSE has the architecture in brackets there.
        code_name = _named(bracketed[1]) if bracketed and _family(id) != "suse" else ""
        yield Release(id, version, name, _family(id), path, code_name)


def _from_lsb_release(files: GuestFiles) -> Iterator[Release]:
    path = "/etc/lsb-release"
    values = dict(parse_environment_file(files.text(path) or ""))
    if name := values.get("DISTRIB_ID", ""):
        id = name.lower().replace(" ", "")
        like = "ubuntu" if id == "linuxmint" else ""
        version, code_name = values.get("DISTRIB_RELEASE", ""), values.get("DISTRIB_CODENAME", "")
        yield Release(id, version, name, _family(id, like), path, code_name)


def _from_version_files(files: GuestFiles) -> Iterator[Release]:
    """Files that hold a bare version, or whose presence says it all."""
    for path, id, name in (
        ("/etc/alpine-release", "alpine", "Alpine Linux"),
        ("/etc/arch-release", "arch", "Arch Linux"),
        ("/etc/debian_version", "debian", "Debian GNU/Linux"),
    ):
        text = files.text(path)
        if text is not None:
            version = _first_line(text)
            yield Release(id, version, name, _family(id), path)


def _from_issue(files: GuestFiles) -> Iterator[Release]:
    """The banner of the log-in, where nothing else is left."""
    path = "/etc/issue"
    if found := _ISSUE.match(_first_line(files.text(path))):
        id = found["name"].partition(" ")[0].lower()
        yield Release(id, found["version"], found["name"], _family(id), path)


def _first_line(text: str | None) -> str:
    """The first line, no longer than any release's: what is longer is no release file."""
    return (text or "").strip().partition("\n")[0].strip()[:_LONGEST_LINE]
