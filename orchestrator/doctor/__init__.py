"""What is missing on this machine, and how to mend it."""

from orchestrator.doctor.examine import examine
from orchestrator.doctor.findings import Check, Status

__all__ = ["Check", "Status", "examine"]
