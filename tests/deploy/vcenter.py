"""A client of the simulated vCenter for its own tests: plain pyvmomi, apart from the product's code."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
from pyVmomi import SoapStubAdapter, vim

from deploy.demo.simulator import Simulator

WAIT_SECONDS = 20.0


@contextmanager
def connected(simulator: Simulator, password: str | None = None) -> Iterator[Any]:
    """A service instance, logged in and out."""
    address = urlsplit(simulator.url)
    stub = SoapStubAdapter(
        host=address.hostname,
        port=address.port,
        path=address.path,
        version="vim.version.v8_0_3_0",
        sslContext=ssl.create_default_context(cafile=str(simulator.ca_file)),
    )
    service: Any = vim.ServiceInstance("ServiceInstance", stub)
    try:
        service.content.sessionManager.Login(simulator.username, password or simulator.password)
        yield service
        with suppress(vim.fault.NotAuthenticated):  # a test may have ended the session
            service.content.sessionManager.Logout()
    finally:
        stub.DropConnections()


def find(service: Any, name: str) -> Any:
    """The VM of this name as the API has it."""
    root = service.content.rootFolder
    view = service.content.viewManager.CreateContainerView(root, [vim.VirtualMachine], True)
    try:
        return next(vm for vm in view.view if vm.name == name)
    finally:
        view.Destroy()


def wait(task: Any) -> Any:
    """The result of a vSphere task; its fault is raised."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        info = task.info
        if info.state == "success":
            return info.result
        if info.state == "error":
            raise info.error
        time.sleep(0.01)
    raise TimeoutError(f"{task} still runs")


def ready(lease: Any) -> Any:
    """The information of an export lease, once it is ready."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if lease.state == "ready":
            return lease.info
        time.sleep(0.01)
    raise TimeoutError(f"the lease is {lease.state}")


def web(simulator: Simulator) -> httpx.Client:
    """An HTTP client that trusts the simulator's certificate."""
    context = ssl.create_default_context(cafile=str(simulator.ca_file))
    return httpx.Client(verify=context, trust_env=False, timeout=WAIT_SECONDS)
