"""When a device has drifted, as campaigns and single commands alike tell it."""

from orchestrator.devices.drift import (
    DRIFT,
    EVERY_SECONDS,
    PATIENCE,
    SOON_SECONDS,
    TRIES,
    Level,
    Verdict,
)

__all__ = ["DRIFT", "EVERY_SECONDS", "PATIENCE", "SOON_SECONDS", "TRIES", "Level", "Verdict"]
