"""Every error this project raises on purpose.

::

    TunefleetError               exit code 1
    ├── UsageError               2   an argument that can't be right
    │   ├── ModelError           2   a file that can't be imported: not ONNX, cut off, an unknown operator
    │   └── TargetError          2   a target TVM doesn't know, or that no device here has
    ├── NotFoundError            3   no such campaign, workload, record
    ├── StorageError             1   the database can't be used
    │   ├── SchemaError          1   it has another version
    │   ├── LeaseLostError       1   another coordinator took the campaign
    │   └── ServerError          1   the service of a store isn't reached, or can't answer
    ├── EngineError              1   the engine refused, with its reason
    │   ├── EngineTimeoutError   1   it ran past its limit and was killed
    │   ├── WrongOutputError     1   a candidate computes something else than its task
    │   └── EngineLostError      1   its process died
    ├── DisagreementError        1   a library computes something else than the model
    └── IncompleteError          1   a build that was asked to be complete is not
"""

from __future__ import annotations

__all__ = [
    "DisagreementError",
    "EngineError",
    "EngineLostError",
    "EngineTimeoutError",
    "IncompleteError",
    "LeaseLostError",
    "ModelError",
    "NotFoundError",
    "SchemaError",
    "ServerError",
    "StorageError",
    "TargetError",
    "TunefleetError",
    "UsageError",
    "WrongOutputError",
]


class TunefleetError(Exception):
    """Base of all. Its text is written for the person who reads it: what, where, what to do."""

    exit_code = 1
    #: What an engine was doing when it failed, where an engine did.
    stage = ""


class UsageError(TunefleetError):
    """An argument that can't be right."""

    exit_code = 2


class ModelError(UsageError):
    """A model file that can't be imported."""


class TargetError(UsageError):
    """A target that TVM doesn't know or that no device here has."""


class NotFoundError(TunefleetError):
    """Nothing of that name or number is stored."""

    exit_code = 3


class StorageError(TunefleetError):
    """The database can't be opened, read or written."""


class SchemaError(StorageError):
    """The database has a schema of another version."""


class LeaseLostError(StorageError):
    """Another coordinator holds the campaign now."""


class ServerError(StorageError):
    """The service of a store isn't reached, or can't answer."""


class EngineError(TunefleetError):
    """The engine refused; the text carries its reason."""


class EngineTimeoutError(EngineError):
    """The engine ran past its time limit and was killed."""


class WrongOutputError(EngineError):
    """A candidate computes something else than the same kernel without a schedule."""


class EngineLostError(EngineError):
    """The engine's process died."""


class IncompleteError(TunefleetError):
    """A build that was asked to be complete has untuned tasks."""


class DisagreementError(TunefleetError):
    """A library computes something else than its model."""
