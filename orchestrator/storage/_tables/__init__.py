"""The tables. A change here needs a migration beside it; a test compares the two."""

from orchestrator.storage._tables.access import AuditEntry, Submission, Token
from orchestrator.storage._tables.base import Base
from orchestrator.storage._tables.campaigns import (
    Beginning,
    Campaign,
    CampaignModel,
    LayoutDecision,
    Search,
    Task,
)
from orchestrator.storage._tables.catalog import (
    Device,
    DeviceClass,
    Extraction,
    Model,
    ModelTask,
    Target,
    Toolchain,
    Workload,
)
from orchestrator.storage._tables.learned import CostModelRow, CostSamples, InsideTime, ModelProfile
from orchestrator.storage._tables.trials import DeviceCheck, Measurement, Trial, Verification

__all__ = [
    "AuditEntry",
    "Base",
    "Beginning",
    "Campaign",
    "CampaignModel",
    "CostModelRow",
    "CostSamples",
    "Device",
    "DeviceCheck",
    "DeviceClass",
    "Extraction",
    "InsideTime",
    "LayoutDecision",
    "Measurement",
    "Model",
    "ModelProfile",
    "ModelTask",
    "Search",
    "Submission",
    "Target",
    "Task",
    "Token",
    "Toolchain",
    "Trial",
    "Verification",
    "Workload",
]
