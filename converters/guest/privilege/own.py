"""What the static init needs to run a service: become its user, make its directories, end its processes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from converters.guest.privilege.capabilities import ordered
from converters.guest.privilege.values import Need, NeedKind
from converters.init.specification import Execution, Specification

_SETGID = 0o2000
_PORT = re.compile(r"(?:.*:)?(\d{1,5})")
_LOWEST_PORT = 1024


def init_needs(told: Specification) -> Iterator[Need]:
    """Capabilities of the init's own, by what ``converters/init/program`` does for the service.

    The service's own processes have none of them, unless it runs as root: another user's lose them when the
    init becomes that user.
    """
    users = {user for execution in _executions(told) if not is_root(user := execution.user)}
    if users:
        named = ", ".join(sorted(users))
        yield from _needs(("CAP_SETGID", "CAP_SETUID"), f"the init becomes user {named}")
        yield from _needs(("CAP_KILL",), f"the init ends processes of user {named}")
    elif any(one.group or one.supplementary_groups for one in _executions(told)):
        yield from _needs(("CAP_SETGID",), "the init gives it its groups")
    owned = [path for path in told.paths if not is_root(path.user) or not is_root(path.group)]
    if owned or any(socket.user or socket.group for socket in told.sockets):
        yield from _needs(("CAP_CHOWN", "CAP_FOWNER"), "the init makes directories and files of other users")
    if any(path.mode and int(path.mode, 8) & _SETGID for path in owned):
        yield from _needs(("CAP_FSETID",), "the init makes setgid directories of other groups")
    if _inside(told, {path.path for path in told.paths if not is_root(path.user)}):
        yield from _needs(("CAP_DAC_OVERRIDE",), "the init has files in other users' directories")
    if any(path.source for path in told.paths):
        yield from _needs(
            ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"), "the init puts secrets where they belong"
        )
    if any(_is_low(socket.address) for socket in told.sockets):
        yield from _needs(("CAP_NET_BIND_SERVICE",), "the init opens its sockets")
    if told.execution.bounding_capabilities is not None:
        yield from _needs(("CAP_SETPCAP",), "the init takes from it what its unit does not list")


def is_root(user: str) -> bool:
    """Whether a user or group, by name or number, is root's; nobody named is."""
    return user in ("", "root", "0")


def _executions(told: Specification) -> Iterator[Execution]:
    yield told.execution
    for command in (*told.before, *told.start_pre, *told.start_post, *told.stop, *told.stop_post):
        if command.execution is not None:
            yield command.execution


def _inside(told: Specification, owned: set[str]) -> bool:
    """Whether the init makes, reads or removes something in a directory of another user."""
    sockets = (socket.address for socket in told.sockets if socket.address.startswith("/"))
    paths = (*told.remove, told.pid_file, *sockets, *(path.path for path in told.paths))
    return any(_above(path, owned) for path in paths if path)


def _above(path: str, owned: set[str]) -> bool:
    while path := path.rpartition("/")[0]:
        if path in owned:
            return True
    return False


def _is_low(address: str) -> bool:
    found = _PORT.fullmatch(address)
    return found is not None and int(found[1]) < _LOWEST_PORT


def _needs(names: Iterable[str], evidence: str) -> Iterator[Need]:
    for name in ordered(names):
        yield Need(NeedKind.CAPABILITY, name, evidence)
