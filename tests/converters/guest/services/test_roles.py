"""What services are for, by their names."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase

import pytest

from converters.guest.accounts import Accounts
from converters.guest.facts import Role
from converters.guest.services import find_services
from converters.guest.services.roles import (
    TABLE,
    RoleRule,
    built_in_rules,
    matching_rule,
    own_rule,
    role_rule,
)
from tests.converters.guest.conftest import Plant


def test_every_rule_says_why_and_no_pattern_hides_a_later_one() -> None:
    rules = built_in_rules()
    assert all(rule.reason and rule.services for rule in rules)
    patterns = [pattern for rule in rules for pattern in rule.services]
    assert len(patterns) == len(set(patterns))
    for number, rule in enumerate(rules):
        for later in rules[number + 1 :]:
            hidden = [name for name in later.services if "*" not in name and rule.fits(name)]
            assert not hidden or rule.role is later.role, f"{hidden} of: {later.reason}"


@pytest.mark.parametrize(
    "name",
    [
        "nginx",
        "httpd",
        "mysqld",
        "cloud-gateway",
        "mountebank",
        "random-service",
        "dispatcher",
        "google-proxy",
    ],
)
def test_what_a_machine_is_there_for_has_no_rule(name: str) -> None:
    assert own_rule(name) is None


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("NetworkManager-wait-online", Role.PLATFORM),
        ("getty@tty1", Role.PLATFORM),
        ("rhsmcertd", Role.PLATFORM),
        ("SuSEfirewall2_setup", Role.PLATFORM),
        ("nfs-server", Role.PLATFORM),
        ("gdm3", Role.DESKTOP),
        ("vncserver@:1", Role.DESKTOP),
    ],
)
def test_what_belongs_to_the_machine(name: str, role: Role) -> None:
    rule = own_rule(name)
    assert rule is not None
    assert rule.role is role


def test_the_kernels_own_server_is_told_as_such() -> None:
    assert (
        "kernel" in (matching_rule("nfs-server", built_in_rules()) or RoleRule((), Role.PLATFORM, "")).reason
    )


@pytest.mark.parametrize("pattern", ["a*", "*b", "a?c", "[ab]*", "a*c", "abc", "*"])
def test_patterns_are_those_of_the_shell(pattern: str) -> None:
    rule = RoleRule((pattern,), Role.PLATFORM, "x")
    for name in ("abc", "a", "ab", "bc", "cab", ""):
        assert rule.fits(name) == fnmatchcase(name, pattern)


def test_rules_of_a_person_go_first() -> None:
    table = tomllib.loads('services = ["rsys*"]\nrole = "application"\nreason = "our log host"\n')
    rules = (role_rule(table), *built_in_rules())
    found = matching_rule("rsyslog", rules)
    assert found is not None
    assert (found.role, found.reason) == (Role.APPLICATION, "our log host")


def test_a_role_that_is_none() -> None:
    with pytest.raises(ValueError, match="plattform"):
        role_rule({"services": ["x"], "role": "plattform", "reason": ""})


def test_the_table_is_read_whole() -> None:
    assert len(built_in_rules()) == TABLE.read_text(encoding="utf-8").count("[[rule]]")


def test_services_of_the_machine_can_be_started_too(plant: Plant) -> None:
    files = plant(
        {
            "/usr/lib/systemd/system/multi-user.target": "[Unit]\n",
            "/usr/lib/systemd/system/rsyslog.service": "[Service]\nExecStart=/usr/sbin/rsyslogd -n\n",
            "/usr/lib/systemd/system/multi-user.target.wants/rsyslog.service": "-> ../rsyslog.service",
        }
    )
    (service,) = find_services("systemd", files, Accounts(files), "vm", {}).services
    assert service.role is Role.PLATFORM
    assert service.specification is not None
    assert service.specification.start[0].words == ("/usr/sbin/rsyslogd", "-n")
