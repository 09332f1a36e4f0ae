"""What a command needs beside what everybody installs, and how a person is told of it."""

from __future__ import annotations

import importlib.util

from orchestrator.errors import UsageError

__all__ = ["missing_extra", "require"]

# The modules by which it is told what of an extra is missing.
_TUNING = (
    "cloudpickle",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxslim",
    "psutil",
    "ray",
    "tornado",
    "tvm",
    "xgboost",
)


def require(extra: str, *modules: str) -> None:
    """Refuse a command whose libraries aren't there.

    Raises
    ------
    UsageError
        With what installs them.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"this takes {', '.join(missing)}: pip install 'tunefleet[{extra}]'")


def missing_extra(error: ModuleNotFoundError) -> str:
    """Say what to install where a module of what tunes isn't there; empty for any other."""
    name = (error.name or "").partition(".")[0]
    if name not in _TUNING:
        return ""
    return f"this takes what tunes, which isn't installed here (no {name}): pip install 'tunefleet[tuning]'"
