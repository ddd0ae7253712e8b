"""One container for all services of a machine: what it starts, what it may, and when it is called for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from converters.entrypoint import INIT, SERVICES, file_name
from converters.grouping import Grouping, arranged, grouped, why_together
from converters.guest.privilege.values import Level, Privilege
from converters.image.config import RunConfig
from converters.init.specification import Command, Specification
from converters.manifests.compose import compose
from converters.plan import APART, ImagePlan, ServicePlan
from tests.converters.manifests.machines import DATABASE, JOB, NGINX, PLAN, REFERENCE

APPLICATION = ServicePlan(
    "app",
    RunConfig(entrypoint=("app", "--x"), env=(("A", "1"),), user="app:web", stop_signal="SIGQUIT"),
    privilege=Privilege(Level.NONE, no_new_privileges=True),
    stop_seconds=20,
)
BASE = replace(
    DATABASE,
    run=replace(DATABASE.run, env=(("A", "2"),)),
    privilege=Privilege(Level.CAPABILITIES, ("CAP_IPC_LOCK",), no_new_privileges=False),
)
SEVERAL = replace(PLAN, services=(APPLICATION, BASE), notes=(f"2 services: {APART}", "kept"))


def test_the_machines_own_image_starts_all_of_them() -> None:
    plan = grouped(SEVERAL)
    files = [f"{SERVICES}/{file_name(name)}" for name in ("app", "mariadb@Main")]
    assert plan.run.entrypoint == (INIT, *files)
    assert plan.run.labels == SEVERAL.run.labels
    (only,) = plan.services
    assert plan.service == only.name
    assert only.run.exposed_ports == ("3306/tcp",) and only.data == BASE.data
    assert only.stop_seconds == 905
    assert plan.notes[0].startswith("One container runs all 2 services: app, mariadb@Main.")
    assert plan.notes[1:] == ("kept",)


def test_each_keeps_its_own_surroundings() -> None:
    application, database = grouped(SEVERAL).members
    assert application.specification is not None and database.specification is not None
    told = application.specification
    assert told.start == (Command(("/usr/bin/env", "app", "--x")),)
    assert (told.execution.user, told.execution.group, told.kill_signal) == ("app", "web", "SIGQUIT")
    assert told.execution.environment == (("A", "1"),) and told.stop_seconds == 20
    assert database.specification.execution.environment == (("A", "2"),)
    assert database.specification.start_seconds == 300
    assert not told.dev_log and not database.specification.dev_log


def test_the_container_may_what_any_of_them_may() -> None:
    (only,) = grouped(SEVERAL).services
    assert only.privilege is not None
    assert only.privilege.level is Level.CAPABILITIES
    # The init becomes the application's user now, which the engine did before.
    assert only.privilege.capabilities == ("CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_IPC_LOCK")
    assert not only.privilege.no_new_privileges


def test_deployment_files_have_one_container() -> None:
    document = yaml.safe_load(compose(grouped(replace(SEVERAL, jobs=())), REFERENCE))
    (service,) = document["services"].values()
    assert service["ports"] == ["3306:3306"]
    assert service["volumes"] == ["srv:/srv", "var-lib-mysql:/var/lib/mysql"]
    assert service["cap_drop"] == ["ALL"] and "IPC_LOCK" in service["cap_add"]


@pytest.mark.parametrize("services", [(), (NGINX,)])
def test_nothing_to_put_together(services: tuple[ServicePlan, ...]) -> None:
    plan = replace(PLAN, services=services)
    assert grouped(plan) is plan


def _with_command(*words: str) -> ImagePlan:
    told = Specification("app", start_post=(Command(words),))
    return replace(PLAN, services=(replace(APPLICATION, specification=told),), jobs=())


@pytest.mark.parametrize(
    "words",
    [
        ("/bin/systemctl", "reload", "nginx"),
        ("/bin/sh", "-c", "test -f x && pkill -HUP nginx"),
        ("/bin/kill", "-HUP", "1"),
        ("/usr/sbin/service", "nginx", "reload"),
    ],
)
def test_services_that_reach_for_others_are_told(words: tuple[str, ...]) -> None:
    (told,) = why_together(_with_command(*words))
    assert "--grouping vm" in told
    assert told in arranged(_with_command(*words), Grouping.SERVICE).notes


@pytest.mark.parametrize(
    "words", [("/usr/bin/app-service",), ("/bin/echo", "skill", "x"), ("/opt/kill9", "x")]
)
def test_words_that_only_look_alike(words: tuple[str, ...]) -> None:
    assert why_together(_with_command(*words)) == ()


def test_a_job_that_reaches_for_a_service_is_told() -> None:
    told = replace(JOB.specification, start=(Command(("/bin/sh", "-c", "systemctl restart x")),))
    (note,) = why_together(replace(PLAN, jobs=(replace(JOB, specification=told),)))
    assert "Job app-1 uses systemctl" in note
