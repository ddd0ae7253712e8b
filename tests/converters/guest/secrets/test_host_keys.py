"""An SSH daemon in a container makes keys of its own."""

from __future__ import annotations

import pytest

from converters.guest.facts import Role, Service
from converters.guest.secrets.host_keys import with_host_keys
from converters.init.specification import Command, Specification
from tests.converters.guest.conftest import Plant

CHECK = Command(("/usr/sbin/sshd", "-t"))


def _service(*words: str) -> Service:
    told = Specification("ssh", start=(Command(words),), start_pre=(CHECK,))
    return Service("ssh", "", Role.APPLICATION, "", words, specification=told)


def test_sshd_gets_the_keys_that_are_missing_before_it_looks_for_them(plant: Plant) -> None:
    found = with_host_keys(_service("/usr/sbin/sshd", "-D"), plant({"/usr/bin/ssh-keygen": "x"}))
    assert found.specification is not None
    made, check = found.specification.start_pre
    assert (made.words, made.privileged) == (("/usr/bin/ssh-keygen", "-A"), True)
    assert check == CHECK
    assert "--keep ssh-host-keys" in found.notes[0]


def test_dropbear_makes_them_by_itself(plant: Plant) -> None:
    found = with_host_keys(_service("/usr/sbin/dropbear", "-F"), plant({}))
    assert found.command == ("/usr/sbin/dropbear", "-F", "-R")
    assert found.specification is not None
    assert found.specification.start[0].words == found.command


@pytest.mark.parametrize(
    "words", [("/usr/sbin/nginx",), ("/usr/sbin/dropbear", "-R"), ("/usr/sbin/sshd",), ()]
)
def test_others_stay_as_they_are(plant: Plant, words: tuple[str, ...]) -> None:
    service = _service(*words)
    assert with_host_keys(service, plant({"/etc/x": "x"})) is service
