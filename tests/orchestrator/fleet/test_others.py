"""The fleet's machine while others move VMs, back them up, delete them and fill datastores, in any order."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.fleet.admission import Budgets, Candidate
from orchestrator.fleet.machine import Fleet, WorkerJoined
from orchestrator.fleet.patience import counted
from orchestrator.fleet.states import (
    Failure,
    Hold,
    Instruction,
    JobState,
    Record,
    Rules,
    Stage,
    StageDone,
    StageFailed,
    Start,
    Tick,
    WorkerLost,
)
from orchestrator.fleet.surroundings import Crowded, Moved
from orchestrator.vsphere.values import HostInfo, Placement

RULES = Rules(max_attempts=2, backoff_base=5, put_off_pause=60, put_off_limit=600)
STORES = ("ds-0", "ds-1")
BACKUP = Failure("backup-running", "a backup runs", retryable=True, untouched=True, put_off=True)
HELD = Failure("held", "it moves", retryable=True, put_off=True)
GONE = Failure("gone", "it was deleted", gone=True)
CUT = Failure("stream", "the connection was cut", retryable=True)
_AT_SNAPSHOT = (None, None, BACKUP, HELD, GONE, CUT)
_AT_EXPORT = (None, None, HELD, GONE, CUT)
_LATER = (None, None, None, CUT)


class Others:
    """Answers what the fleet begins, and keeps account of the snapshots there are."""

    def __init__(self, count: int) -> None:
        candidates = [Candidate(f"j{n}", f"host-{n % 2}", 1, (STORES[n % 2],), n) for n in range(count)]
        self.fleet = Fleet(candidates, Budgets(datastore_snapshots=2), RULES)
        self.now = 0.0
        self.crowded: dict[str, str] = {}
        self.in_flight: list[Start] = []
        self.snapshots: set[str] = set()
        self.finals: Counter[str] = Counter()

    def send(self, event: object) -> None:
        for instruction in self.fleet.handle(event, self.now):  # type: ignore[arg-type]
            self.follow(instruction)
        for job in self.snapshots:
            assert self.fleet.jobs[job].hold is not Hold.NONE, "a snapshot that nobody knows of"
        assert all(counted(job) <= RULES.max_attempts for job in self.fleet.jobs.values())

    def follow(self, instruction: Instruction) -> None:
        match instruction:
            case Record(job) if job.state.final:
                self.finals[job.id] += 1
            case Start(job=job, stage=Stage.SNAPSHOT):
                assert job not in self.snapshots, "a second snapshot on one VM"
                assert not self.crowded.keys() & set(self.fleet.candidates[job].datastores), "no room there"
                self.in_flight.append(instruction)
            case Start():
                self.in_flight.append(instruction)

    def answer(self, start: Start, failure: Failure | None) -> None:
        self.in_flight.remove(start)
        if start.stage is Stage.SNAPSHOT and (failure is None or failure in (HELD, CUT)):
            self.snapshots.add(start.job)
        if start.stage is Stage.RELEASE:
            self.snapshots.discard(start.job)
        if failure is None:
            self.send(StageDone(start.job, start.stage, start.attempt))
        else:
            self.send(StageFailed(start.job, start.stage, start.attempt, failure))

    def look(self) -> None:
        """As ``orchestrator.whereabouts`` tells it: at every look."""
        self.send(Crowded(dict(self.crowded)))

    def finish(self) -> None:
        """Everything in flight ends well, and time passes, until all jobs have ended."""
        for _ in range(2000):
            if self.fleet.ended and not self.in_flight:
                return
            if self.in_flight:
                self.answer(self.in_flight[0], None)
                continue
            self.now = max(self.now + 60, self.fleet.next_tick() or 0.0)
            self.send(Tick())
            self.look()
        raise AssertionError("the fleet never comes to rest")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_others_do_no_job_is_lost_and_no_snapshot_stays(data: st.DataObject) -> None:
    others = Others(data.draw(st.integers(1, 6)))
    jobs = sorted(others.fleet.jobs)
    others.send(WorkerJoined("w0", 3))
    for step in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["answer"] * 6 + ["move", "fill", "free", "tick", "worker"])):
            case "answer" if others.in_flight:
                start = data.draw(st.sampled_from(others.in_flight))
                known = {Stage.SNAPSHOT: _AT_SNAPSHOT, Stage.EXPORT: _AT_EXPORT, Stage.RELEASE: (None,)}
                others.answer(start, data.draw(st.sampled_from(known.get(start.stage, _LATER))))
            case "move":
                job, where = data.draw(st.sampled_from(jobs)), data.draw(st.integers(0, 1))
                host = HostInfo(f"h-{where}", f"host-{where}", 2000)
                others.send(Moved(job, Placement(job, job, host, (STORES[where],))))
            case "fill":
                others.crowded[data.draw(st.sampled_from(STORES))] = "full"
                others.look()
            case "free":
                others.crowded.clear()
                others.look()
            case "tick":
                others.now += data.draw(st.floats(0, 200))
                others.send(Tick())
            case "worker":
                others.send(WorkerLost(f"w{step}" if step else "w0"))
                others.send(WorkerJoined("w0", 3))
    others.finish()
    assert others.finals == Counter(jobs)
    assert not others.snapshots
    for ended in others.fleet.jobs.values():
        assert ended.state in (JobState.DONE, JobState.FAILED, JobState.SKIPPED)
        assert ended.state is JobState.DONE or ended.failure is not None
        assert (ended.state is JobState.SKIPPED) == (ended.failure == GONE)
