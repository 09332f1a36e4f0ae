"""The rows of toolchains, and which of them a device class is measured with."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from orchestrator.storage._ids import device_class_ids, put_row, storable
from orchestrator.storage._tables import DeviceClass, Toolchain
from orchestrator.storage.rows import PACK, toolchain_key

__all__ = [
    "canonical",
    "first_toolchain",
    "is_of_pack",
    "keys_of_packs",
    "put_toolchains",
    "told",
    "toolchain_values",
    "with_release",
]


@functools.cache
def _release() -> str:
    return importlib.metadata.version("tunefleet")


def with_release(versions: Mapping[str, str]) -> dict[str, str]:
    """Add this release of this project to what was measured with it."""
    return {**versions, "tunefleet": _release()}


@functools.lru_cache(maxsize=64)
def told(versions: frozenset[tuple[str, str]]) -> tuple[str, str]:
    """Return the canonical text and the key of a toolchain: a flush of trials asks for the same again."""
    said = dict(versions)
    return canonical(said), toolchain_key(said)


def canonical(versions: Mapping[str, str]) -> str:
    """Write a toolchain as the text by which it is known in the store."""
    said = {storable(name): storable(text) for name, text in versions.items()}
    return json.dumps(said, sort_keys=True, ensure_ascii=False)


def toolchain_values(text: str) -> dict[str, str]:
    """Return the columns of a toolchain, from its canonical text."""
    versions = json.loads(text)
    names = ("tvm", "llvm", "engine", "kernels", "driver", "tunefleet")
    return {
        "versions": text,
        "key": toolchain_key(versions),
        **{name: str(versions.get(name, "")) for name in names},
    }


def put_toolchains(connection: Connection, texts: Iterable[str]) -> dict[str, int]:
    """Return the ids of toolchains by their canonical texts; those that aren't there are inserted."""
    wanted = sorted(set(texts))
    query = select(Toolchain.versions, Toolchain.id).where(Toolchain.versions.in_(wanted))
    found = {row.versions: int(row.id) for row in connection.execute(query)}
    for text in wanted:
        if text not in found:
            found[text] = put_row(connection, Toolchain, ("versions",), toolchain_values(text))
    return found


def is_of_pack() -> ColumnElement[bool]:
    """Match toolchains of which others say that they measured with them (:data:`.PACK`)."""
    # In the canonical text only a name is followed by this: within a text its quotes have backslashes.
    return Toolchain.versions.contains(f'"{PACK}": ', autoescape=True)


def keys_of_packs(connection: Connection) -> list[str]:
    """Return the keys of the toolchains that :func:`is_of_pack` matches."""
    return list(connection.scalars(select(Toolchain.key).where(is_of_pack()).distinct()).all())


def first_toolchain(connection: Connection, measured: Mapping[str, str]) -> dict[str, int]:
    """Have device classes that were never measured on be measured with these toolchains.

    Parameters
    ----------
    measured : mapping of str to str
        Keys of toolchains by the classes' names.

    Returns
    -------
    dict of str to int
        The classes' ids by their names.

    Raises
    ------
    NotFoundError
        One isn't stored.
    """
    table: Any = DeviceClass.__table__
    query = select(table.c.id, table.c.name, table.c.toolchain).where(table.c.name.in_(sorted(measured)))
    found = connection.execute(query.order_by(table.c.id)).all()
    for row in found:
        if not row.toolchain:
            connection.execute(
                update(table)
                .where(table.c.id == row.id, table.c.toolchain == "")
                .values(toolchain=measured[row.name])
            )
    ids = {row.name: int(row.id) for row in found}
    return ids if len(ids) == len(measured) else device_class_ids(connection, measured)
