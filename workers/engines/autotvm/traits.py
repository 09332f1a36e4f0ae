"""What AutoTVM has here, as data: nothing of TVM is imported for it."""

from __future__ import annotations

from workers.messages import LogFormat, Setting, Traits, When

__all__ = ["FEATURES", "NAME", "PLAN_SIZE", "TRAITS"]

NAME = "autotvm"
#: The kinds of features of AutoTVM's cost model, by the name of the tuner that has one.
FEATURES = {"xgb": "itervar", "xgb_itervar": "itervar", "xgb_knob": "knob", "xgb_curve": "curve"}
#: AutoTVM's own is 64: a budget of fewer trials would never train its model.
PLAN_SIZE = 32
_WITH_COST_MODEL = When("tuner", tuple(FEATURES))

TRAITS = Traits(
    name=NAME,
    no_layout=(
        "it is part of each configuration, and --layout-tuning says whether a build weighs them against "
        "each other"
    ),
    settings=(
        Setting(
            "tuner",
            "which of AutoTVM's; xgb if left out",
            "xgb",
            choices=(*FEATURES, "ga", "random", "gridsearch"),
        ),
        Setting(
            "loss",
            "of the tuner's cost model; reg if left out",
            "reg",
            choices=("reg", "rank-binary"),
            note="(`rank` fails on xgboost 2 and later)",
            only=_WITH_COST_MODEL,
            otherwise="the tuner {} has no cost model, and so no loss",
        ),
        Setting(
            "plan_size",
            "candidates chosen at once, and results after which the tuner learns; 32 if left out",
            PLAN_SIZE,
            least=0,
            rule="must be positive, or 0 for the engine's own",
        ),
    ),
    # Every campaign that an earlier release stored has them.
    absent={"population": "", "generations": ""},
    # Those with a cost model to start.
    transfers=_WITH_COST_MODEL,
    # The places of a template's configurations mean other tiles on other sizes.
    lends=0,
    # So many records of a task the graph tuner gets: what has the layouts it weighs.
    alternatives=64,
    compares_on=("cpu",),
    log_format=LogFormat(),
)
