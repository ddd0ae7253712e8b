"""Which workers are frozen: they keep their connections open, and are not heard of any more. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_LOOKS = 3


@dataclass(frozen=True, slots=True)
class _Heard:
    last: float
    looked: float
    in_vain: int = 0


class Pulse:
    """Compares at each look when workers were heard of last.

    A worker counts as frozen when ``_LOOKS`` looks in a row, spread over about ``seconds``, find nothing new.
    Looks are counted, and clocks not compared, because this process may itself have been asleep: then the
    first look finds every worker silent, and the next one none.
    """

    def __init__(self, seconds: float) -> None:
        self._apart = seconds / (_LOOKS + 1)
        self._heard: dict[str, _Heard] = {}

    def frozen(self, last_heard: Mapping[str, float], now: float) -> frozenset[str]:
        """The frozen ones of all workers, each with the time it was heard of last, by whatever clock.

        ``now`` is in seconds by any clock that does not go back.
        """
        self._heard = {worker: self._look(worker, last, now) for worker, last in last_heard.items()}
        return frozenset(worker for worker, heard in self._heard.items() if heard.in_vain >= _LOOKS)

    def _look(self, worker: str, last: float, now: float) -> _Heard:
        before = self._heard.get(worker)
        if before is None or before.last != last:
            return _Heard(last, now)
        if now - before.looked < self._apart:
            return before
        return _Heard(last, now, before.in_vain + 1)
