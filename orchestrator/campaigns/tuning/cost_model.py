"""The cost model that the searches of a campaign share: when it is trained, and who has which."""

from __future__ import annotations

from orchestrator.campaigns.tuning.subjects import Subject
from orchestrator.fleet.work import TrainWork
from orchestrator.storage import Experience, NewSamples

__all__ = ["CostModel"]

# The cost model is trained anew when there is this much more to learn from, and never for less than a
# handful: MetaSchedule's own rule (adaptive_training). On what earlier campaigns learned as well it takes
# seconds, and what is new is a smaller part of it.
_TRAIN_GROWTH, _TRAIN_GROWTH_EXPERIENCED, _TRAIN_LEAST = 1.2, 1.5, 32
_TRAIN_SECONDS = 300.0


class CostModel:
    """What it was trained on, and what can be trained on now.

    Parameters
    ----------
    experience : Experience, optional
        What earlier campaigns learned. Where there is no model of it, one is trained at once.
    """

    def __init__(self, experience: Experience = Experience()) -> None:  # noqa: B008 - frozen
        self._experience = experience
        self._samples: list[bytes] = []
        self._sampled = self._trained = 0
        self._in_training: int | None = None  # how many samples the training under way knows
        self._model: bytes | None = experience.model
        self._version = 0 if experience.model is None else 1
        self._begun = experience.model is not None or not experience.samples
        self._unsaved: list[NewSamples] = []

    def add(self, samples: bytes, count: int) -> None:
        """Keep what a search has learned from so many records that are stored."""
        if samples:
            self._samples.append(samples)
            self._sampled += count

    def add_new(self, workload_hash: str, samples: bytes, count: int) -> None:
        """Keep what a search has learned from so many results of this campaign."""
        self.add(samples, count)
        if samples:
            self._unsaved.append(NewSamples(workload_hash, count, samples))

    @property
    def due(self) -> bool:
        """It is to be trained now."""
        if self._in_training is not None:
            return False
        growth = _TRAIN_GROWTH_EXPERIENCED if self._experience.samples else _TRAIN_GROWTH
        return not self._begun or self._sampled >= max(_TRAIN_LEAST, growth * self._trained)

    def train(self) -> TrainWork:
        """Begin to train it."""
        self._in_training, self._begun = self._sampled, True
        return TrainWork((*self._experience.samples, *self._samples), _TRAIN_SECONDS)

    def trained(self, model: bytes | None) -> None:
        """Take a trained model; None where that failed."""
        # A failed training costs nothing but its time: the searches keep the model they have.
        self._trained, self._in_training = self._in_training or 0, None
        if model:
            self._model, self._version = model, self._version + 1

    def news_for(self, subject: Subject) -> bytes | None:
        """Return the model where a task's search has an older one, and take it that it has this one now."""
        news = self._model if self._version > subject.model_seen else None
        subject.model_seen = self._version
        return news

    def take_unsaved(self) -> list[NewSamples]:
        """Take what was learned since this was asked last, for the store."""
        unsaved, self._unsaved = self._unsaved, []
        return unsaved

    @property
    def own(self) -> tuple[bytes, int] | None:
        """The model that was trained in this campaign, and on how many trials; None where none was."""
        if self._model is None or self._model is self._experience.model:
            return None
        return self._model, self._experience.count + self._trained
