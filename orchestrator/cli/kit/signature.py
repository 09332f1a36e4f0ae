"""The one flat list of parameters that typer reads, from functions that take their options as a dataclass."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["After", "FlatSignature"]


@dataclass(frozen=True)
class After:
    """In an ``Annotated``: in the help, the option stands behind the one of this parameter.

    Without it, a function's own options stand before or behind all those of the dataclass that it takes.
    """

    name: str


@dataclass(frozen=True)
class FlatSignature:
    """What a command's function takes, one parameter for each option and argument.

    Attributes
    ----------
    parameters : tuple of inspect.Parameter
        By keyword, with their annotations resolved. In place of a parameter whose type is a dataclass there
        are that one's fields, and in place of such a field likewise.
    records : dict of str to type
        Those dataclasses, by the function's parameter.
    """

    parameters: tuple[inspect.Parameter, ...]
    records: dict[str, type]

    @classmethod
    def of(cls, function: Callable[..., object]) -> FlatSignature:
        """Read a function's signature, its first parameter left out: that is the session."""
        hints = typing.get_type_hints(function, include_extras=True)
        parameters: list[inspect.Parameter] = []
        records: dict[str, type] = {}
        for own in list(inspect.signature(function).parameters.values())[1:]:
            kind = hints[own.name]
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                records[own.name] = kind
                parameters += _fields(kind)
            else:
                parameters.append(own.replace(kind=own.KEYWORD_ONLY, annotation=kind))
        return cls(_in_place(parameters), records)

    def arguments(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return what the function is called with, from the values of the flat parameters."""
        found = dict(values)
        for name, kind in self.records.items():
            found[name] = _record(kind, found)
        return found


def _record(kind: type, values: dict[str, Any]) -> Any:
    """Make a dataclass of its fields' values, and take these out."""
    hints = typing.get_type_hints(kind)
    return kind(
        **{
            field.name: _record(hints[field.name], values)
            if dataclasses.is_dataclass(hints[field.name])
            else values.pop(field.name)
            for field in dataclasses.fields(kind)
        }
    )


def _fields(kind: type) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(kind, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            parameters += _fields(hint)
            continue
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        parameters.append(
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
        )
    return parameters


def _in_place(parameters: list[inspect.Parameter]) -> tuple[inspect.Parameter, ...]:
    """Move those that are to stand behind another one there."""
    ordered: list[inspect.Parameter] = []
    moved: list[tuple[str, inspect.Parameter]] = []
    for parameter in parameters:
        marks = [mark for mark in typing.get_args(parameter.annotation)[1:] if isinstance(mark, After)]
        if marks:
            moved.append((marks[0].name, parameter))
        else:
            ordered.append(parameter)
    for name, parameter in moved:
        place = [one.name for one in ordered].index(name)
        ordered.insert(place + 1, parameter)
    return tuple(ordered)
