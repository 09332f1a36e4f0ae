"""Timing a candidate on a device, through the RPC tracker."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any

from workers.enginekit.comparison import PLAIN, SCHEDULED, require_same
from workers.enginekit.rpc import requested
from workers.enginekit.timing import timed
from workers.engines.autotvm.classic import tvm
from workers.messages import Artifact, Endpoint, EvaluatorConfig, Timing
from workers.process.host import stage

__all__ = ["AutoTVMMeasure"]


def _loaded(session: Any, library: bytes, name: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(library)
        session.upload(str(path), name)
    # Session.load_module of the tested wheel hands this function three arguments; the server's takes one.
    return session.get_function("tvm.rpc.server.load_module")(name)


class AutoTVMMeasure:
    """See :class:`workers.enginekit.roles.Measure`."""

    def measure(
        self,
        artifact: Artifact,
        endpoint: Endpoint,
        evaluator: EvaluatorConfig,
        best_known_s: float | None = None,
    ) -> Timing:
        """Time an artifact on a device."""
        session = requested(endpoint, evaluator.timeout_s)
        device = session.device(endpoint.kind, 0)
        stage("loading the candidate on the device")
        described = json.loads(artifact.args)

        def allocated(tensors: list[Any]) -> list[Any]:
            arguments = [tvm.nd.empty(shape, dtype, device) for dtype, shape in tensors]
            if described["random"]:  # random indices to scatter to would lie outside of the tensor
                fill = session.get_function("tvm.contrib.random.random_fill_for_measure")
                for tensor in arguments:
                    fill(tensor)
            return arguments

        if artifact.check:
            both = _loaded(session, artifact.check, f"check{artifact.suffix}")
            tensors = json.loads(artifact.check_args)
            stage("comparing what the candidate computes with the kernel without a configuration")
            require_same(both, allocated(tensors[SCHEDULED]), allocated(tensors[PLAIN]))
        module = _loaded(session, artifact.data, f"candidate{artifact.suffix}")
        arguments = allocated(described["tensors"])
        stage("running the candidate")
        device.sync()
        return timed(module, described["entry"], device, arguments, evaluator, best_known_s)
