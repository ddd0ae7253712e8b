"""What the resident worker is asked to do: claimed here before it is begun, told from here when it has ended.

So a call to vCenter happens once, whatever Dask does, and is heard of even when the scheduler is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from orchestrator import logs
from orchestrator.failures import failure_of
from orchestrator.fleet.states import Failure

Method = TypeVar("Method", bound=Callable[..., Any])
_LASTING = "lasting"
_LASTING_CALLS = 1000
"""At one time: more than there are snapshots that budgets allow to be open. A thread is made when needed."""


def lasting(method: Method) -> Method:
    """Mark a method whose calls may take hours: each waits in a thread of its own, and holds up no other.

    It is begun at once, beside Dask: what gives back to production waits for no scheduler.
    """
    setattr(method, _LASTING, True)
    return method


@dataclass(frozen=True, slots=True)
class TaskKey:
    """A stage of an attempt; readable in Dask's dashboard."""

    name: str
    """For people: the VM's name, made of letters, digits, ``_``, ``.`` and ``-``."""
    job: str
    stage: str
    attempt: int

    @property
    def subject(self) -> str:
        """The job, as log lines name it."""
        return f"{self.name}-{self.job}"

    def __str__(self) -> str:
        return f"{self.subject}/{self.stage}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A task has ended well."""

    key: TaskKey
    value: Any


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task has ended in an error."""

    key: TaskKey
    failure: Failure


class Desk:
    """The calls that are expected, by task, and the object they are made to; a context manager."""

    _open: ClassVar[dict[str, Desk]] = {}

    def __init__(
        self, resident: object, listener: Callable[[TaskDone | TaskFailed], None], threads: int
    ) -> None:
        self.id = f"orchestrate-{uuid4().hex[:12]}"
        self._resident = resident
        self._listener = listener
        self._lock = threading.Lock()
        self._expected: dict[TaskKey, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="resident")
        self._lasting = ThreadPoolExecutor(_LASTING_CALLS, thread_name_prefix="lasting")

    def __enter__(self) -> Desk:
        self._open[self.id] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._open[self.id]
        self._pool.shutdown(wait=True)
        self._lasting.shutdown(wait=True)

    @classmethod
    def find(cls, identifier: str) -> Desk:
        """The open desk of this process with that identifier; ``KeyError`` when there is none."""
        return cls._open[identifier]

    def expect(self, key: TaskKey, method: str, arguments: tuple[Any, ...]) -> bool:
        """The resident's ``method`` is to be called; False when it is begun already, as one that lasts is."""
        called = getattr(self._resident, method)
        if getattr(called, _LASTING, False):
            self._lasting.submit(self._call, key, called, arguments)
            return False
        with self._lock:
            self._expected[key] = (called, arguments)
        return True

    def run(self, key: TaskKey) -> None:
        """Make the call, unless it was begun already, and tell how it ended."""
        with self._lock:
            call = self._expected.pop(key, None)
        if call is not None:
            self._call(key, *call)

    def _call(self, key: TaskKey, method: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        with logs.about(key.subject):
            try:
                value = method(*arguments)
            except Exception as error:
                self._listener(TaskFailed(key, failure_of(error)))
            else:
                self._listener(TaskDone(key, value))

    def run_apart(self, key: TaskKey) -> None:
        """Make the call in a thread of the desk's own."""
        self._pool.submit(self.run, key)

    def run_all_apart(self) -> None:
        """Make every call that nobody has begun."""
        with self._lock:
            keys = tuple(self._expected)
        for key in keys:
            self.run_apart(key)
