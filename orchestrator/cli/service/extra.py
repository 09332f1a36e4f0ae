"""What the commands of this folder need beside what everybody installs."""

from __future__ import annotations

import importlib.util

from orchestrator.errors import UsageError

__all__ = ["require_service"]


def require_service(*modules: str) -> None:
    """Refuse a command whose libraries aren't there.

    Raises
    ------
    UsageError
        With what installs them.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"this takes {', '.join(missing)}: pip install 'tunefleet[service]'")
