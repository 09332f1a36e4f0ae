"""Logs in the format of an engine's own tools."""

from __future__ import annotations

from dataclasses import dataclass, field

from workers.messages.trials import Record, Workload

__all__ = ["LogFormat", "LogLine", "WrittenLog"]


@dataclass(frozen=True)
class LogFormat:
    """What an engine's own log of measurements consists of.

    Attributes
    ----------
    files : tuple of str
        Names of its files, where it is a folder; empty where it is a single file of any name.
    beside : tuple of str
        What :meth:`~workers.enginekit.roles.Logs.write_log` may add for who uses the log.
    layout : str
        In which the engine's own tools tune a model, as :class:`PreparedModel` has it.
    """

    files: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    layout: str = "auto"


@dataclass(frozen=True)
class WrittenLog:
    """A log as an engine wrote it.

    Attributes
    ----------
    files : dict of str to bytes
        By name; a log of a single file has the name ``""``.
    left_out : dict of (str, str) to str
        Why a record is not in it, by the hashes of its workload and its candidate.
    """

    files: dict[str, bytes]
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogLine:
    """One line of an engine's own log of measurements: what it says, or why it can't be used.

    Attributes
    ----------
    number : int
        Of the line in its file, from 1.
    workload, record : Workload and Record, or None
        What was measured; None where the line can't be used.
    message : str
        Why the candidate failed, where it did.
    error : str
        What is wrong with the line; empty where it can be used.
    target, kind : str
        The target as the line has it, and its device type as in :class:`DeviceInfo`; empty as far as the line
        couldn't be read. Where the engine compared the target by itself, the type is empty too.
    tvm : str
        Version of the TVM that wrote the line; empty where it doesn't say.
    file : str
        Which file of the log it is in; empty where there is one only.
    note : str
        What is to be known about a line that can be used.
    """

    number: int
    workload: Workload | None = None
    record: Record | None = None
    message: str = ""
    error: str = ""
    target: str = ""
    kind: str = ""
    tvm: str = ""
    file: str = ""
    note: str = ""
