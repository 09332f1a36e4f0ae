"""How fast a model was when a campaign began with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["BeginningRow", "NewBeginning"]


@dataclass(frozen=True)
class NewBeginning:
    """What one inference took when a campaign began, on one device class.

    Attributes
    ----------
    library_s : float or None
        Seconds in the library that could be built then, with the records there were; None where it wasn't
        run.
    reference_s : float or None
        In onnxruntime; None where it wasn't, or not on that device.
    """

    model_id: int
    device_class: str
    library_s: float | None
    reference_s: float | None


@dataclass(frozen=True)
class BeginningRow:
    """The same, as it is stored."""

    campaign_id: int
    model_id: int
    device_class: str
    library_s: float | None
    reference_s: float | None
    created_at: datetime
