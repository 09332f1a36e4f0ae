"""What goes into the store and what comes out: frozen dataclasses, without SQL."""

from orchestrator.storage.rows.access import AuditRow, NewAuditEntry, NewToken, TokenRow, TokenScope
from orchestrator.storage.rows.answers import (
    BestOrder,
    BestRow,
    CurveRow,
    DeviceClassFailures,
    FailureRow,
    ImprovementRow,
    ModelShares,
    PointRow,
    SearchRow,
    TaskComparisonRow,
    TaskOfCampaign,
    TaskShareRow,
    WorkRow,
)
from orchestrator.storage.rows.beginnings import BeginningRow, NewBeginning
from orchestrator.storage.rows.campaigns import (
    BEGUN_STATES,
    ENDED_STATES,
    RESTING_STATES,
    CampaignModelRow,
    CampaignRequest,
    CampaignRow,
    CampaignState,
    NewCampaignModel,
    NewSearch,
)
from orchestrator.storage.rows.catalog import (
    DeviceClassRow,
    DeviceRow,
    LayoutRow,
    ModelDeviceRow,
    ModelRow,
    Sighting,
    WorkloadRow,
)
from orchestrator.storage.rows.checks import (
    CheckState,
    DeviceCheckRow,
    MeasurementKey,
    NewDeviceCheck,
    drift_words,
)
from orchestrator.storage.rows.cost_models import Experience, NewSamples
from orchestrator.storage.rows.counts import ClassStatistics, Copied, PruneCounts, StoreStatistics
from orchestrator.storage.rows.insides import Inside, NewInside
from orchestrator.storage.rows.layouts import LayoutDecisionRow, NewLayoutDecision, TaskChange
from orchestrator.storage.rows.measurements import MeasurementKind, MeasurementRow, NewMeasurement
from orchestrator.storage.rows.profiles import ProfileRow
from orchestrator.storage.rows.tasks import CampaignTaskRow, ModelTaskRow, NewTask, TaskStanding, TaskState
from orchestrator.storage.rows.toolchains import PACK, ToolchainRow, toolchain_key, toolchain_text
from orchestrator.storage.rows.trials import NewTrial, TrialRow
from orchestrator.storage.rows.verifications import NewVerification, VerificationRow, records_key

__all__ = [
    "BEGUN_STATES",
    "ENDED_STATES",
    "PACK",
    "RESTING_STATES",
    "AuditRow",
    "BeginningRow",
    "BestOrder",
    "BestRow",
    "CampaignModelRow",
    "CampaignRequest",
    "CampaignRow",
    "CampaignState",
    "CampaignTaskRow",
    "CheckState",
    "ClassStatistics",
    "Copied",
    "CurveRow",
    "DeviceCheckRow",
    "DeviceClassFailures",
    "DeviceClassRow",
    "DeviceRow",
    "Experience",
    "FailureRow",
    "ImprovementRow",
    "Inside",
    "LayoutDecisionRow",
    "LayoutRow",
    "MeasurementKey",
    "MeasurementKind",
    "MeasurementRow",
    "ModelDeviceRow",
    "ModelRow",
    "ModelShares",
    "ModelTaskRow",
    "NewAuditEntry",
    "NewBeginning",
    "NewCampaignModel",
    "NewDeviceCheck",
    "NewInside",
    "NewLayoutDecision",
    "NewMeasurement",
    "NewSamples",
    "NewSearch",
    "NewTask",
    "NewToken",
    "NewTrial",
    "NewVerification",
    "PointRow",
    "ProfileRow",
    "PruneCounts",
    "SearchRow",
    "Sighting",
    "StoreStatistics",
    "TaskChange",
    "TaskComparisonRow",
    "TaskOfCampaign",
    "TaskShareRow",
    "TaskStanding",
    "TaskState",
    "TokenRow",
    "TokenScope",
    "ToolchainRow",
    "TrialRow",
    "VerificationRow",
    "WorkRow",
    "WorkloadRow",
    "drift_words",
    "records_key",
    "toolchain_key",
    "toolchain_text",
]
