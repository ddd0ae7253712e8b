"""Directories below /run that a guest makes at each boot."""

from __future__ import annotations

from converters.guest.accounts import Accounts
from converters.guest.directories import merged, tmpfiles_directories
from converters.guest.facts import Directory
from converters.guest.services.runtime import runtime_directories
from converters.guest.services.unit_tree import UnitTree
from tests.converters.guest.conftest import Plant

PASSWD = {
    "/etc/passwd": "redis:x:103:106::/var/lib/redis:/bin/false\n",
    "/etc/group": "redis:x:106:\nadm:x:4:\n",
}


def test_tmpfiles(plant: Plant) -> None:
    files = plant(
        {
            **PASSWD,
            "/usr/lib/tmpfiles.d/a.conf": "# d /run/no\nd /run/a 2775 redis adm - -\nD! /var/run/b\n"
            "f /run/file\nd /run/%b/x\nd /var/cache/c 0755\n"
            "d /run/unknown 0755 nobody-here\nd '/run/two words' ~0700\n",
            "/usr/lib/tmpfiles.d/b.conf": "d /run/lib\n",
            "/etc/tmpfiles.d/b.conf": "d /run/etc\n",
            "/usr/lib/tmpfiles.d/systemd.conf": "d /run/systemd/seats\n",
        }
    )
    found = tmpfiles_directories(files, Accounts(files))
    source = "/usr/lib/tmpfiles.d/a.conf"
    assert found == (
        Directory("/run/a", 0o2775, 103, 4, source),
        Directory("/run/b", 0o755, 0, 0, source),
        Directory("/run/two words", 0o700, 0, 0, source),
        Directory("/run/etc", 0o755, 0, 0, "/etc/tmpfiles.d/b.conf"),
    )


def test_runtime_directory(plant: Plant) -> None:
    path = "/usr/lib/systemd/system/redis.service"
    body = "[Service]\nUser=redis\nRuntimeDirectory=redis redis/a\nRuntimeDirectoryMode=2755\n"
    files = plant({**PASSWD, path: body})
    unit = UnitTree(files).load("redis.service")
    assert unit is not None
    found = runtime_directories([unit], Accounts(files))
    assert found == (
        Directory("/run/redis", 0o2755, 103, 106, path),
        Directory("/run/redis/a", 0o2755, 103, 106, path),
    )


def test_no_directory_leads_elsewhere(plant: Plant) -> None:
    """They are entries of a layer, and ``..`` in one makes it impossible to pull."""
    path = "/etc/systemd/system/odd.service"
    files = plant(
        {
            **PASSWD,
            path: "[Service]\nUser=redis\nRuntimeDirectory=../x a//b ./c c .. . /\n",
            "/etc/tmpfiles.d/odd.conf": "d /run/../opt/zz\nd /run/./d//e/ 0700\nd /var/run/../etc\n",
        }
    )
    unit = UnitTree(files).load("odd.service")
    assert unit is not None
    accounts = Accounts(files)
    found = [*runtime_directories([unit], accounts), *tmpfiles_directories(files, accounts)]
    assert [one.path for one in found] == ["/run/a/b", "/run/c", "/run/c", "/run/d/e"]
    assert merged([Directory("/run/../etc", 0o777, 1, 1, "u")]) == ()


def test_merged_has_parents_first_and_each_path_once() -> None:
    deep, twice = Directory("/run/x/y/z", 0o700, 1, 1, "u"), Directory("/run/x", 0o711, 2, 2, "t")
    found = merged([deep, twice, Directory("/run/x", 0o777, 3, 3, "later")])
    assert [(one.path, one.mode) for one in found] == [
        ("/run/x", 0o711),
        ("/run/x/y", 0o755),
        ("/run/x/y/z", 0o700),
    ]


def test_locks_are_open_to_all() -> None:
    locks = merged([Directory("/run/lock/subsys", 0o755, 0, 0, "t")])
    assert [(one.path, one.mode) for one in locks] == [("/run/lock", 0o1777), ("/run/lock/subsys", 0o755)]
