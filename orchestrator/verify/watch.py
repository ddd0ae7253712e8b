"""One verification: a machine's containers are started as its compose file says, asked, and removed again."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from converters.guest.facts import Port
from converters.guest.ports import program_name
from converters.pipeline import X86
from converters.plan import SERVICE_LABEL, ImagePlan
from orchestrator.verify.engine import Engine, Listening, Probe, Started, VerifyError
from orchestrator.verify.hello import hello_for
from orchestrator.verify.judge import is_final, judge_port, of_services, socket_of
from orchestrator.verify.project import ComposedService, read_project
from orchestrator.verify.verdict import Outcome, PortVerdict, ServiceVerdict, Verification, worst

log = logging.getLogger(__name__)

_BETWEEN_LOOKS = 0.5
_ANSWER_SECONDS = 3.0
_SETTLE_SECONDS = 5.0
"""For a service without a known port: whoever cannot start has ended by then."""
CLEAN_UP_SECONDS = 900.0
"""After which what a killed verification left is nobody's."""
_LONGEST_STOP = 60
_HERE = Path()


@dataclass(frozen=True, slots=True)
class Expected:
    """What a service should serve."""

    service: str
    program: str
    ports: tuple[Port, ...]


@dataclass(slots=True)
class _Watched:
    """A service's container, and what is known of it so far."""

    expected: Expected
    composed: ComposedService
    container: Started | None = None
    reason: str = ""
    verdicts: dict[tuple[str, int], PortVerdict] = field(default_factory=dict)
    waiting: set[Port] = field(default_factory=set)

    @property
    def network(self) -> str:
        """Key of the service whose network it is in."""
        return self.composed.shares_network_of or self.composed.key

    @property
    def done(self) -> bool:
        """Whether looking again would change nothing."""
        return bool(self.reason) or not self.waiting


def expected_of(plan: ImagePlan, composed: ComposedService) -> Expected | None:
    """What a container should serve; None for one that is there for the others."""
    labels = composed.arguments.get("labels") or {}
    name = labels.get(SERVICE_LABEL, plan.service)
    service = next((one for one in plan.services if one.name == name), None)
    if service is None:
        return None
    told = service.specification
    words = told.start[0].words if told is not None and told.start else service.run.entrypoint
    return Expected(service.name, program_name(words), service.ports)


def secrets_of(service: ComposedService, home: Path) -> dict[str, tuple[bytes, int]]:
    """Content and mode of what a container gets from files beside its compose file, by path."""
    try:
        return {path: ((home / file).read_bytes(), 0o400) for path, file in service.secrets}
    except OSError as error:
        raise VerifyError(
            f"{service.key} needs {error.filename}: {error.strerror}", "write it: --manifests compose"
        ) from error


def arguments_of(engine: Engine, service: ComposedService, volumes: Mapping[str, str]) -> dict[str, Any]:
    """What the engine is told of a service, name and network aside; ``volumes``: its names by the file's."""
    arguments = {
        **service.arguments,
        "volumes": {volumes[name]: {"bind": path, "mode": mode} for name, path, mode in service.volumes},
    }
    if "nano_cpus" in arguments:
        arguments["nano_cpus"] = min(arguments["nano_cpus"], engine.cpus * 1_000_000_000)
    return arguments


@dataclass(frozen=True, slots=True)
class Up:
    """A service's container at work, and who looks from inside its network."""

    container: Started
    probe: Probe


def verify(
    engine: Engine,
    plan: ImagePlan,
    compose: str,
    seconds: float,
    home: Path = _HERE,
    answers: Mapping[tuple[str, int], str] | None = None,
    while_up: Callable[[Mapping[str, Up]], None] | None = None,
) -> Verification:
    """Start what ``compose`` says in ``engine``, and look what it serves; nothing of it is left.

    Args:
        engine: entered.
        compose: the text of the machine's compose file.
        seconds: until every port has to answer.
        home: the compose file's folder, which has the files that it names.
        answers: what the running machine answered, by protocol and port, as ``hello.recognise`` words it.
        while_up: called with the containers by service when all of them answer, or time is up.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        try:
            engine.begin(seconds + CLEAN_UP_SECONDS)
            watched, probes = _started(engine, stack, plan, read_project(compose), home)
            also = _wait(watched, probes, seconds, answers or {})
            if while_up is not None:
                while_up(
                    {
                        one.expected.service: Up(one.container, probes[one.network])
                        for one in watched
                        if one.container is not None and one.network in probes
                    }
                )
            verdicts = [_verdict(one) for one in watched]
            stopped = _stop(watched)
            verdicts = [
                replace(verdict, stopped=took) for verdict, took in zip(verdicts, stopped, strict=True)
            ]
            return Verification(plan.name, tuple(verdicts), also, seconds=time.monotonic() - began)
        except VerifyError as error:
            log.warning("%s cannot be verified: %s", plan.name, error)
            return Verification(plan.name, seconds=time.monotonic() - began, error=str(error))


def _started(
    engine: Engine, stack: ExitStack, plan: ImagePlan, services: Sequence[ComposedService], home: Path
) -> tuple[list[_Watched], dict[str, Probe]]:
    """The services' containers, and who looks from inside each network, by the key of its owner."""
    project = f"orchestrate-verify-{secrets.token_hex(6)}"
    for image in dict.fromkeys(service.image for service in services):
        stack.enter_context(engine.image(image))
    network = stack.enter_context(engine.network(project))
    names = {name for service in services for name, _, _ in service.volumes}
    volumes = {name: stack.enter_context(engine.volume(f"{project}-{name}")) for name in sorted(names)}
    watched: list[_Watched] = []
    owners: dict[str, Started] = {}
    for service in services:
        wanted = expected_of(plan, service)
        one = None if wanted is None else _Watched(wanted, service, waiting=set(wanted.ports))
        arguments = {
            **arguments_of(engine, service, volumes),
            "name": f"{project}-{service.key}",
            "network_mode": _network(service, network, owners),
        }
        try:
            owners[service.key] = stack.enter_context(engine.container(arguments, secrets_of(service, home)))
        except VerifyError as error:
            if one is None:
                raise
            one.reason = str(error)
        if one is not None:
            one.container = owners.get(service.key)
            watched.append(one)
    return watched, dict(_probes(engine, stack, plan, watched, owners))


