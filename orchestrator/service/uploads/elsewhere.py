"""Uploaded models that are kept elsewhere: behind an fsspec URL, where all that use the store reach them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.errors import StorageError, UsageError
from orchestrator.models.elsewhere import file_system, local_file
from orchestrator.service.uploads.folder import SUFFIX, Uploads

__all__ = ["UploadsElsewhere"]


class UploadsElsewhere(Uploads):
    """A place for uploads that is no folder of this machine.

    Parameters
    ----------
    url : str
        Of the folder there: ``s3://bucket/models``, ``gs://``, ``file:///mnt/shared``.
    folder : Path
        For what is on its way.

    Raises
    ------
    UsageError
        fsspec can't reach it, or the URL has a password in it: campaigns are stored with their models' URLs.
    """

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(folder)
        if urlsplit(url).username is not None:
            raise UsageError(
                "--uploads takes no account and no password: fsspec's own settings are for these"
            )
        self._url = url.rstrip("/")
        self._system, self._root = file_system(self._url)
        self._root = self._root.rstrip("/")

    def file_of(self, sha256: str) -> Path:
        """Return a content as a file of this machine; it is fetched where it isn't."""
        return local_file(self.location_of(sha256))

    def _kept(self, sha256: str) -> str | None:
        try:
            # What another service has put there since then is to be seen.
            self._system.invalidate_cache()
            found = sorted(str(path) for path in self._system.glob(f"{self._root}/{sha256}/*{SUFFIX}"))
        except OSError as error:
            raise StorageError(f"uploads at {self._url} can't be read: {error}") from None
        return f"{self._url}/{sha256}/{found[0].rpartition('/')[2]}" if found else None

    def _keep(self, new: Path, sha256: str, called: str) -> str:
        home = f"{self._root}/{sha256}"
        try:
            self._system.makedirs(home, exist_ok=True)
            # Whoever looks meanwhile finds nothing, or all of it.
            self._system.put_file(str(new), f"{home}/{new.name}")
            self._system.mv(f"{home}/{new.name}", f"{home}/{called}")
        except OSError as error:
            raise StorageError(f"uploads at {self._url} can't be written: {error}") from None
        return f"{self._url}/{sha256}/{called}"
