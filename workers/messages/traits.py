"""What an engine says of itself before it is asked to do anything: data, the same on every machine."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.errors import UsageError
from workers.messages.logs import LogFormat
from workers.messages.searches import Scalar, SearchOptions

__all__ = ["Setting", "Traits", "When"]

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


@dataclass(frozen=True)
class When:
    """Said of searches in which a setting has one of some values."""

    setting: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """Something that the searches of an engine can be told: ``--search NAME=VALUE``.

    Attributes
    ----------
    name : str
    help : str
        One line for people.
    default : bool, int, float or str
        What holds where it is left out. Other values are of its type.
    choices : tuple of str
        The words it may be; empty where any is allowed.
    note : str
        What is to be known about the choices, added where another was made.
    least : float, optional
        A number may not be less.
    rule : str
        That in words, such as ``must be positive``.
    only, otherwise : When and str
        The searches in which it means something, and why not in others; ``{}`` there stands for the value of
        the setting that decides.
    """

    name: str
    help: str
    default: Scalar
    choices: tuple[str, ...] = ()
    note: str = ""
    least: float | None = None
    rule: str = ""
    only: When | None = None
    otherwise: str = ""


@dataclass(frozen=True)
class Traits:
    """What an engine has and can do.

    Attributes
    ----------
    name : str
        The engine's, which is also its package's.
    layouts : tuple of str
        Of the activations of a model, see :class:`PreparedModel`; ``auto`` is the engine's own choice.
    no_layout : str
        Why it can't be told any other than ``auto``, where that is so.
    settings : tuple of Setting
        What its searches can be told.
    absent : mapping of str to str
        Settings of other engines, and why this one has none of that name. An empty text says that it is
        passed over: campaigns stored by earlier releases have it whatever their engine is.
    transfers : bool or When
        The searches that learn from records of other workloads.
    lends : int
        How many of the fastest records of each related workload a search looks at before it proposes.
    alternatives : int
        From how many records of a workload, the fastest first, the engine chooses those of a model. One,
        where the best of each workload makes the best model: nothing is weighed then.
    log_format : LogFormat or None
        Of the engine's own tools; None where it reads and writes none.
    compares_on : tuple of str
        Kinds of devices (see :class:`DeviceInfo`) for which it can compare what a candidate computes with the
        kernel without a schedule; see :meth:`workers.enginekit.roles.Build.build_checked`.
    samples : mapping of str to pathlib.Path
        Files that come with the engine, of samples that a cost model can be trained on before anything is
        measured, by their kind; see :class:`DeviceInfo`.
    """

    name: str
    layouts: tuple[str, ...] = ("auto",)
    no_layout: str = ""
    settings: tuple[Setting, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    transfers: bool | When = False
    lends: int = 0
    alternatives: int = 1
    log_format: LogFormat | None = None
    compares_on: tuple[str, ...] = ()
    samples: Mapping[str, pathlib.Path] = field(default_factory=dict)

    def packed_samples(self, kind: str) -> bytes:
        """Return the samples that come with the engine for cost models of a kind; nothing where none do."""
        return self.samples[kind].read_bytes() if kind in self.samples else b""

    def check_layout(self, layout: str) -> None:
        """Refuse a layout that the engine doesn't have.

        Raises
        ------
        UsageError
            Naming those it has.
        """
        if layout in self.layouts:
            return
        if self.no_layout:
            raise UsageError(f"the {self.name} engine can't be told a layout ({layout}): {self.no_layout}")
        raise UsageError(f"the {self.name} engine has no layout {layout!r}, but {', '.join(self.layouts)}")

    def settings_of(self, options: SearchOptions) -> dict[str, Scalar]:
        """Return the value of every setting: as `options` have it, or its default.

        Raises
        ------
        UsageError
            A setting is none of this engine's, or can't have that value.
        """
        known = {setting.name: setting for setting in self.settings}
        # An empty word is what earlier releases stored for the engine's own choice.
        given = {name: value for name, value in options.settings.items() if value != ""}
        for name in given:
            if name not in known and self.absent.get(name) != "":
                raise UsageError(self._unknown(name))
        found = {
            name: self._value(setting, given[name]) if name in given else setting.default
            for name, setting in known.items()
        }
        for setting in self.settings:
            if setting.name in given and setting.only is not None:
                decisive = found[setting.only.setting]
                if decisive not in setting.only.values:
                    raise UsageError(setting.otherwise.format(decisive))
        return found

    def transfers_with(self, options: SearchOptions) -> bool:
        """Say whether searches with these options learn from records of other workloads."""
        if isinstance(self.transfers, When):
            return self.settings_of(options)[self.transfers.setting] in self.transfers.values
        return self.transfers

    def check_comparison(self, kind: str) -> None:
        """Refuse to compare candidates on a kind of device where the engine can't.

        Raises
        ------
        UsageError
        """
        if kind in self.compares_on:
            return
        where = f" for {kind}: without a schedule none of them compiles there" if self.compares_on else ""
        raise UsageError(
            f"the {self.name} engine can't compare what candidates compute with the kernel without a "
            f"schedule{where}; leave --verify-candidates out"
        )

    def own_log_format(self) -> LogFormat:
        """Return the format of the logs of the engine's own tools.

        Raises
        ------
        UsageError
            It has none.
        """
        if self.log_format is None:
            raise UsageError(f"the {self.name} engine has no log of its own to read or write")
        return self.log_format

    def _unknown(self, name: str) -> str:
        if self.absent.get(name):
            return f"the {self.name} engine has no --{name.replace('_', '-')}: {self.absent[name]}"
        ours = ", ".join(f"{setting.name} ({setting.help})" for setting in self.settings)
        return f"the {self.name} engine's searches have no setting {name!r}; they have {ours or 'none'}"

    def _value(self, setting: Setting, value: Scalar) -> Scalar:
        words, kind = setting.name.replace("_", " "), type(setting.default)
        converted = _converted(value, kind)
        if converted is None:
            raise UsageError(
                f"{setting.name} of the {self.name} engine's searches is {_IN_WORDS[kind]} ({setting.help}), "
                f"not {value!r}"
            )
        if setting.choices and converted not in setting.choices:
            listed = (" and " if len(setting.choices) == 2 else ", ").join(setting.choices)
            note = f" {setting.note}" if setting.note else ""
            raise UsageError(f"the {self.name} engine has no {words} {converted!r}; it has {listed}{note}")
        if setting.least is not None and float(converted) < setting.least:
            rule = setting.rule or f"must be at least {setting.least:g}"
            raise UsageError(f"the {words} {rule}, not {converted}")
        return converted


def _converted(value: Scalar, kind: type[Scalar]) -> Scalar | None:
    """Return a value as one of a type, where it can be read as one without losing anything."""
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return float(value)
    if kind is str:
        return None if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        return None
    if kind is bool:
        return _TRUTHS.get(value.strip().lower())
    try:
        return kind(value)
    except ValueError:
        return None
