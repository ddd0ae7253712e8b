"""Files on datastores by the paths that vSphere gives, and where vCenter serves them over HTTP. Pure.

``https://VCENTER/folder/PATH?dcPath=DATACENTER&dsName=DATASTORE``: vSphere Web Services SDK Programming
Guide, "HTTP Access to vSphere Server Files".
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from orchestrator.errors import VCenterError


@dataclass(frozen=True, slots=True)
class DatastorePath:
    """A file on a datastore."""

    datastore: str
    """Name."""
    path: str
    """Without a leading slash."""

    @classmethod
    def parse(cls, text: str) -> DatastorePath:
        """Read ``[Data Store 1] my vm/my vm.vmdk``.

        Raises:
            VCenterError: it is not of this form.
        """
        name, closed, path = text.removeprefix("[").partition("] ")
        if not text.startswith("[") or not closed or not name or not path:
            raise VCenterError(f"{text!r} is no path of a datastore")
        return cls(name, path)

    def beside(self, name: str) -> DatastorePath:
        """A file of the same folder.

        Raises:
            VCenterError: the name leads elsewhere.
        """
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise VCenterError(f"{self} names the file {name!r}, which is not one of its own folder")
        folder, slash, _ = self.path.rpartition("/")
        return DatastorePath(self.datastore, f"{folder}{slash}{name}")

    def target(self, datacenter: str) -> str:
        """Path and query of its URL; ``datacenter`` is an inventory path without a leading slash."""
        query = urlencode({"dcPath": datacenter, "dsName": self.datastore}, safe="/", quote_via=quote)
        return f"/folder/{quote(self.path)}?{query}"

    def __str__(self) -> str:
        return f"[{self.datastore}] {self.path}"
