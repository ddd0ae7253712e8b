"""Properties of many objects in few calls: explicit paths, in pages, and nothing fetched lazily.

``RetrievePropertiesEx`` of the vSphere Web Services API, over a ``ContainerView`` or a list of objects.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pyVmomi import vim, vmodl

from orchestrator.errors import VCenterBusyError
from orchestrator.vsphere.answers import Found, Items, Page, PageStub
from orchestrator.vsphere.faults import GONE
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.stub import UnreachableError

log = logging.getLogger(__name__)

PAGE = 500
"""Objects asked for in a call; a server that gives fewer is asked for the rest."""
_RESTARTS = 4
T = TypeVar("T")
Paths = Mapping[Any, Sequence[str]]
"""Managed object type → the property paths wanted of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was retrieved of one object. A property that is unset is not in ``values``."""

    kind: Any
    """Type of the managed object."""
    moref: str
    values: Mapping[str, Any]
    withheld: Mapping[str, Any] = field(default_factory=dict)
    """Path → vCenter's fault, such as ``NoPermission``, for what it does not tell, set or unset."""

    def get(self, path: str, default: Any = None) -> Any:
        """The property's value, or ``default`` when it is unset."""
        return self.values.get(path, default)


def below(session: Session, root: Any, paths: Paths, parse: Callable[[Row], T], page: int = PAGE) -> list[T]:
    """``parse`` of each object below the folder or datacenter ``root`` that is of a type in ``paths``.

    ``parse`` runs page by page, so that only its results stay in memory. Objects that vanish meanwhile are
    left out. When the session ends midway everything is asked again: views and page tokens end with it.
    """

    def attempt() -> list[T]:
        with view(session, root, list(paths)) as found:
            return inside(session, found, paths, parse, page)

    return restarted(session, attempt)


def inside(
    session: Session, found: Any, paths: Paths, parse: Callable[[Row], T], page: int = PAGE
) -> list[T]:
    """As ``below``, of a ``view`` that holds the types in ``paths``; to be called in ``restarted``."""
    walk = vmodl.query.PropertyCollector.TraversalSpec(path="view", type=vim.view.ContainerView, skip=False)
    start = vmodl.query.PropertyCollector.ObjectSpec(obj=found, skip=True, selectSet=[walk])
    return [parse(row) for row in _rows(session, [start], paths, page)]


def of(
    session: Session,
    objects: Iterable[Any],
    paths: Paths,
    parse: Callable[[Row], T],
    page: int = PAGE,
    items: Items | None = None,
) -> list[T]:
    """``parse`` of each of the managed ``objects``, in no promised order, without those that are gone.

    Of arrays whose paths are in ``items``, only items of these types are read.
    """
    listed = list(objects)
    results: list[T] = []
    for at in range(0, len(listed), page):
        batch = listed[at : at + page]
        attempt = functools.partial(_listed, session, batch, paths, page, items or {})
        results += map(parse, restarted(session, attempt))
    return results


def one(session: Session, managed: Any, paths: Sequence[str]) -> Row | None:
    """Properties of one object; None when it is gone."""
    rows = of(session, [managed], {type(managed): paths}, lambda row: row)
    return rows[0] if rows else None


def _listed(session: Session, objects: Sequence[Any], paths: Paths, page: int, items: Items) -> list[Row]:
    try:
        starts = [vmodl.query.PropertyCollector.ObjectSpec(obj=found, skip=False) for found in objects]
        return list(_rows(session, starts, paths, page, items))
    except GONE:
        # One object that is gone fails the whole call: find out which, halving.
        if len(objects) == 1:
            return []
        middle = len(objects) // 2
        halves = objects[:middle], objects[middle:]
        return [row for half in halves for row in _listed(session, half, paths, page, items)]


class _SessionEnded(Exception):
    """The session ended while pages were read."""


class _PagesLost(Exception):
    """The connection broke while a page was asked for, and the server gives none twice."""


def restarted(session: Session, attempt: Callable[[], T]) -> T:
    """What ``attempt`` gives, which is made again when the session or the connection has ended in it."""
    for _ in range(_RESTARTS):
        seen = session.generation
        try:
            found = attempt()
        except _SessionEnded:
            session.log_in_again(seen)
            continue
        except _PagesLost as lost:
            log.info("properties are asked for again from the first page: %s", lost.__cause__)
            continue
        except (*GONE, vmodl.fault.InvalidArgument, vmodl.query.InvalidProperty):
            if session.generation == seen:
                raise
            continue
        return found
    raise VCenterBusyError(
        "the vCenter session ended, or the connection broke, again and again while properties were read"
    )


def _rows(
    session: Session, starts: Sequence[Any], paths: Paths, page: int, items: Items | None = None
) -> Iterator[Row]:
    # The collector that pyvmomi gives, over a stub that reads its answers faster.
    collector = type(session.content.propertyCollector)(
        session.content.propertyCollector._moId, PageStub(session.stub, items or {})
    )
    wanted = vmodl.query.PropertyCollector.FilterSpec(
        objectSet=starts,
        propSet=[
            vmodl.query.PropertyCollector.PropertySpec(type=kind, pathSet=list(names), all=False)
            for kind, names in paths.items()
        ],
    )
    seen = session.generation
    options = vmodl.query.PropertyCollector.RetrieveOptions(maxObjects=page)
    answer: Page = collector.RetrievePropertiesEx([wanted], options)
    while True:
        yield from (row for row in map(_row, answer.objects) if row is not None)
        if not answer.token:
            return
        if session.generation != seen:
            raise _SessionEnded
        try:
            answer = collector.ContinueRetrievePropertiesEx(answer.token)
        except UnreachableError as error:
            raise _PagesLost from error


def _row(found: Found) -> Row | None:
    for missing in found.missing:
        match missing.fault:
            case vim.fault.NotAuthenticated():
                raise _SessionEnded
            case vmodl.fault.ManagedObjectNotFound():
                return None
            case _:
                log.debug("%s of %s is withheld: %s", missing.path, found.moref, type(missing.fault).__name__)
    withheld = {missing.path: missing.fault for missing in found.missing}
    return Row(found.kind, found.moref, found.values, withheld)


@contextlib.contextmanager
def view(session: Session, root: Any, kinds: list[Any]) -> Iterator[Any]:
    """A ContainerView of the objects of these types below ``root``; destroyed at the end."""
    seen = session.generation
    found = session.content.viewManager.CreateContainerView(root, kinds, True)
    try:
        yield found
    finally:
        if session.generation == seen:
            # Where vCenter is away, the view ends with its session.
            with contextlib.suppress(*GONE, UnreachableError):
                found.DestroyView()
