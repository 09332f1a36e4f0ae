"""Some tests of the schema run on every backend too."""

from tests.kit.storage_backends import storage, url

__all__ = ["storage", "url"]
