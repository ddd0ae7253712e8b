"""The errors of a conversion: data that says what happened, whether a retry can help, and what to do next.

Every constructor argument goes to ``Exception.__init__``, so that an error survives pickling.
"""

from __future__ import annotations

from typing import ClassVar


class ConvertError(Exception):
    """A conversion ended without an image.

    ``message`` says what happened and where; ``hint`` says what the person can do about it.
    """

    kind: ClassVar[str] = "convert"
    """Stable word for metrics, ledger and report."""
    retryable: ClassVar[bool] = False
    """Whether doing the same again can succeed."""
    exit_code: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint or self.default_hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class DiskError(ConvertError):
    """A disk cannot be read: missing, truncated, or not what its format says."""

    kind = "disk"
    default_hint = "check the disk where it came from; `qemu-img check` checks a file"


class DescriptorError(ConvertError):
    """A machine's descriptor (VMX, OVF) or package (OVA) is damaged, or says what cannot be."""

    kind = "descriptor"


class UnsupportedError(ConvertError):
    """What the disk holds is known, and no engine here can read it exactly."""

    kind = "unsupported"


class PlanError(ConvertError):
    """A plan file or a rule file says what cannot be, or does not fit the machine."""

    kind = "plan"
    exit_code = 64


class NoLinuxError(ConvertError):
    """No Linux root file system on any volume of the guest."""

    kind = "no-linux"


class FilesystemError(ConvertError):
    """A file system is damaged, or holds something the reader does not represent exactly."""

    kind = "filesystem"


class ReaderDiedError(ConvertError):
    """The child process that reads the disk was killed, crashed, fell silent or spoke nonsense."""

    kind = "reader"
    retryable = True


class LimitError(ConvertError):
    """What a disk holds goes past a limit of the process that reads it; the hint names the setting."""

    kind = "reader-limit"


class DefectError(ConvertError):
    """What nobody foresaw, so that doing it again gives the same; the message says what and where."""

    kind = "internal"
    default_hint = "this is a defect: please report it with the log"


class ScratchFullError(ConvertError):
    """No space left in the scratch folder."""

    kind = "scratch-full"
    retryable = True
    default_hint = "free space in the scratch folder or point --scratch at a larger one"


class StreamError(ConvertError):
    """A disk's download ended early or arrived damaged."""

    kind = "stream"
    retryable = True


class OutputError(ConvertError):
    """The registry refuses what is pushed: wrong credentials, forbidden name, invalid content."""

    kind = "registry-refused"
    exit_code = 3


class OutputUnavailableError(OutputError):
    """The registry does not answer, or answers that it cannot for now."""

    kind = "registry-unavailable"
    retryable = True
