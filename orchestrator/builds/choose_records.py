"""Which records a model is built with: each task's best, or what the engine chooses for all of them together.

The best of each task need not make the best model: on classic TVM its neighbours may want other layouts, and
the transforms in between cost more than was gained. An engine that knows such things offers several plans;
they are compiled, timed in turns, and the fastest is kept. Never one that measured slower than no record at
all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from orchestrator.builds.coverage import Coverage
from orchestrator.builds.fastest import Chosen, Quiet, fastest_of
from orchestrator.builds.transforms import measure_transforms
from orchestrator.models.extraction import ExtractedModel
from orchestrator.storage import Storage
from orchestrator.toolbox import Toolbox
from workers.messages import Endpoint, RecordChoice

__all__ = ["choose_records"]


def choose_records(
    store: Storage,
    tools: Toolbox,
    model: ExtractedModel,
    coverage: Coverage,
    *,
    weigh_layouts: bool = True,
    endpoint: Endpoint | None = None,
    say: Callable[[str], None] = lambda _: None,
    quiet: Quiet = nullcontext,
) -> Chosen:
    """Choose the records a model is compiled with.

    Parameters
    ----------
    weigh_layouts : bool, optional
        Weigh layouts between the tasks, where the engine can. Without, each task's best is taken, unless it
        measures slower than the untuned model.
    endpoint : Endpoint, optional
        The device to time them on, where that is not this machine.
    quiet : callable, optional
        Makes a context within which nothing else uses this machine's cores.
    """
    device = model.device
    best = RecordChoice("each task's best", coverage.records)
    width = tools.alternatives()
    if width == 1 or not coverage.tuned:
        return Chosen(best, "each task's best record")
    if device.unfit and endpoint is None:
        return Chosen(best, f"each task's best record; nothing was compared, for here {device.unfit}")
    if not weigh_layouts:
        return fastest_of(tools, model, (best, RecordChoice("untuned")), say, quiet, endpoint)
    workloads = tuple(task.workload for task in model.tasks)
    aside = {(task.workload_hash, each.candidate) for task in coverage.tasks for each in task.set_aside}
    history = {
        w.hash: tuple(
            record
            for record in store.seeds.fastest(w.hash, device.device_class, limit=width)
            if (w.hash, record.candidate.hash) not in aside
        )
        for w in workloads
    }
    # What a task has none of, it may have been allowed to borrow.
    history |= {key: (record,) for key, record in coverage.records.items() if not history.get(key)}
    say(f"looking for layout transforms in {model.prepared.name}")
    needed = tools.transforms(model.prepared, device.target, workloads, history)
    measure_transforms(store, tools, device, needed, say, quiet, endpoint)
    measured = {w.hash: tuple(store.seeds.fastest(w.hash, device.device_class, limit=1)) for w, _ in needed}
    say("choosing the records together")
    plans = tools.plans(model.prepared, device.target, workloads, history, measured)
    return fastest_of(tools, model, plans, say, quiet, endpoint)
