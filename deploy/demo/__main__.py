"""`make demo`: a vCenter, a registry and real guests on this machine, and the main job run on them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from converters.errors import ConvertError
from converters.manifests.kinds import Manifest
from deploy.demo import dockerd, guests, scenario, simulator
from deploy.demo.registry import Registry, registry
from deploy.demo.simulator import Simulator

OUTPUT = Path("out/demo")
_PAGE_SECONDS = 20.0
_FINISHED = (0, 1)
"""Exit codes of a run that went to its end: everything converted, or some failed."""


@dataclass(frozen=True, slots=True)
class Services:
    """What runs beside the command."""

    vcenter: Simulator
    registry: Registry

    @property
    def prefix(self) -> str:
        """Where images go."""
        return f"localhost:{self.registry.address.rpartition(':')[2]}/demo"


def main() -> int:
    """Run the demo; gives the exit status."""
    shutil.rmtree(OUTPUT, ignore_errors=True)  # the last demo's registry is gone, so its ledger is wrong
    OUTPUT.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            services = start(stack)
            code = convert(services)
            if code not in _FINISHED:
                return code
            return 0 if show(services) else 1
    except ConvertError as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make demo: interrupted; what it started has ended", file=sys.stderr)
        return 130


def start(stack: ExitStack) -> Services:
    """Make the guests and start vCenter and registry."""
    say("making the guests that do not exist yet (the first time takes minutes)")
    fleet = scenario.fleet(lambda what: print(f"    {what}", flush=True))
    say("starting a vCenter simulator and a registry")
    vcenter = stack.enter_context(simulator.running(fleet))
    store = stack.enter_context(registry())
    print(f"    vCenter   {vcenter.url}, user {vcenter.username}\n    registry  {store.url}")
    return Services(vcenter, store)


def convert(services: Services) -> int:
    """Run the main job as a user would; gives its exit code."""
    arguments = ["--datacenter", scenario.DATACENTER, "--registry", services.prefix]
    environment = {
        **os.environ,
        **services.vcenter.environment(),
        "ORCHESTRATE_OUTPUT": str(OUTPUT),
        "ORCHESTRATE_LEDGER": str(OUTPUT / "ledger.sqlite"),
    }
    say("with GOVC_URL, GOVC_USERNAME, GOVC_PASSWORD and GOVC_TLS_CA_CERTS set:")
    print(f"    {shlex.join(['orchestrate', *arguments])}\n", flush=True)
    program = str(Path(sys.executable).with_name("orchestrate"))
    # Not through converters.process: the live view needs the terminal, and Ctrl-C reaches both of us.
    with subprocess.Popen([program, *arguments], env=environment) as run:
        while True:
            try:
                return run.wait()
            except KeyboardInterrupt:
                continue  # the command drains, or cancels, and ends by itself


def show(services: Services) -> bool:
    """Say what is left in vCenter, start an image, and say where to look; False when there is no image."""
    snapshots = [snapshot.name for snapshot in services.vcenter.snapshots()]
    left = len(snapshots) - snapshots.count(scenario.BY_HAND)
    print(f"\nIn vCenter: {left} snapshots left, {len(services.vcenter.leases().open)} leases open.", end=" ")
    print(f"What somebody made by hand is still there: {snapshots.count(scenario.BY_HAND)} snapshot.")
    print(f"VM {scenario.BROKEN} is meant to fail: its disk is noise.")
    jobs = json.loads((OUTPUT / "report.json").read_text())["run"]["jobs"]
    image = next((job["image"] for job in jobs if job["vm"] == scenario.SHOWN and job["image"]), None)
    if image is None:
        print(f"VM {scenario.SHOWN} has no image; the report says why: {OUTPUT}/report.html", file=sys.stderr)
        return False
    start_image(image["reference"])
    say("what to look at next")
    print(f"    report          {OUTPUT}/report.html")
    print(f"    for machines    {OUTPUT}/report.json")
    for kind in (kind for kind in Manifest if (OUTPUT / kind).is_dir()):
        print(f"    {kind:15} {OUTPUT / kind}")
    print("    your vCenter    README.md, “Against your vCenter”; begin with orchestrate check")
    print("\nThe demo's registry ends now, and its images with it: here these files are only to be read.")
    print("After a run into a registry of yours: `docker compose -f FILE up`, or `kubectl apply -k FOLDER`.")
    return True


def start_image(reference: str) -> None:
    """Run an image in a Docker Engine of our own and fetch its page."""
    say(f"starting the image of VM {scenario.SHOWN} in a Docker Engine")
    try:
        with dockerd.running() as engine:
            engine.pull(reference)
            container = engine.client.containers.run(reference, detach=True)
            url = f"http://{engine.address(container)}/"
            page = fetch(url, container)
    except dockerd.EngineUnavailableError as error:
        print(f"    not started: {error}")
        return
    expected = guests.web().page
    print(
        f"    GET {url}: {expected!r}" if expected in page else f"    GET {url} gave another page: {page!r}"
    )


def fetch(url: str, container: Any) -> str:
    """The page at ``url``, once the container answers; else what the container wrote."""
    deadline = time.monotonic() + _PAGE_SECONDS
    while time.monotonic() < deadline:
        try:
            return httpx.get(url, trust_env=False, timeout=2.0).text
        except httpx.TransportError:
            time.sleep(0.2)
    return f"(no answer within {_PAGE_SECONDS:g} s) {container.logs(tail=20).decode(errors='replace')}"


def say(text: str) -> None:
    """A heading."""
    mark = "\033[1m==>\033[0m" if sys.stdout.isatty() else "==>"
    print(f"\n{mark} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
