"""The error tree, for those who import :mod:`orchestrator`; drawn in :mod:`workers.errors`."""

from workers.errors import *  # noqa: F403
from workers.errors import __all__ as __all__
