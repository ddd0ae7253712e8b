"""The one way to vCenter: every call is counted, repeated when safe, and logged in again for when needed."""

from __future__ import annotations

import functools
import http.client
import logging
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

import tenacity
from pyVmomi import SoapStubAdapter, vim
from pyVmomi.SoapAdapter import SoapResponseDeserializer

from orchestrator.errors import ConnectError, VCenterBusyError, VCenterError
from orchestrator.vsphere import tls
from orchestrator.vsphere.settings import PRODUCT, VCenterSettings

log = logging.getLogger(__name__)
T = TypeVar("T")

API_VERSION = "vim.version.version12"
"""vSphere 6.7. Newer servers speak it too, and then send no type or enumeration value that is newer."""
REPEATABLE = frozenset(
    {
        "RetrieveServiceContent",
        "RetrievePropertiesEx",
        "CurrentTime",
        "CreateContainerView",
        "DestroyView",
        "HttpNfcLeaseProgress",
        "HttpNfcLeaseComplete",
        "HttpNfcLeaseAbort",
        "HasUserPrivilegeOnEntities",
    }
)
"""Calls that may be sent twice: they read, or the second one changes nothing more."""
_SESSION_CALLS = frozenset({"Login", "LoginByToken", "AcquireCloneTicket", "CloneSession", "Logout"})
_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""How a connection that ends within the handshake shows; other errors tell what the server speaks."""
_TIRED = ("408", "429")
_NOT_FOUND = "404"
"""What vCenter's proxy answers while the service behind it is away: passing, once a vCenter was there."""
_POOL = 32
_IDLE_SECONDS = 15.0
_ATTEMPTS = 5
_LOGINS = 3
"""For one call: an administrator may end the new session, too, yet not for ever."""


class UnreachableError(VCenterBusyError):
    """The network or vCenter broke off; whether a call was carried out is not known."""

    uncertain = True


class NotSentError(UnreachableError):
    """No connection, so vCenter has not seen the call: it can be repeated whatever it is."""


class NotVCenterError(VCenterError):
    """Something answered that does not speak the vSphere API."""


class LoginRefusedError(ConnectError, VCenterBusyError):
    """vCenter refuses a login that it has taken before: it may be that its sign-on service restarts."""


class SessionClosedError(VCenterError):
    """The session is logged out for good, as its process ends; what was waited for goes on at vCenter."""

    kind = "session-closed"


