"""Folds what happens into the ``JobView`` that people see. Pure but for its memory; times are passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from orchestrator.fleet.states import Failure, Hold, Job, JobState, Stage
from orchestrator.fleet.view import ConversionView, ErrorView, ImageView, JobView, StageTime
from orchestrator.verify.verdict import Verification

_SAMPLES = 6
_ON_WORKER = (Stage.DOWNLOAD, Stage.CONVERT)
_COMING = (Stage.EXPORT, Stage.DOWNLOAD)


class Tracker:
    """One job's view, replaced as a whole at each change, so that any thread may read it."""

    def __init__(self, view: JobView) -> None:
        self.view = view
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def recorded(self, job: Job, now: float) -> None:
        """The state machine has the job so."""
        if job.state is JobState.SKIPPED and job.failure is not None:
            self.noted(job.failure.message)
        self.view = replace(
            self.view,
            state=job.state,
            attempt=job.attempt,
            worker=job.worker,
            ended=now if job.state.final else None,
            snapshot_left=job.hold is Hold.LEFT,
            rate=self.view.rate if job.stage in _ON_WORKER else 0.0,
        )

    def began(self, stage: Stage, attempt: int, now: float) -> None:
        """A stage was begun."""
        view = replace(
            self.view,
            stages=(*self.view.stages, StageTime(stage, attempt, now)),
            running=(*self.view.running, stage),
            started=self.view.started or now,
        )
        if stage is Stage.DOWNLOAD:
            view = replace(view, received_bytes=0, read_bytes=0, pushed_bytes=0)
        elif stage is Stage.EXPORT:
            view = replace(view, received_bytes=0, step_down="")
        elif stage is Stage.CONVERT:
            in_place = [one.stage for one in view.stages if one.stage in _COMING][-1:] == [Stage.EXPORT]
            received = 0 if in_place else view.received_bytes
            view = replace(view, received_bytes=received, read_bytes=0, pushed_bytes=0)
        if stage in _ON_WORKER:
            self._samples.clear()
            self._samples.append((now, 0))
        self.view = view

    def ended(self, stage: Stage, attempt: int, now: float, ok: bool) -> StageTime | None:
        """A stage has ended; gives its times, or None when it had ended before."""
        found: StageTime | None = None
        stages: list[StageTime] = []
        for time in self.view.stages:
            if (time.stage, time.attempt) == (stage, attempt) and time.ended is None:
                time = found = replace(time, ended=now, ok=ok)
            stages.append(time)
        if found is None:
            return None
        view = replace(
            self.view,
            stages=tuple(stages),
            running=tuple(time.stage for time in stages if time.ended is None),
        )
        if ok and stage is Stage.SNAPSHOT:
            view = replace(view, snapshot_since=now)
        elif ok and stage is Stage.RELEASE:
            view = replace(view, snapshot_since=None)
        self.view = view
        return found

    def abandoned(self, now: float) -> tuple[StageTime, ...]:
        """What ran on a worker is given up; gives the times of what did."""
        given_up = [time for time in self.view.stages if time.ended is None and time.stage in _ON_WORKER]
        ended = (self.ended(time.stage, time.attempt, now, False) for time in given_up)
        return tuple(time for time in ended if time is not None)

    def moved(self, counts: Mapping[str, int], now: float) -> None:
        """A stage on a worker tells how many bytes it has moved: ``received``, ``read``, ``pushed``."""
        view = self.view
        received = max(view.received_bytes, counts.get("received", 0))
        read = max(view.read_bytes, counts.get("read", 0))
        pushed = max(view.pushed_bytes, counts.get("pushed", 0))
        self._samples.append((now, read if Stage.CONVERT in view.running else received))
        self.view = replace(
            view,
            received_bytes=received,
            read_bytes=read,
            pushed_bytes=pushed,
            received_total=view.received_total + received - view.received_bytes,
            read_total=view.read_total + read - view.read_bytes,
            pushed_total=view.pushed_total + pushed - view.pushed_bytes,
            rate=self._rate(),
        )

    def placed(self, host: str, datastores: tuple[str, ...]) -> None:
        """The VM is there now; names."""
        self.view = replace(self.view, host=host, datastores=datastores)

    def failed(self, stage: Stage, attempt: int, failure: Failure) -> None:
        """A stage failed, whether or not it is tried again."""
        error = ErrorView(stage, attempt, failure.kind, failure.message, failure.hint, failure.retryable)
        self.view = replace(self.view, errors=(*self.view.errors, error))

    def leased(self, wire_bytes: int) -> None:
        """The download is expected to transfer so much."""
        self.view = replace(self.view, wire_bytes=wire_bytes)

    def exported_instead(self, why: str) -> None:
        """The transport that was asked for does not do for the VM; ``why`` begins with its name."""
        self.view = replace(self.view, step_down=why)
        self.noted(f"read through an export lease ({why})")

    def published(self, image: ImageView) -> None:
        """There is an image."""
        self.view = replace(self.view, image=image)

    def converted(self, conversion: ConversionView) -> None:
        """The image's blobs are in the registry."""
        self.view = replace(self.view, conversion=conversion)

    def verified(self, found: Verification) -> None:
        """The image's containers were started, and removed again."""
        self.view = replace(self.view, verification=found)

    def noted(self, note: str) -> None:
        """A person should know this of how it went; once is enough."""
        if note in self.view.reason:
            return
        reason = f"{self.view.reason}; {note}" if self.view.reason else note
        self.view = replace(self.view, reason=reason)

    @property
    def last_stage(self) -> Stage:
        """The stage that was begun last, the release aside."""
        begun = [time.stage for time in self.view.stages if time.stage is not Stage.RELEASE]
        return begun[-1] if begun else Stage.SNAPSHOT

    def _rate(self) -> float:
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else 0.0
