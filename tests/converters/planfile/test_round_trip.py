"""A plan that nobody edits decides nothing, whatever stands in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.guest.facts import GuestFacts, Role, Service
from converters.planfile.model import MOST_SERVICES
from tests.converters.planfile.machines import (
    AGENT,
    APP,
    GUEST,
    NGINX,
    by_plan,
    by_rules,
    planned,
    written,
)

_TEXT = st.text(max_size=40)
_HOSTILE = st.sampled_from(
    [
        *(
            "no",
            "1e3",
            "0755",
            "22:22",
            "~",
            "null",
            "- x",
            "a: b",
            "# x",
            "x\nservices: {}",
            "\u2028",
            "\x85",
        ),
        *(
            '"',
            "'",
            "\\",
            "\\n",
            "%TAG",
            "---",
            "...",
            "!!python/object:x",
            "*a",
            "&a",
            "{",
            "[",
            "|",
            ">",
            " ",
        ),
        *("${A}", "$(id)", "\x00", "\x1b[31m", "a" * 5000),
    ]
)
_WORD = st.one_of(_TEXT, _HOSTILE)


def test_an_unedited_plan_changes_nothing(tmp_path: Path) -> None:
    assert planned(decisions=by_plan(tmp_path / "p.yaml", written())) == planned()


def test_what_was_found_stands_in_it_with_its_source() -> None:
    text = written()
    document = yaml.safe_load(text)
    assert (document["version"], document["machine"], document["uuid"]) == (1, "Web 01", "5021f1")
    assert document["guest"] == {"release": "debian 12", "architecture": "amd64"}
    assert document["resources"] == {"cpus": 4.0, "memory": "2GiB"}
    assert document["services"]["cron"] == {"run": False}
    assert document["services"]["app"]["environment"] == {"COLOUR": "blue", "MODE": "no"}
    assert document["services"]["app"]["local_ports"] == ["8000/tcp"]
    assert list(document["jobs"]) == ["backup", "backup.2"]
    for said in (
        "run: false  # jobs by the clock: to be scheduled from outside",
        "80/tcp  # /etc/nginx/nginx.conf",
        "/var/lib/app  # StateDirectory=",
        "# A thing to know.",
        "# - Something was passed over.",
        "# /etc/systemd/system/app.service",
        "because it goes to the background",
        "  # /etc/cron.d/backup\n",
    ):
        assert said in text


def test_what_rules_decided_stays_when_the_plan_is_handed_back_without_them(tmp_path: Path) -> None:
    rules = (
        "version: 1\nrules:\n- when: service == 'nginx'\n  service: {ports: [8443], resources: {cpus: 1}}\n"
    )
    decided = by_rules(tmp_path / "r.yaml", rules)
    text = written(decisions=decided)
    assert "By rule 1 of r.yaml: has ports 80/tcp, 443/udp, 8443/tcp in place of 80/tcp, 443/udp." in text
    alone = planned(decisions=by_plan(tmp_path / "p.yaml", text))
    assert [one.run for one in alone.services] == [one.run for one in planned(decisions=decided).services]
    assert alone.services[0].resources == planned(decisions=decided).services[0].resources


def test_of_very_many_services_the_rest_is_told_and_stays(tmp_path: Path) -> None:
    services = tuple(replace(AGENT, name=f"s{number}") for number in range(MOST_SERVICES + 5))
    guest = replace(GUEST, services=services)
    text = written(guest)
    assert "5 more services are not listed and stay as found" in text
    assert planned(guest, by_plan(tmp_path / "p.yaml", text)) == planned(guest)


def test_services_of_one_name_are_told_apart() -> None:
    plan = planned(replace(GUEST, services=(NGINX, replace(APP, name="nginx"))))
    assert [service.name for service in plan.services] == ["nginx", "nginx.2"]
    assert plan.services[1].specification is not None
    assert plan.services[1].specification.service == "nginx.2"


@st.composite
def _services(draw: st.DrawFn) -> Service:
    pairs = draw(st.dictionaries(_WORD.filter(lambda name: "=" not in name), _WORD, max_size=3))
    return Service(
        name=draw(_WORD),
        unit=draw(_WORD),
        role=draw(st.sampled_from(Role)),
        reason=draw(_WORD),
        command=tuple(draw(st.lists(_WORD, max_size=3))),
        user=draw(_WORD),
        group=draw(_WORD),
        working_directory=draw(_WORD),
        environment=tuple(pairs.items()),
        stop_signal=draw(st.sampled_from(["SIGTERM", "SIGRTMIN+3", "9", "odd"])),
        ports=NGINX.ports if draw(st.booleans()) else (),
        data=tuple(
            replace(APP.data[0], path=path, source=path) for path in draw(st.lists(_WORD, max_size=2))
        ),
        notes=(draw(_WORD),),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(services=st.lists(_services(), max_size=3), note=_WORD)
def test_whatever_a_guest_says(tmp_path: Path, services: list[Service], note: str) -> None:
    guest: GuestFacts = replace(GUEST, services=tuple(services), hostname=note, notes=(note,))
    text = written(guest)
    assert planned(guest, by_plan(tmp_path / "p.yaml", text)) == planned(guest)
