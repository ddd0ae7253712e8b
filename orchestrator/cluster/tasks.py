"""The tasks that Dask has been given and that somebody still waits for."""

from __future__ import annotations

import threading

from distributed import Future

from orchestrator.resident import TaskKey


class Tasks:
    """Each with the worker that it was given to. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[TaskKey, tuple[str, Future]] = {}

    def add(self, key: TaskKey, worker: str, task: Future) -> None:
        """Its end is waited for."""
        with self._lock:
            self._open[key] = (worker, task)

    def pop(self, key: TaskKey) -> bool:
        """It has ended; whether anybody still waited for that."""
        with self._lock:
            return self._open.pop(key, None) is not None

    def cancel(self, worker: str, job: str, attempt: int) -> None:
        """Nobody waits any more for what the worker does for the job's attempts up to this one."""
        with self._lock:
            unwanted = [
                key
                for key, (place, _) in self._open.items()
                if place == worker and key.job == job and key.attempt <= attempt
            ]
            tasks = [self._open.pop(key)[1] for key in unwanted]
        for task in tasks:
            task.cancel()

    def forget(self) -> None:
        """Nobody waits for any: the scheduler that had them is gone."""
        with self._lock:
            self._open.clear()
