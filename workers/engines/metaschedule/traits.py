"""What MetaSchedule has here, as data: nothing of TVM is imported for it."""

from __future__ import annotations

import pathlib

from workers.messages import LogFormat, Setting, Traits

__all__ = ["LOG_MODEL", "LOG_RECORDS", "LOG_WORKLOADS", "NAME", "SAMPLES", "TRAITS"]

NAME = "metaschedule"
#: The files of a JSONDatabase, and the model that is put beside them.
LOG_WORKLOADS, LOG_RECORDS = "database_workload.json", "database_tuning_record.json"
LOG_MODEL = "model.json"
#: Kind of the samples of a CPU with vectors of so many bits. Another number where their features are others.
SAMPLES = "per-store-1, {} bits"
_STARTER = pathlib.Path(__file__).parent / "starter"
_ONE_TUNER = "its search is evolutionary, its cost model XGBoost's"

TRAITS = Traits(
    name=NAME,
    layouts=("auto", "blocked", "mixed", "nhwc", "nchw"),
    settings=(
        Setting(
            "population",
            "candidates held for a round of 16, in proportion for other rounds; 64 if left out",
            64,
        ),
        Setting("generations", "how often they are mutated in a round; 3 if left out", 3),
    ),
    absent={"tuner": _ONE_TUNER, "loss": _ONE_TUNER, "plan_size": _ONE_TUNER},
    # The cost model is one for all tasks, and comes with each proposal.
    transfers=False,
    # The two fastest schedules of a workload are worth a look.
    lends=2,
    # Activations keep their layout whatever is chosen, so that each task's best is.
    alternatives=1,
    # On a GPU a kernel without a schedule has no threads, and doesn't compile.
    compares_on=("cpu",),
    samples={SAMPLES.format(bits): _STARTER / f"samples-{bits}.npz" for bits in (256, 512)},
    log_format=LogFormat((LOG_WORKLOADS, LOG_RECORDS), (LOG_MODEL,), "nchw"),
)
