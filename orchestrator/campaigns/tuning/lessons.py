"""What a campaign's cost model begins with, and what it leaves to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.campaigns.tuning.cost_model import CostModel
from orchestrator.errors import StorageError
from orchestrator.storage import Experience, Storage
from workers.messages import DeviceInfo

__all__ = ["Lessons"]

# With as many trials stored, what comes with the engine has nothing to add.
_EXPERIENCED = 500
_WORTHWHILE = 64


class Lessons:
    """The cost model of a campaign, and its place in the store.

    Of a campaign on several device classes it is that of the first: its samples alone can be told apart by
    their workload.

    Parameters
    ----------
    devices : sequence of DeviceInfo
    packed : callable
        Returns the samples that come with the engine, of a kind (:class:`.DeviceInfo`); empty where none do.
    planned : int or None
        Trials that are to be measured, None without limit: for a few nothing is trained at the beginning, and
        what is trained on them alone replaces no model that knows more.

    Attributes
    ----------
    model : CostModel
    """

    def __init__(
        self,
        store: Storage,
        campaign_id: int,
        devices: Sequence[DeviceInfo],
        packed: Callable[[str], bytes],
        planned: int | None,
    ) -> None:
        self._store, self._id = store, campaign_id
        self._device = devices[0] if len(devices) == 1 and devices[0].samples else None
        self._keeps_model, experience = True, Experience()
        if self._device is not None:
            place, kind = self._device.device_class, self._device.samples
            if planned is None or planned >= _WORTHWHILE:
                experience = store.cost_models.experience(place, kind)
                with_engine = packed(kind) if experience.count < _EXPERIENCED else b""
                if with_engine:
                    experience = replace(experience, samples=(*experience.samples, with_engine))
            else:
                self._keeps_model = not store.cost_models.has_model(place, kind)
        self.model = CostModel(experience)

    def keep(self) -> None:
        """Store what was learned since this was done last."""
        unsaved, own = self.model.take_unsaved(), self.model.own
        if self._device is None or not unsaved:
            return
        model, trained_on = (own if self._keeps_model else None) or (None, 0)
        try:
            self._store.cost_models.learned(
                self._device.device_class,
                self._device.samples,
                unsaved,
                model,
                trained_on,
                campaign_id=self._id,
            )
        except StorageError:
            # All that was measured is in its trials; this is only what spares the next campaign some.
            return
