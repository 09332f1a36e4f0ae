"""What operators do on blocks, a file for each family.

A function says with :func:`~workers.engines.metaschedule.layouts.table.operator`, or ``operator_on_blocks``,
which operators it rewrites, and does so where it can: what it returns None for stays in NCHW. Every file of
this folder is read.
"""

from __future__ import annotations

import importlib
import pkgutil

__all__: list[str] = []

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
