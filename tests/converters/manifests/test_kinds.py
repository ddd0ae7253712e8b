"""Each kind of file, read by the tool it is for."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from converters import process
from converters.guest.secrets.values import SecretMount
from converters.guest.services.unit_file import Settings, parse_unit
from converters.manifests.compose import compose_text
from converters.manifests.describe import machine
from converters.manifests.fig import fig
from converters.manifests.fleet import fleet
from converters.manifests.kubernetes.folder import kubernetes
from converters.manifests.quadlet import quadlet
from converters.manifests.run_script import run_script
from converters.plan import HealthCheck, Resources
from tests.compose_schema import compose_schema
from tests.converters.manifests.machines import (
    DATABASE,
    IMAGES,
    NGINX,
    PLAN,
    PRIVILEGE,
    REFERENCE,
    REPOSITORY,
    several,
)
from tests.converters.manifests.readers import command_line, options, started, words
from tests.quadlet_generator import generated

PRIVILEGED = replace(PLAN, services=(PLAN.services[0], replace(DATABASE, privilege=PRIVILEGE)))
SHELL = replace(PLAN, services=(), jobs=(), resources=Resources(None, None), data_volumes=())


def test_fleet_units_are_right_for_systemd(tmp_path: Path) -> None:
    """What systemd-analyze(1) objects to is not the programs and the unit of Docker that a host may lack."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze(1) is not there")
    units = fleet(several())
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    for name, text in units.items():
        (tmp_path / name).write_text(text.replace("/usr/bin/docker", "/bin/true"))
    paths = [str(tmp_path / name) for name in units]
    environment = {"SYSTEMD_UNIT_PATH": f"{tmp_path}:/usr/lib/systemd/system", "PATH": "/usr/bin:/bin"}
    command = ["systemd-analyze", "verify", "--man=no", "--generators=no", *paths]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_fleet_keeps_a_machine_on_one_host() -> None:
    units = fleet(several())
    assert {*units} == {
        *("web-01.service", "web-01.nginx.service", "web-01.mariadb-main.service"),
        *("web-01.job-app-1.service", "web-01.job-app-1.timer", "web-01.job-app-2.service"),
    }
    for name, text in units.items():
        beside = Settings(parse_unit(text)).all("X-Fleet", "MachineOf")
        assert beside == ([] if name == "web-01.service" else ["web-01.service"])
    database = units["web-01.mariadb-main.service"]
    assert Settings(parse_unit(database)).last("Service", "TimeoutStopSec") == "935"
    started_with = command_line(database)
    assert started_with[:2] == ["/usr/bin/docker", "run"]
    assert options(started_with, "--network") == ["container:web-01"]
    assert options(started_with, "--volume") == [
        *("web-01.srv:/srv", "web-01.var-lib-mysql:/var/lib/mysql", "web-01.run-mysqld:/run/mysqld")
    ]
    assert options(started_with, "--cap-add") == ["IPC_LOCK"]
    assert started_with[-1] == f"{REPOSITORY}@{IMAGES[1].digest}"
    timer = Settings(parse_unit(units["web-01.job-app-1.timer"]))
    assert timer.all("Timer", "OnCalendar") == ["Sun *-*-* 03:00:00 Europe/Paris"]


def test_quadlet_files_are_right_for_podman(tmp_path: Path) -> None:
    files = quadlet(several())
    services = generated(files, tmp_path)
    assert len(services) == len([name for name in files if not name.endswith(".timer")])
    created = command_line(services["web-01-pod.service"], "ExecStartPre")
    assert options(created, "--publish") == ["80:80", "443:443/udp", "3306:3306"]
    assert "--hostname=web01.example.org" in created
    assert "--add-host=db01:2001:db8::7" in created
    assert created.index("--exit-policy=continue") > created.index("--exit-policy")
    database = services["web-01.mariadb-main.service"]
    run = command_line(database)
    assert options(run, "--pod") == ["web-01"] and options(run, "--stop-timeout") == ["905"]
    assert "web-01.var-lib-mysql:/var/lib/mysql" in options(run, "-v")
    assert "Requires=web-01.var-lib-mysql-volume.service" in database
    assert run[-1] == f"{REPOSITORY}@{IMAGES[1].digest}"
    job = command_line(services["web-01.job-app-1.service"])
    assert job[-2:] == [REFERENCE, "/.orchestrate/jobs/app-1.json"]


