"""What the containers of one machine share, whatever runs them."""

from __future__ import annotations

from converters.plan import ImagePlan

_NOT_SHARED = frozenset(("/run/lock", "/run/user", "/run/sshd", "/run/sudo"))


def shared_directories(plan: ImagePlan) -> tuple[str, ...]:
    """Directories of services below /run, one level deep: their sockets are there."""
    told = [service.specification for service in plan.services if service.specification is not None]
    paths = [directory.path for directory in plan.directories]
    paths += [path.path for specification in told for path in specification.paths]
    tops = {"/".join(path.split("/")[:3]) for path in paths if path.startswith("/run/")}
    return tuple(sorted(tops - _NOT_SHARED))
