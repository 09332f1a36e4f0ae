"""Timing a candidate on a device, through the RPC tracker."""

from __future__ import annotations

import json
import pathlib
import tempfile

from workers.enginekit.rpc import requested
from workers.enginekit.timing import timed
from workers.engines.autotvm.classic import tvm
from workers.messages import Artifact, Endpoint, EvaluatorConfig, Timing
from workers.process.host import stage

__all__ = ["AutoTVMMeasure"]


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
        name = f"candidate{artifact.suffix}"
        with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
            path = pathlib.Path(folder) / name
            path.write_bytes(artifact.data)
            session.upload(str(path), name)
        # Session.load_module of the tested wheel hands this function three arguments; the server's takes one.
        module = session.get_function("tvm.rpc.server.load_module")(name)
        described = json.loads(artifact.args)
        arguments = [tvm.nd.empty(shape, dtype, device) for dtype, shape in described["tensors"]]
        if described["random"]:  # random indices to scatter to would lie outside of the tensor
            fill = session.get_function("tvm.contrib.random.random_fill_for_measure")
            for tensor in arguments:
                fill(tensor)
        stage("running the candidate")
        device.sync()
        return timed(module, described["entry"], device, arguments, evaluator, best_known_s)
