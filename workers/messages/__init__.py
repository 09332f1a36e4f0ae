"""What crosses between the coordinator and the workers: frozen dataclasses of plain data."""

from workers.messages.arrays import Array
from workers.messages.condition import CheckedDevice, Condition
from workers.messages.devices import DeviceInfo, Endpoint, Station, address_text
from workers.messages.libraries import CompiledModel, ModelRun, ModelTiming, RecordChoice, WarmUp
from workers.messages.logs import LogFormat, LogLine, WrittenLog
from workers.messages.models import Extraction, Origin, PreparedModel, Rest, TaskSpec, TensorSpec
from workers.messages.precision import Metric, Precision, PrecisionFound, PrecisionRequest
from workers.messages.profiles import Call, Kernel, Profile
from workers.messages.searches import Scalar, SearchOptions
from workers.messages.timing import Baton, EvaluatorConfig, Timing
from workers.messages.traits import Setting, Traits, When
from workers.messages.trials import (
    Artifact,
    BuildResult,
    Candidate,
    Measurement,
    Record,
    TrialState,
    Workload,
)

__all__ = [
    "Array",
    "Artifact",
    "Baton",
    "BuildResult",
    "Call",
    "Candidate",
    "CheckedDevice",
    "CompiledModel",
    "Condition",
    "DeviceInfo",
    "Endpoint",
    "EvaluatorConfig",
    "Extraction",
    "Kernel",
    "LogFormat",
    "LogLine",
    "Measurement",
    "Metric",
    "ModelRun",
    "ModelTiming",
    "Origin",
    "Precision",
    "PrecisionFound",
    "PrecisionRequest",
    "PreparedModel",
    "Profile",
    "Record",
    "RecordChoice",
    "Rest",
    "Scalar",
    "SearchOptions",
    "Setting",
    "Station",
    "TaskSpec",
    "TensorSpec",
    "Timing",
    "Traits",
    "TrialState",
    "WarmUp",
    "When",
    "Workload",
    "WrittenLog",
    "address_text",
]
