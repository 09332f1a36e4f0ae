"""What any storage has to do, on each of the backends that :mod:`tests.kit.storage_backends` lists."""

from tests.kit.storage_backends import storage, url

__all__ = ["storage", "url"]
