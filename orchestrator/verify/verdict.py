"""What became of a machine's containers when they were started: values that travel and are written down.

Texts that a guest or its containers said are untrusted; they are printable and bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a port or a service did, best first."""

    ANSWERS = "answers"
    """It speaks the protocol that it should."""
    LISTENS = "listens"
    """It accepts connections; nothing tells what it should say."""
    RUNS = "runs"
    """It stays up; no port of it is known."""
    DIFFERS = "differs"
    """It says something else than the machine did, or should."""
    FAILS = "fails"
    """It ended, or does not open its port in time."""

    @property
    def good(self) -> bool:
        """Whether nobody has to look at it."""
        return self not in (Outcome.DIFFERS, Outcome.FAILS)


_WORST_FIRST = tuple(reversed(Outcome))


def worst(outcomes: list[Outcome]) -> Outcome:
    """Of a service, by those of its ports; one without any just runs."""
    return min(outcomes, key=_WORST_FIRST.index, default=Outcome.RUNS)


@dataclass(frozen=True, slots=True)
class PortVerdict:
    """A port of a service."""

    number: int
    protocol: str
    outcome: Outcome
    said: str
    """What was answered, in few words: ``HTTP 200, title Welcome``; or why nothing was."""


@dataclass(frozen=True, slots=True)
class ServiceVerdict:
    """A service in its container."""

    service: str
    outcome: Outcome
    ports: tuple[PortVerdict, ...] = ()
    reason: str = ""
    """Why it fails, where that is not a port's."""
    lines: tuple[str, ...] = ()
    """The last lines of its log, where its outcome is not good."""
    privileged: bool = False
    """Whether the container could do more than the engine gives every container."""
    users: tuple[int, ...] = ()
    """Whose processes run in it, by number."""
    stopped: float | None = None
    """Seconds that it took to end by itself when it was asked to; None when it had to be killed."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A service, started alone and without a network, and the sockets that it opened."""

    service: str
    sockets: tuple[str, ...] = ()
    """``tcp 127.0.0.1:9000``."""
    unknown: tuple[str, ...] = ()
    """Those that no configuration told of."""
    missing: tuple[str, ...] = ()
    """Ports that configuration tells of, and that it did not open: ``80/tcp``."""
    ended: int | None = None
    """Its exit status, where it did not stay: some need what is not there when they are alone."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A machine's containers, started together."""

    machine: str
    services: tuple[ServiceVerdict, ...] = ()
    also: tuple[str, ...] = ()
    """Sockets that no configuration told of: ``tcp 127.0.0.1:9000``."""
    observed: tuple[Observation, ...] = ()
    """Empty when nobody wanted that."""
    seconds: float = 0.0
    error: str = ""
    """Why there is no verdict on its services."""

    @property
    def good(self) -> bool:
        """Whether everything was started and serves."""
        return not self.error and all(service.outcome.good for service in self.services)

    def sentence(self) -> str:
        """The whole in one line."""
        if self.error:
            return f"not verified: {self.error}"
        answering = sum(service.outcome.good for service in self.services)
        bad = [f"{one.service} {one.outcome}" for one in self.services if not one.outcome.good]
        return f"verified: {answering} of {len(self.services)} services serve" + (
            f"; {', '.join(bad)}" if bad else ""
        )
