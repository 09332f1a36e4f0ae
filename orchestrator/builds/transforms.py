"""Layout transforms: their times, which an engine weighs against what a layout gains."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from orchestrator.builds.fastest import Quiet
from orchestrator.errors import EngineError
from orchestrator.storage import NewTrial, Storage
from orchestrator.toolbox import Toolbox
from workers.actors import BuildActor, MeasureActor
from workers.messages import (
    Candidate,
    DeviceInfo,
    Endpoint,
    EvaluatorConfig,
    Measurement,
    Station,
    TrialState,
    Workload,
)

__all__ = ["measure_transforms"]

# A transform moves data once: it needs no long timing, and there may be hundreds.
_EVALUATOR = EvaluatorConfig(number=3, repeat=1, min_repeat_ms=20)
_BUILD_SECONDS = 30.0


def measure_transforms(
    store: Storage,
    tools: Toolbox,
    device: DeviceInfo,
    needed: Sequence[tuple[Workload, Candidate]],
    say: Callable[[str], None],
    quiet: Quiet,
    endpoint: Endpoint | None = None,
) -> None:
    """Measure the layout transforms that were not measured before, and store them like any trial.

    Parameters
    ----------
    needed : sequence of (Workload, Candidate)
        What the plans of a model need the times of.
    endpoint : Endpoint, optional
        The device to measure on, where that is not this machine.
    quiet : callable
        Makes a context within which nothing else uses this machine's cores.

    Raises
    ------
    EngineError
        This machine has no such device any more.
    """
    known = store.trials.counts([(workload.hash, device.device_class) for workload, _ in needed])
    missing = [item for item in needed if not known.get((item[0].hash, device.device_class))]
    if not missing:
        return
    store.workloads.put([workload for workload, _ in missing])
    builder, measurer = BuildActor(tools.engine), MeasureActor(tools.engine)
    tools.take_along(builder, measurer)
    try:
        _, _, versions = measurer.start()
        if endpoint is not None:
            station = Station(endpoint.key, device, 0, (endpoint.host, endpoint.port))
        else:
            offered = measurer.offer((device,))
            if not offered:
                raise EngineError(f"{device.device_class} is no device of this machine any more")
            station = offered[0]
        builder.start()
        with ThreadPoolExecutor(device.cores or 1) as pool:
            say(f"building {len(missing)} layout transforms")
            built = list(
                pool.map(lambda item: builder.build(item[0], device.target, item[1], _BUILD_SECONDS), missing)
            )
        with quiet():
            for position, ((workload, candidate), (result, artifact)) in enumerate(
                zip(missing, built, strict=True), 1
            ):
                if position % 10 == 1:
                    say(f"measuring layout transforms, {position} of {len(missing)}")
                if artifact is None:
                    measurement = Measurement(result.state, message=result.message)
                else:
                    measurement = measurer.measure(artifact, station, _EVALUATOR)
                if measurement.state is TrialState.DEVICE_LOST:
                    continue  # it says nothing about the candidate: the next build asks again
                store.trials.record(
                    [
                        NewTrial(
                            workload_hash=workload.hash,
                            device_class=device.device_class,
                            candidate=candidate,
                            measurement=measurement,
                            campaign_id=None,
                            build_s=result.build_s,
                            token=uuid.uuid4().hex,
                            versions=device.with_driver(versions),
                        )
                    ]
                )
    finally:
        builder.stop()
        measurer.stop()