def _probes(
    engine: Engine,
    stack: ExitStack,
    plan: ImagePlan,
    watched: Sequence[_Watched],
    owners: Mapping[str, Started],
) -> Iterator[tuple[str, Probe]]:
    """Nobody can look into the network of a container that has ended already."""
    images = {one.network: one.composed.image for one in watched}
    for key, image in images.items():
        owner = owners.get(key)
        if owner is None:
            continue
        network = f"container:{owner.id}"
        try:
            yield key, stack.enter_context(engine.probe(image, network, plan.architecture or X86))
        except VerifyError:
            if owner.ended() is None:
                raise


def _network(service: ComposedService, network: str, owners: Mapping[str, Started]) -> str:
    if service.isolated:
        return "none"
    if not service.shares_network_of:
        return network
    owner = owners.get(service.shares_network_of)
    if owner is None:
        raise VerifyError(
            f"{service.key} shares the network of {service.shares_network_of}, which is not there"
        )
    return f"container:{owner.id}"


def _wait(
    watched: Sequence[_Watched],
    probes: Mapping[str, Probe],
    seconds: float,
    answers: Mapping[tuple[str, int], str],
) -> tuple[str, ...]:
    """Ask until everybody answers or the time is up; gives the sockets that nobody expected."""
    began = time.monotonic()
    while True:
        sockets = {key: of_services(probe.sockets()) for key, probe in probes.items()}
        for one in watched:
            _look(one, probes.get(one.network), sockets.get(one.network, frozenset()), answers)
        waited = time.monotonic() - began
        if (all(one.done for one in watched) and waited > _settling(watched)) or waited > seconds:
            break
        time.sleep(_BETWEEN_LOOKS)
    known = {(port.protocol, port.number) for one in watched for port in one.expected.ports}
    found = {one for those in sockets.values() for one in those if (one.protocol, one.port) not in known}
    return tuple(sorted(f"{one.protocol} {one.host}:{one.port}" for one in found))


def _settling(watched: Sequence[_Watched]) -> float:
    return 0.0 if all(one.expected.ports for one in watched) else _SETTLE_SECONDS


def _look(
    one: _Watched,
    probe: Probe | None,
    sockets: frozenset[Listening],
    answers: Mapping[tuple[str, int], str],
) -> None:
    if one.container is None or one.reason:
        return
    if (status := one.container.ended()) is not None:
        one.reason = f"its container ended with status {status}"
        return
    numbers = {port.number for port in one.expected.ports}
    for port in sorted(one.waiting, key=lambda port: (port.number, port.protocol)):
        key = (port.protocol, port.number)
        program = one.expected.program
        socket = socket_of(port, sockets)
        hello = hello_for(port.number, port.protocol, program, numbers)
        answer = None
        if probe is not None and socket is not None and hello is not None:
            answer = probe.ask(socket, hello.words, _ANSWER_SECONDS)
        verdict = judge_port(port, program, socket, hello, answer, answers.get(key, ""))
        one.verdicts[key] = verdict
        if is_final(verdict, hello, program):
            one.waiting.discard(port)


def _verdict(one: _Watched) -> ServiceVerdict:
    ports = tuple(one.verdicts[key] for key in sorted(one.verdicts, key=lambda key: (key[1], key[0])))
    outcome = Outcome.FAILS if one.reason else worst([port.outcome for port in ports])
    verdict = ServiceVerdict(one.expected.service, outcome, ports, one.reason)
    if one.container is None:
        return verdict
    if not outcome.good:
        verdict = replace(verdict, lines=one.container.log())
    return replace(verdict, privileged=one.container.privileged(), users=one.container.users())


def _stop(watched: Sequence[_Watched]) -> list[float | None]:
    """Ask all to end at once, as a machine that shuts down; how long each took, None for who did not end."""
    began = time.monotonic()
    waiting = [one for one in watched if one.container is not None and not one.reason]
    for one in waiting:
        if one.container is not None:
            one.container.ask_to_end()
    took: dict[str, float] = {}
    while waiting:
        waited = time.monotonic() - began
        for one in list(waiting):
            if one.container is None or one.container.ended() is not None:
                took[one.composed.key] = waited
                waiting.remove(one)
            elif waited > min(one.composed.stop_seconds, _LONGEST_STOP):
                waiting.remove(one)
        time.sleep(_BETWEEN_LOOKS / 2 if waiting else 0)
    return [took.get(one.composed.key) for one in watched]
