"""What kernels take inside their models, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Inside", "NewInside", "expected_call_s"]


@dataclass(frozen=True)
class NewInside:
    """What a call of a kernel took inside a library of its model.

    Attributes
    ----------
    candidate : str
        Hash of the schedule that it had there.
    seconds : float
        Of one call.
    """

    candidate: str
    seconds: float


@dataclass(frozen=True)
class Inside:
    """What a call of a kernel takes inside its model, and with the same schedule alone.

    Alone, weights are in the cache from the call before, and so is what the kernel reads; inside, other
    kernels came between.

    Attributes
    ----------
    seconds : float
        Of one call inside; the mean, where several models were looked into.
    alone_s : float or None
        Of one call alone; None where no trial of that schedule is stored.
    seen_at : datetime
        When that was first known.
    """

    seconds: float
    alone_s: float | None
    seen_at: datetime

    def expected_s(self, best_s: float | None) -> float:
        """Return what a call is expected to take inside with another schedule, by what that takes alone.

        What it takes longer inside is for what has to be moved, whatever the schedule; where it takes less,
        it finds more in the caches than alone, and with another schedule in the same proportion.

        Parameters
        ----------
        best_s : float or None
            Seconds alone; None where nothing was measured yet: then the kernel is still as it was seen.
        """
        if best_s is None:
            return self.seconds
        if self.alone_s is None:
            return best_s
        if self.seconds >= self.alone_s:
            return best_s + self.seconds - self.alone_s
        return best_s * self.seconds / self.alone_s


def expected_call_s(inside: Inside | None, best_s: float | None) -> float | None:
    """Return what a call is expected to take, as :meth:`Inside.expected_s`; alone, where nobody looked."""
    return best_s if inside is None else inside.expected_s(best_s)
