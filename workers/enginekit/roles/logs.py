"""Logs in the format of an engine's own tools."""

from __future__ import annotations

from typing import NoReturn, Protocol

from workers.errors import UsageError
from workers.messages import LogLine, PreparedModel, Record, Traits, Workload, WrittenLog

__all__ = ["Logs", "NoLogs"]


class Logs(Protocol):
    """Reads and writes logs as ``log_format`` of the engine's Traits describes them."""

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Read a log of measurements in the engine's own format.

        Parameters
        ----------
        files : dict of str to str
            Their text by name, as the format has them; a log of a single file has the name ``""``.
        target : str
            Of the device that the records are to be filed under.
        tasks : tuple of Workload
            Those of the model that was tuned, where it is known.

        Returns
        -------
        tuple of LogLine
            One for each line that holds something, in their order, those that can't be used as well.
            Workloads have the hash that :meth:`.model.Model.extract` gives them.
        """

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        """Write records as a log that the engine's own tools read.

        Parameters
        ----------
        records : tuple of (Workload, Record, str)
            The last one is why it failed, where it did.
        model : PreparedModel or None
            The model whose tasks they are, where they are those of a model.
        """


class NoLogs:
    """For an engine that has no such tools: both are refused, by its name."""

    def __init__(self, traits: Traits) -> None:
        self._traits = traits

    def read_log(
        self, files: dict[str, str], target: str, tasks: tuple[Workload, ...] = ()
    ) -> tuple[LogLine, ...]:
        """Refuse.

        Raises
        ------
        UsageError
        """
        del files, target, tasks
        self._refuse()

    def write_log(
        self,
        target: str,
        records: tuple[tuple[Workload, Record, str], ...],
        model: PreparedModel | None = None,
    ) -> WrittenLog:
        """Refuse.

        Raises
        ------
        UsageError
        """
        del target, records, model
        self._refuse()

    def _refuse(self) -> NoReturn:
        self._traits.own_log_format()
        raise UsageError(f"the {self._traits.name} engine can't read or write its log here")
