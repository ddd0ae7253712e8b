"""Scratch of attempts: private, removed when unwanted, and after a kill."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from converters.errors import ScratchFullError
from orchestrator.failures import StoppedError
from orchestrator.scratch import Scratch, default_root, sweep
from orchestrator.work import Bench

RUN = "run-1"
HOLDER = """
import sys
from pathlib import Path
from orchestrator.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.attempt("run", "j", 1) / "disk").write_text("x")
print(scratch.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    made = Scratch(tmp_path)
    yield made
    made.close()
    assert not made.path.exists()


@pytest.fixture
def bench(scratch: Scratch) -> Bench:
    return Bench(scratch)


def ignore(counts: Mapping[str, int]) -> None:
    """Send nothing."""


def test_a_killed_process_leaves_nothing_for_long_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    early = Scratch(tmp_path)
    holder = [sys.executable, "-c", HOLDER, str(tmp_path)]
    for goes_when in (lambda: Scratch(tmp_path).close(), lambda: early.attempt(RUN, "j", 1)):
        with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            folder = Path(other.stdout.readline().strip())
            assert sweep(tmp_path) == 0
            assert (folder / "run" / "j" / "1" / "disk").exists()
            other.kill()
        goes_when()
        assert not folder.exists()
    assert early.path.exists()
    early.close()


def test_the_last_one_removes_the_root_that_nobody_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = Scratch(default_root()), Scratch(default_root())
    one.close()
    assert other.path.exists()
    other.close()
    assert not list(tmp_path.iterdir())
    asked_for = tmp_path / "scratch"
    Scratch(asked_for).close()
    assert not list(asked_for.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ScratchFullError, match="file"):
        Scratch(tmp_path / "file" / "below")


def test_discarding_spares_later_attempts_and_other_jobs(scratch: Scratch) -> None:
    folders = {
        key: scratch.attempt(*key)
        for key in ((RUN, "a", 1), (RUN, "a", 2), (RUN, "a", 3), (RUN, "b", 1), ("other", "a", 1))
    }
    scratch.discard(RUN, "a", 2)
    assert [key for key, folder in folders.items() if folder.exists()] == [
        (RUN, "a", 3),
        (RUN, "b", 1),
        ("other", "a", 1),
    ]


def test_what_a_stage_leaves_goes_unless_it_says_keep(bench: Bench) -> None:
    with bench.working(RUN, "a", 1, ignore) as work:
        (work.scratch / "disk").touch()
        work.keep = True
    assert work.scratch.exists()
    with bench.working(RUN, "a", 1, ignore) as again:
        assert again.scratch == work.scratch
    assert not work.scratch.exists()


def test_a_stage_that_fails_cleans_up(bench: Bench) -> None:
    def fail() -> Path:
        with bench.working(RUN, "a", 1, ignore) as work:
            (work.scratch / "disk").touch()
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        fail()
    assert not (bench.scratch.path / RUN / "a").exists()


def test_a_discarded_attempt_stops_at_its_next_report_and_keeps_nothing(bench: Bench) -> None:
    folder = bench.scratch.attempt(RUN, "a", 1)
    with pytest.raises(StoppedError), bench.working(RUN, "a", 1, ignore) as work:
        work.keep = True
        bench.discard(RUN, "a", 1)
        assert folder.exists(), "it is still at work there"
        work.report(received=1)
    assert not folder.exists()


def test_an_attempt_that_was_given_up_does_not_begin(bench: Bench) -> None:
    bench.discard(RUN, "a", 1)
    with pytest.raises(StoppedError), bench.working(RUN, "a", 1, ignore):
        pytest.fail("it began")
    with bench.working(RUN, "a", 2, ignore):
        pass


def test_what_one_run_gave_up_another_may_begin(bench: Bench) -> None:
    bench.discard("run-0", "a", 1)
    with bench.working(RUN, "a", 1, ignore) as work:
        bench.discard("run-0", "a", 2)
        work.check()


def test_a_forgotten_run_stops_and_leaves_nothing(bench: Bench) -> None:
    with bench.working(RUN, "a", 1, ignore) as kept:
        kept.keep = True
    with pytest.raises(StoppedError), bench.working(RUN, "b", 1, ignore) as work:
        work.keep = True
        assert bench.runs() == {RUN}
        bench.forget(RUN)
        assert not kept.scratch.exists()
        work.check()
    assert bench.runs() == frozenset()
    assert not work.scratch.exists()


def test_reports_are_joined_and_the_last_is_sent_at_the_end(bench: Bench) -> None:
    sent: list[dict[str, int]] = []
    with bench.working(RUN, "a", 1, lambda counts: sent.append(dict(counts))) as work:
        for count in range(1, 1001):
            work.report(received=count)
    assert sent[0] == {"received": 1}
    assert sent[-1] == {"received": 1000}
    assert len(sent) <= 3