class SessionStub(SoapStubAdapter):  # type: ignore[misc]
    """pyvmomi's adapter, safe for several threads, with ``login`` called again when the session has ended.

    ``generation`` counts the logins: views, page tokens and leases live no longer than one.
    """

    _cookie = ""
    _login_thread: int | None = None

    def __init__(self, settings: VCenterSettings, login: Callable[[], None]) -> None:
        super().__init__(
            host=settings.host,
            port=settings.port,
            path=settings.path,
            version=API_VERSION,
            poolSize=_POOL,
            # Servers close idle connections; one that is used again at that moment loses its call.
            connectionPoolTimeout=_IDLE_SECONDS,
            httpConnectionTimeout=settings.call_timeout,
            sslContext=tls.context(settings),
            # pyvmomi inflates 512 bytes at a time, slower than a local network brings the text itself.
            acceptCompressedResponses=False,
            customHeaders={"User-Agent": PRODUCT},
        )
        self.scheme = functools.partial(tls.Connection, thumbprint=settings.thumbprint)
        self.settings = settings
        self.generation = 0
        self.round_trips = 0
        self.closed = False
        self._login = login
        self._login_lock = threading.RLock()
        self._count_lock = threading.Lock()

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:
        """Called by pyvmomi for each method of a managed object."""
        return self._call(info, functools.partial(super().InvokeMethod, mo, info, args, outerStub))

    def document(self, mo: Any, info: Any, args: Any) -> bytes:
        """Call a method as ``InvokeMethod`` does; gives the answer as it came. Raises the fault in it."""
        return self._call(info, functools.partial(self._exchange, mo, info, args))

    def _call(self, info: Any, send: Callable[[], T]) -> T:
        call = functools.partial(self._authenticated, info, send)
        retry_on = UnreachableError if info.wsdlName in REPEATABLE else NotSentError
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(retry_on),
            stop=tenacity.stop_after_attempt(_ATTEMPTS if self.generation and not self.closed else 1),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5),
            before_sleep=tenacity.before_sleep_log(log, logging.INFO),
            reraise=True,
        )(call)

    def close(self) -> int:
        """Log in no more, once a login that is under way has ended; gives the generation to log out of."""
        with self._login_lock:
            self.closed = True
            return self.generation

    def log_in(self, seen: int) -> None:
        """Log in, unless another thread has done so since generation ``seen``."""
        with self._login_lock:
            if self.closed:
                raise SessionClosedError(f"the session at {self.settings.host} is closed")
            if self.generation == seen:
                if seen:
                    log.info("the vCenter session has ended; logging in again")
                self._login_thread = threading.get_ident()
                try:
                    # Sent without the cookie of the session that has ended, the answer brings a new one.
                    self.cookie = ""
                    self._login()
                except ConnectError as error:
                    if not self.generation:
                        raise
                    raise LoginRefusedError(error.message, error.hint) from error
                finally:
                    self._login_thread = None
                self.generation += 1

    @property
    def cookie(self) -> str:
        """The session's cookie: only the answer to a login may set it.

        Servers hand a cookie to whoever comes without a valid one; taken from another thread's answer that
        arrives late, it would replace the logged-in session's, which then is never logged out.
        """
        return self._cookie

    @cookie.setter
    def cookie(self, value: str) -> None:
        if self._login_thread == threading.get_ident():
            self._cookie = value

    def GetConnection(self) -> Any:
        try:
            return super().GetConnection()
        except ssl.SSLCertVerificationError as error:
            raise tls.untrusted(self.settings, error) from error
        except ssl.SSLError as error:
            if self.generation or isinstance(error, _CUT):
                raise NotSentError(
                    f"the TLS handshake with {self.settings.host}:{self.settings.port} broke off: {error}"
                ) from error
            raise NotVCenterError(f"{self.settings.url} does not speak TLS: {error.reason}") from error
        except OSError as error:
            raise NotSentError(
                f"no connection to {self.settings.host}:{self.settings.port}: {error}"
            ) from error

    def ReturnConnection(self, conn: Any) -> None:
        """Called by pyvmomi when an answer was read."""
        if self.closed:
            conn.close()  # nobody drops it any more
        else:
            super().ReturnConnection(conn)

    def _authenticated(self, info: Any, send: Callable[[], T]) -> T:
        for _ in range(_LOGINS):
            seen = self.generation
            try:
                return self._once(info, send)
            except vim.fault.NotAuthenticated:
                if info.wsdlName in _SESSION_CALLS:
                    raise
                self.log_in(seen)
        return self._once(info, send)

    def _once(self, info: Any, send: Callable[[], T]) -> T:
        if self.closed and info.wsdlName != "Logout":
            raise SessionClosedError(f"the session at {self.settings.host} is closed")
        with self._count_lock:
            self.round_trips += 1
        try:
            return send()
        except ExpatError as error:
            raise NotVCenterError(f"{self.settings.url} does not answer as a vCenter does") from error
        except (TypeError, AttributeError, KeyError) as error:
            # pyvmomi's reader: a value that the API does not know, or a required one that is missing.
            raise VCenterError(f"the answer to {info.wsdlName} cannot be read: {error}") from error
        except http.client.HTTPException as error:
            # pyvmomi puts the status of an answer that is neither 200 nor 500 into the text.
            status = str(error)[:3]
            if status[:1] == "5" or status in _TIRED or (self.generation and status == _NOT_FOUND):
                raise UnreachableError(
                    f"{self.settings.host} answers {error} to {info.wsdlName}: it starts, or is overloaded"
                ) from error
            if status[:1] == "4":
                raise NotVCenterError(f"{self.settings.url} answers {error}") from error
            raise UnreachableError(f"{self.settings.host} broke off {info.wsdlName}: {error!r}") from error
        except OSError as error:
            raise UnreachableError(f"{self.settings.host} broke off {info.wsdlName}: {error!r}") from error

    def _exchange(self, mo: Any, info: Any, args: Any) -> bytes:
        """What pyvmomi's InvokeMethod does, short of reading an answer that is no fault."""
        request = self.SerializeRequest(mo, info, args)
        headers = {
            "Content-Type": "text/xml; charset=UTF-8",
            "Cookie": self.cookie,
            "SOAPAction": self.versionId,
            "User-Agent": PRODUCT,
        }
        connection = self.GetConnection()
        try:
            connection.request("POST", self.path, request, headers)
            response = connection.getresponse()
            body: bytes = response.read()
        except BaseException:
            connection.close()
            # The others may lead to the same sick server.
            self.DropConnections()
            raise
        self.ReturnConnection(connection)
        match response.status:
            case 200:
                return body
            case 500:
                raise SoapResponseDeserializer(self).Deserialize(body, info.result)
            case status:
                raise http.client.HTTPException(f"{status} {response.reason}")
