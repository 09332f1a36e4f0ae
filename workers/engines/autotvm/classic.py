"""Classic TVM as this engine needs it: imported in the right order, quiet, without process pools."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

# isort: off
# Before tvm: with the tested wheel, after the opposite order a DMatrix ends in `free(): invalid pointer`.
import xgboost
import tvm

# isort: on
from tvm import autotvm, relay, topi  # noqa: F401  # these two register the templates
from tvm.autotvm.graph_tuner import base_graph_tuner  # noqa: F401  # and this one that of layout transforms
from tvm.autotvm.tuner import xgboost_cost_model
from tvm.contrib.popen_pool import MapResult, StatusKind

__all__ = ["autotvm", "tvm", "xgboost"]


class _InThisProcess:
    """What AutoTVM's cost model takes for its pool of processes.

    The pool would start interpreters that import TVM anew for every round, beside a search that runs next to
    others, one a core. A search lives in a process of its own already.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        timeout: float | None = None,
        initializer: Callable[..., None] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        del max_workers, timeout
        if initializer is not None:
            initializer(*initargs)

    def map_with_error_catching(self, func: Callable[[Any], Any], items: Iterable[Any]) -> list[MapResult]:
        results = []
        for item in items:
            try:
                results.append(MapResult(StatusKind.COMPLETE, func(item)))
            except Exception as error:  # a config that can't be instantiated has no features
                results.append(MapResult(StatusKind.EXCEPTION, error))
        return results


xgboost_cost_model.PopenPoolExecutor = _InThisProcess

# Its progress and its warnings about untuned operators are told elsewhere.
autotvm.GLOBAL_SCOPE.silent = True
for _name in ("autotvm", "te_compiler", "strategy", "compile_engine"):
    logging.getLogger(_name).setLevel(logging.ERROR)
