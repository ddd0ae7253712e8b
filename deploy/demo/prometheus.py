"""Debian's Prometheus with a configuration and a storage of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from converters import process
from deploy.demo import service
from deploy.demo.registry import free_port

_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of one series at one moment."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """A running Prometheus at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=10.0)

    def ready(self) -> bool:
        """Whether it serves queries."""
        try:
            return self._http.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def query(self, expression: str) -> list[Sample]:
        """The samples that a PromQL expression gives now.

        Raises:
            ValueError: the expression is wrong.
        """
        answer = self._http.get("/api/v1/query", params={"query": expression}).json()
        if answer["status"] != "success":
            raise ValueError(f"{expression}: {answer['error']}")
        return [Sample(item["metric"], float(item["value"][1])) for item in answer["data"]["result"]]

    def close(self) -> None:
        """End connections."""
        self._http.close()


@contextmanager
def running(targets: Mapping[str, Sequence[str]], interval: float = 1.0) -> Iterator[Prometheus]:
    """A Prometheus that scrapes itself and the given ``host:port`` targets by job every ``interval`` seconds.

    Raises:
        ProcessError: not installed, or it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrate-prometheus-") as name:
        address = f"127.0.0.1:{free_port()}"
        config = Path(name) / "prometheus.yml"
        jobs = {"prometheus": [address], **targets}
        config.write_text(json.dumps(_configuration(jobs, interval)))  # JSON is YAML
        command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={name}/data",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        with process.running(command) as child:
            prometheus = Prometheus(f"http://{address}")
            try:
                service.wait_until(child, prometheus.ready, _START_SECONDS)
                yield prometheus
            finally:
                prometheus.close()


def _configuration(jobs: Mapping[str, Sequence[str]], interval: float) -> dict[str, object]:
    return {
        "global": {"scrape_interval": f"{int(interval * 1000)}ms"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(targets)}]} for job, targets in jobs.items()
        ],
    }
