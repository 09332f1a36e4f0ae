"""The cost model that the searches of a campaign share: when it is trained, and who has which."""

from __future__ import annotations

from orchestrator.campaigns.tuning.subjects import Subject
from orchestrator.fleet.work import TrainWork

__all__ = ["CostModel"]

# The cost model is trained anew when there is this much more to learn from, and never for less than a
# handful: MetaSchedule's own rule (adaptive_training).
_TRAIN_GROWTH, _TRAIN_LEAST = 1.2, 32
_TRAIN_SECONDS = 300.0


class CostModel:
    """What it was trained on, and what can be trained on now."""

    def __init__(self) -> None:
        self._samples: list[bytes] = []
        self._sampled = self._trained = 0
        self._in_training: int | None = None  # how many samples the training under way knows
        self._model: bytes | None = None
        self._version = 0

    def add(self, samples: bytes, count: int) -> None:
        """Keep what a search has learned from so many records."""
        if samples:
            self._samples.append(samples)
            self._sampled += count

    @property
    def due(self) -> bool:
        """It is to be trained now."""
        least = max(_TRAIN_LEAST, _TRAIN_GROWTH * self._trained)
        return self._in_training is None and self._sampled >= least

    def train(self) -> TrainWork:
        """Begin to train it."""
        self._in_training = self._sampled
        return TrainWork(tuple(self._samples), _TRAIN_SECONDS)

    def trained(self, model: bytes | None) -> None:
        """Take a trained model; None where that failed."""
        # A failed training costs nothing but its time: the searches keep the model they have.
        self._trained, self._in_training = self._in_training or 0, None
        if model is not None:
            self._model, self._version = model, self._version + 1

    def news_for(self, subject: Subject) -> bytes | None:
        """Return the model where a task's search has an older one, and take it that it has this one now."""
        news = self._model if self._version > subject.model_seen else None
        subject.model_seen = self._version
        return news
