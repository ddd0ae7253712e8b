"""Plan files and rules of this machine: read before anything is begun, so a mistake in one costs no VM."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from converters.errors import PlanError
from converters.planfile.decide import Decisions
from converters.planfile.model import PlanFile, RuleFile
from converters.planfile.reading import read_plan, read_rules
from converters.planfile.rules import compiled
from orchestrator import durable
from orchestrator.settings import Settings

SUFFIX = ".plan.yaml"
NEWER = ".new"
"""What is added to the name of a plan that would replace another one; no such file is read."""
_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Plans:
    """What people have decided of machines: rules about all of them, and a plan for some."""

    rules: RuleFile | None = None
    rules_name: str = ""
    files: Mapping[Path, PlanFile] = field(default_factory=dict)

    def decisions(self, machine: str, uuid: str = "") -> Decisions:
        """Those that concern one machine; a plan with a UUID is for the VM that has it."""
        found = self._of(machine, uuid)
        if found is None:
            return Decisions(self.rules, self.rules_name)
        return Decisions(self.rules, self.rules_name, self.files[found], found.name)

    def fingerprint(self, machine: str, uuid: str = "") -> str:
        """Another word, another image; empty where nothing is decided."""
        decisions = self.decisions(machine, uuid)
        parts = [part.model_dump_json() for part in (decisions.rules, decisions.plan) if part is not None]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""

    def unused(self, machines: Iterable[tuple[str, str]]) -> dict[Path, str]:
        """Files that are for none of these machines, by name and UUID; with the machine that each names."""
        used = {self._of(name, uuid) for name, uuid in machines}
        return {path: plan.machine for path, plan in self.files.items() if path not in used}

    def _of(self, machine: str, uuid: str) -> Path | None:
        named = [path for path, plan in self.files.items() if plan.machine == machine]
        exactly = [path for path in named if self.files[path].uuid == uuid]
        return next((path for path in (*exactly, *named) if self.files[path].uuid in ("", uuid)), None)


NO_PLANS = Plans()


def read_plans(settings: Settings) -> Plans:
    """The rules and plans that the settings name.

    Raises:
        PlanError: one cannot be read, says what cannot be, or is for the machine of another.
    """
    rules = None if settings.rules is None else read_rules(settings.rules)
    name = "" if settings.rules is None else settings.rules.name
    if rules is not None:
        compiled(rules, str(settings.rules))
    files = {} if settings.plan is None else {settings.plan: read_plan(settings.plan)}
    if settings.plans is not None and not (settings.plan_only and not settings.plans.exists()):
        files |= _folder(settings.plans)
    return Plans(rules, name, files)


def _folder(folder: Path) -> dict[Path, PlanFile]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS)
    except OSError as error:
        raise PlanError(f"cannot read the folder of plans {folder}: {error}") from None
    found: dict[Path, PlanFile] = {}
    taken: dict[tuple[str, str], Path] = {}
    for path in paths:
        plan = read_plan(path)
        other = taken.setdefault((plan.machine, plan.uuid), path)
        if other != path:
            raise PlanError(
                f"{path} and {other} are both plans of machine {plan.machine}",
                "keep one of them there, or tell the machines apart by `uuid`",
            )
        found[path] = plan
    return found


def write_plan(folder: Path, name: str, text: str) -> Path:
    """Write a machine's plan; one that a person may have changed is kept, and the new one lies beside it.

    For its owner alone: the variables of services, which it shows, may hold passwords.

    Raises ``OSError``.
    """
    durable.make_folder(folder)
    path = folder / f"{name}{SUFFIX}"
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
        path = path.with_name(path.name + NEWER)
    durable.write_private(path, text.encode())
    return path
