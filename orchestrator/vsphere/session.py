"""One session at one vCenter: kept alive, logged in again when it has ended, logged out always."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.errors import ConnectError, OrchestratorError, VCenterError
from orchestrator.vsphere import tokens
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.stub import SessionClosedError, SessionStub
from orchestrator.vsphere.values import About

log = logging.getLogger(__name__)

OLDEST_API = (6, 7)
KEEP_SECONDS = 300.0
"""Between calls that keep the session alive: vCenter ends one that is idle for 30 minutes by default."""
REFUSED_SECONDS = 60.0
"""After a refused login until the next try: vCenter locks an account after five in three minutes."""

_END_SECONDS = 5.0


class Session:
    """A logged-in vCenter for the modules beside this one; usable from any thread."""

    def __init__(self, settings: VCenterSettings, keep: float = KEEP_SECONDS) -> None:
        """``keep``: seconds between calls that keep the session alive."""
        self.settings = settings
        self.stub = SessionStub(settings, self._login)
        self.content: Any = None
        self.user_name = settings.username
        """As vCenter calls the logged-in account, which may differ in form from what was typed."""
        self._closing = threading.Event()
        self._refused: tuple[VCenterSettings, float, ConnectError] | None = None
        self._keep = keep
        self._keeper = threading.Thread(target=self._keep_alive, name="session-keeper", daemon=True)

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
            self._keeper.start()
        except VCenterError as error:
            self.close()
            hint = f"check that {self.settings.url} is the address of a vCenter"
            raise ConnectError(error.message, hint) from error
        except vmodl.MethodFault as fault:
            self.close()
            raise ConnectError(f"{self.settings.host} refuses to be used: {describe(fault)}") from fault
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Log out and disconnect, and end what waits; what goes wrong is logged: nothing can be done."""
        self._closing.set()
        if self.stub.close():
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
        if self._keeper.is_alive():
            self._keeper.join(_END_SECONDS)
        self.stub.DropConnections()

    def pause(self, seconds: float) -> None:
        """Wait, for as long as the session is open; ``SessionClosedError`` when it ends meanwhile."""
        if self._closing.wait(seconds):
            raise SessionClosedError(f"the session at {self.settings.host} is closed")

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

    def _keep_alive(self) -> None:
        """Ask now and then for what counts as use: a token, unlike a password, may not log in twice."""
        while not self._closing.wait(self._keep):
            try:
                self.current_time()
            except (vmodl.MethodFault, OrchestratorError) as error:
                log.info("the vCenter session could not be kept alive: %s", describe(error))

    def _login(self) -> None:
        settings = self.settings
        if self._refused is not None:
            credentials, until, refusal = self._refused
            if credentials is settings and time.monotonic() < until:
                raise refusal
        try:
            self._log_in_once()
        except ConnectError as error:
            self._refused = (settings, time.monotonic() + REFUSED_SECONDS, error)
            raise

    def _log_in_once(self) -> None:
        settings, manager = self.settings, self.content.sessionManager
        if settings.token_file:
            self._log_in_by_token(tokens.read(settings.token_file))
            return
        try:
            self.user_name = manager.Login(settings.username, settings.password.get_secret_value()).userName
        except (vim.fault.NoPermission, vim.fault.PasswordExpired) as fault:
            raise ConnectError(
                f"{settings.username} may not log in to {settings.host}: {describe(fault)}"
            ) from fault
        except vim.fault.InvalidLogin as fault:
            raise ConnectError(
                f"{settings.host} refuses the user name or password of {settings.username}",
                "check GOVC_USERNAME and GOVC_PASSWORD; the name usually ends in @vsphere.local or a domain",
            ) from fault

    def _log_in_by_token(self, token: tokens.Token) -> None:
        settings = self.settings
        try:
            found = tokens.log_in(token, self.content.sessionManager, self.stub)
            self.user_name = found.userName
        except (vim.fault.InvalidLogin, vim.fault.NotAuthenticated, vim.fault.NoPermission) as fault:
            raise ConnectError(
                f"{settings.host} refuses the {token.kind} in {settings.token_file}: {describe(fault)}",
                "it has ended, or is another vCenter's: put a new one into the file, read at each login",
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