def test_the_generator_refuses_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(process.ProcessError, match="Nonsense"):
        generated({"x.container": f"[Container]\nImage={REFERENCE}\nNonsense=1\n"}, tmp_path)


def test_a_privilege_is_all_that_a_container_gets(tmp_path: Path) -> None:
    described = machine(PRIVILEGED, REFERENCE, IMAGES)
    commands = [*started(run_script(described), tmp_path)]
    owner, _, database = commands
    assert options(database, "--cap-drop") == ["ALL"]
    assert options(database, "--cap-add") == ["NET_ADMIN", "SETUID"]
    assert options(database, "--device") == ["/dev/net/tun"]
    assert options(database, "--security-opt") == ["no-new-privileges"]
    assert options(owner, "--sysctl") == ["net.ipv4.ip_unprivileged_port_start=0"]
    services = generated(quadlet(described), tmp_path)
    run = command_line(services["web-01.mariadb-main.service"])
    assert options(run, "--cap-drop") == ["all"]
    assert options(run, "--cap-add") == ["cap_net_admin", "cap_setuid"]
    pod = yaml.safe_load(kubernetes(described)["workload.yaml"])["spec"]["template"]["spec"]
    assert pod["containers"][1]["securityContext"] == {
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "SETUID"]},
        "allowPrivilegeEscalation": False,
    }


def test_the_script_is_a_shells(tmp_path: Path) -> None:
    text = run_script(several())
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    owner, nginx, database = started(text, tmp_path)
    assert owner[-1] == REFERENCE and options(owner, "--publish") == ["80:80", "443:443/udp", "3306:3306"]
    assert options(nginx, "--network") == ["container:web-01"]
    assert options(database, "--stop-timeout") == ["905"]
    (alone,) = started(run_script(machine(SHELL, REFERENCE)), tmp_path)
    assert alone == [
        *("run", "--detach", "--restart", "unless-stopped", "--name", "web-01"),
        *("--hostname", "web01.example.org", "--add-host", "db01.example.org:192.0.2.7"),
        *("--add-host", "db01:192.0.2.7", "--add-host", "db01:2001:db8::7", "--tty", "--stop-timeout", "1"),
        *("--platform", "linux/amd64", REFERENCE),
    ]


def test_the_script_has_no_fault_that_shellcheck_knows() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck(1) is not there")
    # That dollar signs in single quotes stand for themselves (SC2016) is what is wanted.
    command = ["shellcheck", "--exclude=SC2016", "-"]
    subprocess.run(command, input=run_script(several()), text=True, check=True)


def test_fig_has_names_and_keys_that_it_knows() -> None:
    document = yaml.safe_load(fig(several()))
    assert all(name.isalnum() for name in document)
    known = {"image", "mem_limit", "hostname", "ports", "volumes", "volumes_from", "net", "environment"}
    for service in document.values():
        assert set(service) <= known | {"stdin_open", "tty"}
    owner, nginx, _ = document.values()
    assert owner["volumes"] == ["/srv", "/var/lib/mysql", "/run/mysqld"]
    assert nginx["volumes_from"] == ["machine"]


def test_kubectl_puts_the_folder_together(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not there")
    for name, text in kubernetes(several()).items():
        (tmp_path / name).write_text(text)
    answer = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True, check=True)
    objects = {one["kind"]: one for one in yaml.safe_load_all(answer.stdout)}
    assert {*objects} == {"ConfigMap", "Service", "StatefulSet", "CronJob", "PriorityClass"}
    assert objects["ConfigMap"]["data"] == dict(DATABASE.run.env)


def test_words_are_read_as_systemd_does() -> None:
    assert words('a "b $$c %% \\n" --d=e') == ["a", "b $c % \n", "--d=e"]


