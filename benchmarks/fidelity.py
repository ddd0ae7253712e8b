"""How many services of the demo's guests serve as containers what they served on their machine.

``python -m benchmarks.fidelity [MACHINE…]``: root and a Docker Engine's programs are needed; the guests are
made once.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.output import show
from deploy.demo import dockerd
from deploy.demo.fidelity import MACHINES, Examined, examine
from deploy.demo.registry import registry
from orchestrator.verify.engine import Engine

_LONGEST = 40
"""Characters of what a port said."""


def main(names: list[str]) -> int:
    """Examine the machines and print what came of them; the exit status."""
    unknown = sorted(set(names) - set(MACHINES))
    if unknown:
        print(f"no machine is called {', '.join(unknown)}; there are {', '.join(MACHINES)}", file=sys.stderr)
        return 64
    rows: list[tuple[str, ...]] = []
    privileged = 0
    with (
        dockerd.running() as demo,
        registry() as server,
        Engine(f"unix://{demo.socket}") as engine,
        tempfile.TemporaryDirectory() as scratch,
    ):
        for name in names or MACHINES:
            examined = examine(MACHINES[name], engine, server, Path(scratch))
            rows += _rows(examined)
            privileged += sum(service.privileged for service in examined.verification.services)
            for service in examined.verification.services:
                for line in service.lines:
                    print(f"{name} {service.service}: {line}", file=sys.stderr)
            if examined.verification.also:
                print(f"{name} listens too: {', '.join(examined.verification.also)}", file=sys.stderr)
    columns = ("machine", "service", "verdict", "ports", "stops in", "content", "user")
    answered = sum(row[5] == "the machine's" and row[6] == "the machine's" for row in rows)
    figures = {"services": float(len(rows)), "answered": float(answered), "privileged": float(privileged)}
    show("Services as containers", columns, rows, figures)
    return 0


def _rows(examined: Examined) -> list[tuple[str, ...]]:
    verdicts = {one.service: one for one in examined.verification.services}
    asked = {question.service: question for question in examined.machine.questions}
    rows: list[tuple[str, ...]] = []
    for service in sorted({*verdicts, *asked}):
        verdict, question = verdicts.get(service), asked.get(service)
        listed = verdict.ports if verdict else ()
        ports = "; ".join(f"{port.number} {port.said[:_LONGEST]}" for port in listed)
        reason = f" ({verdict.reason})" if verdict and verdict.reason else ""
        content, user = "not asked", "not asked"
        if question is not None:
            content = "the machine's" if examined.answered(question) else "no"
            user = "the machine's" if question.user in examined.users.get(service, ()) else "no"
        rows.append(
            (
                examined.machine.name,
                service,
                f"{verdict.outcome}{reason}" if verdict else examined.verification.error or "no container",
                ports,
                f"{verdict.stopped:.1f} s" if verdict and verdict.stopped is not None else "killed",
                content,
                user,
            )
        )
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
