"""Timing a candidate on a device, through the RPC tracker."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any

import numpy as np
import tvm
from tvm import rpc

from workers.enginekit.comparison import BFLOAT, require_same
from workers.enginekit.rpc import requested
from workers.enginekit.timing import timed
from workers.messages import Artifact, Endpoint, EvaluatorConfig, Timing
from workers.process.host import stage

__all__ = ["MetaScheduleMeasure"]

# What may say where to read: at random, that is somebody else's memory. The runner of MetaSchedule fills
# these with the bits of floating-point numbers, and no lookup in a table survives that.
_INDICES = frozenset(("int32", "int64", "uint32", "uint64"))
# The bits of bfloat16 numbers from a half to one.
_BITS = (0x3F00, 0x3F80)


class MetaScheduleMeasure:
    """See :class:`workers.enginekit.roles.Measure`."""

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        """Time an artifact on a device.

        It runs in a process of its own, and its session ends with that process: a session object that
        anything still refers to would keep the device busy.
        """
        session = requested(endpoint, evaluator.timeout_s)
        device = session.device(endpoint.kind, 0)
        stage("loading the candidate on the device")
        if artifact.check:
            both = _loaded(session, artifact.check, f"check{artifact.suffix}")
            described = [["TENSOR", *one] for one in json.loads(artifact.check_args)]
            dtypes = [dtype for _, dtype, _ in described]
            stage("comparing what the candidate computes with the kernel without a schedule")
            ours, theirs = (_arguments(session, device, described) for _ in range(2))
            require_same(both, ours, theirs, dtypes)
        module = _loaded(session, artifact.data, f"candidate{artifact.suffix}")
        arguments = _arguments(session, device, json.loads(artifact.args))
        stage("running the candidate")
        device.sync()
        return timed(module, "main", device, arguments, evaluator, best_known_s)


def _loaded(session: rpc.RPCSession, library: bytes, name: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(library)
        session.upload(str(path), name)
    return session.load_module(name)


def _arguments(session: rpc.RPCSession, device: Any, described: list[Any]) -> list[Any]:
    # What MetaSchedule's runner fills with, so that both time the same: random, without denormals.
    fill = session.get_function("tvm.contrib.random.random_fill_for_measure")
    arguments = []
    for kind, dtype, shape in described:
        if kind != "TENSOR":
            raise ValueError(f"an argument of kind {kind!r} can't be allocated")
        tensor = tvm.runtime.empty(shape, "uint16" if dtype == BFLOAT else dtype, device)
        if dtype == BFLOAT:
            tensor.copyfrom(np.random.default_rng(0).integers(*_BITS, shape, np.uint16))
        elif dtype in _INDICES:
            tensor.copyfrom(np.zeros(shape, dtype))
        else:
            fill(tensor)
        arguments.append(tensor)
    return arguments