def test_what_a_person_decided(tmp_path: Path) -> None:
    nginx, database = PLAN.services
    plan = replace(
        PLAN,
        starts="nginx",
        services=(
            replace(nginx, health=HealthCheck(port=80, path="/health", interval_seconds=4)),
            replace(
                database,
                resources=Resources(cpus=0.5, memory_bytes=64 << 20, cpus_reserved=0.25),
                health=HealthCheck(command=("/bin/ask", "$me", "100%")),
            ),
        ),
    )
    described = machine(plan, REFERENCE, IMAGES)
    owner, _, own = started(run_script(described), tmp_path)
    assert options(owner, "--entrypoint") == ["/bin/sh"] and options(owner, "--cpus") == ["1.500"]
    assert options(own, "--cpus") == ["0.500"] and options(own, "--memory") == ["64m"]
    services = yaml.safe_load(compose_text(described))["services"]
    assert services["web-01"]["entrypoint"] == ["/bin/sh"]
    assert services["nginx"]["healthcheck"]["test"][1:] == [
        "/.orchestrate/init",
        "--answers",
        "80",
        "/health",
    ]
    assert services["nginx"]["healthcheck"]["interval"] == "4s"
    assert services["mariadb-main"]["healthcheck"]["test"] == ["CMD", "/bin/ask", "$$me", "100%"]
    assert (services["mariadb-main"]["cpus"], services["nginx"]["cpus"]) == (0.5, 1.5)
    generated_units = generated(quadlet(described), tmp_path)
    run = command_line(generated_units["web-01.mariadb-main.service"])
    assert options(run, "--health-cmd") == ["/bin/ask '$me' 100%"] and "--cpus=0.500" in run
    pod = yaml.safe_load(kubernetes(described)["workload.yaml"])["spec"]["template"]["spec"]
    web, data = pod["containers"]
    assert web["readinessProbe"]["httpGet"] == {"path": "/health", "port": 80}
    assert data["readinessProbe"]["exec"]["command"] == ["/bin/ask", "$$me", "100%"]
    assert data["resources"]["requests"] == {"cpu": "250m", "memory": "0Mi"}
    assert yaml.safe_load(fig(described))["machine"]["entrypoint"] == "/bin/sh"


SECRETS = (
    SecretMount("key", "/etc/ssl/key", "/run/secrets/key"),
    SecretMount("x.env", "", "/run/secrets/x.env"),
)


def test_secrets_come_from_files_beside(tmp_path: Path) -> None:
    plan = replace(PLAN, services=(NGINX, replace(DATABASE, secrets=SECRETS)))
    described = machine(plan, REFERENCE, IMAGES)
    document = yaml.safe_load(compose_text(described))
    jsonschema.validate(document, compose_schema())
    assert document["secrets"]["key"] == {"file": "./web-01.secrets/key"}
    assert document["services"]["mariadb-main"]["secrets"] == [
        {"source": one.name, "target": one.source} for one in SECRETS
    ]
    bind = "web-01.secrets/key:/run/secrets/key:ro"
    _, _, database = started(run_script(described), tmp_path)
    assert f"{tmp_path}/{bind}" in options(database, "--volume")
    unit = command_line(fleet(described)["web-01.mariadb-main.service"])
    assert f"/etc/orchestrate/{bind}" in options(unit, "--volume")
    podman = command_line(generated(quadlet(described), tmp_path)["web-01.mariadb-main.service"])
    assert f"{tmp_path}/{bind},z" in options(podman, "-v")
    assert f"./{bind}" in yaml.safe_load(fig(described))["mariadbmain84c2dd"]["volumes"]


def test_kustomize_makes_a_secret(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not there")
    plan = replace(PLAN, services=(NGINX, replace(DATABASE, secrets=SECRETS)))
    (tmp_path / "secrets").mkdir()
    for one in SECRETS:
        (tmp_path / "secrets" / one.name).write_bytes(b"\0\xff")
    for name, text in kubernetes(machine(plan, REFERENCE, IMAGES)).items():
        (tmp_path / name).write_text(text)
    answer = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True, check=True)
    objects = {one["kind"]: one for one in yaml.safe_load_all(answer.stdout)}
    assert objects["Secret"]["data"] == {"key": "AP8=", "x.env": "AP8="}
    pod = objects["StatefulSet"]["spec"]["template"]["spec"]
    (volume,) = (one for one in pod["volumes"] if one["name"] == "secrets")
    assert volume["secret"] == {"defaultMode": 256, "secretName": objects["Secret"]["metadata"]["name"]}
    mounts = {one["mountPath"]: one.get("subPath") for one in pod["containers"][1]["volumeMounts"]}
    assert mounts["/run/secrets/key"] == "key"
