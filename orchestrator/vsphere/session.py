"""One session at one vCenter: opened once, logged in again when the server ends it, logged out always."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.errors import ConnectError, VCenterError
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.stub import SessionStub
from orchestrator.vsphere.values import About

log = logging.getLogger(__name__)

OLDEST_API = (6, 7)


class Session:
    """A logged-in vCenter for the modules beside this one; usable from any thread.

    It needs no ping: waiting for tasks and keeping leases alive are calls, and after a longer silence the
    next call logs in again.
    """

    def __init__(self, settings: VCenterSettings) -> None:
        self.settings = settings
        self.stub = SessionStub(settings, self._login)
        self.content: Any = None
        self.user_name = settings.username
        """As vCenter calls the logged-in account, which may differ in form from what was typed."""

    @property
    def round_trips(self) -> int:
        """Calls made so far."""
        return self.stub.round_trips

    @property
    def generation(self) -> int:
        """Which login this is; views, page tokens and leases do not outlive one."""
        return self.stub.generation

    def open(self) -> None:
        """Connect and log in. Raises ``ConnectError``, which says what is wrong and what to do."""
        try:
            self.content = vim.ServiceInstance("ServiceInstance", self.stub).RetrieveContent()
            self._check_version()
            self.stub.log_in(seen=0)
        except VCenterError as error:
            self.stub.DropConnections()
            hint = f"check that {self.settings.url} is the address of a vCenter"
            raise ConnectError(error.message, hint) from error
        except vmodl.MethodFault as fault:
            self.stub.DropConnections()
            raise ConnectError(f"{self.settings.host} refuses to be used: {describe(fault)}") from fault
        except BaseException:
            self.stub.DropConnections()
            raise

    def close(self) -> None:
        """Log out and disconnect; what goes wrong is logged, as nothing can be done about it."""
        if self.stub.generation:
            try:
                self.content.sessionManager.Logout()
            except vim.fault.NotAuthenticated:
                log.debug("the session had ended already")
            except (vmodl.MethodFault, VCenterError, ConnectError) as error:
                log.warning(
                    "could not log out of %s; vCenter ends the session by itself: %s",
                    self.settings.host,
                    error,
                )
            self.stub.generation = 0
        self.stub.DropConnections()

    def managed(self, kind: Any, moref: str) -> Any:
        """The managed object of type ``kind`` with this moref; no call is made."""
        return kind(moref, self.stub)

    def about(self) -> About:
        """Which vCenter this is."""
        about = self.content.about
        return About(about.fullName, about.apiVersion, about.instanceUuid or "")

    def current_time(self) -> float:
        """Seconds since 1970-01-01 UTC, by vCenter's clock."""
        return float(self.managed(vim.ServiceInstance, "ServiceInstance").CurrentTime().timestamp())

    def log_in_again(self, seen: int) -> None:
        """For answers that hide the session's end; ``seen`` is the generation the question was asked in."""
        self.stub.log_in(seen)

    def _check_version(self) -> None:
        about = self.content.about
        if about.apiType != "VirtualCenter":
            raise ConnectError(
                f"{self.settings.host} is {about.fullName}, not a vCenter",
                "give the vCenter that manages the host",
            )
        if tuple(int(part) for part in about.apiVersion.split(".")[:2]) < OLDEST_API:
            raise ConnectError(
                f"{self.settings.host} speaks API {about.apiVersion}", "vCenter 6.7 or newer is needed"
            )

    def _login(self) -> None:
        settings = self.settings
        try:
            found = self.content.sessionManager.Login(settings.username, settings.password.get_secret_value())
            self.user_name = found.userName
        except (vim.fault.NoPermission, vim.fault.PasswordExpired) as fault:
            raise ConnectError(
                f"{settings.username} may not log in to {settings.host}: {describe(fault)}"
            ) from fault
        except vim.fault.InvalidLogin as fault:
            raise ConnectError(
                f"{settings.host} refuses the user name or password of {settings.username}",
                "check GOVC_USERNAME and GOVC_PASSWORD; the name usually ends in @vsphere.local or a domain",
            ) from fault


@contextlib.contextmanager
def connect(settings: VCenterSettings) -> Iterator[Session]:
    """A session, logged out at the end whatever happens. Raises ``ConnectError``."""
    session = Session(settings)
    session.open()
    try:
        yield session
    finally:
        session.close()
