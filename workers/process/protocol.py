"""What goes over the socket between an engine process and who started it, and between it and its forks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from workers.messages import Traits

__all__ = [
    "Answer",
    "Call",
    "Close",
    "Done",
    "Exited",
    "Failed",
    "Fault",
    "Job",
    "Open",
    "Pause",
    "Raised",
    "Ready",
    "Request",
    "Resume",
    "Returned",
    "Role",
    "Spawn",
    "Stage",
    "Use",
    "Warm",
    "Word",
]

#: What an engine process is for, and so what it imports ahead.
Role = Literal["search", "build", "measure", "model"]


@dataclass(frozen=True)
class Job:
    """A call of a method.

    Attributes
    ----------
    method : str
        By its name; ``build.build`` is the method of an engine's role.
    """

    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


# -- requests


@dataclass(frozen=True)
class Call:
    """Have a fork do a job, and end."""

    number: int
    job: Job
    timeout_s: float | None


@dataclass(frozen=True)
class Open:
    """Have a fork make an object, and keep it as a session of this name."""

    number: int
    session: str
    job: Job
    timeout_s: float | None


@dataclass(frozen=True)
class Use:
    """Have the object of a session do a job, after what it was asked before."""

    number: int
    session: str
    job: Job
    timeout_s: float | None


@dataclass(frozen=True)
class Spawn:
    """Have a fork do a job that doesn't end, a service; the answer comes when it says that it is ready."""

    number: int
    service: str
    job: Job
    timeout_s: float | None


@dataclass(frozen=True)
class Close:
    """End a session or a service; one that is gone already is no error."""

    name: str


@dataclass(frozen=True)
class Pause:
    """Stop all calls and sessions where they stand (SIGSTOP)."""


@dataclass(frozen=True)
class Resume:
    """Let them go on; their time limits waited for them."""


Request = Call | Open | Use | Spawn | Close | Pause | Resume


# -- answers


class Fault(Enum):
    """Why a request failed."""

    ERROR = "error"
    TIMEOUT = "timeout"
    CRASH = "crash"
    CLOSED = "closed"


@dataclass(frozen=True)
class Warm:
    """The engine is imported: the first answer of an engine process.

    Attributes
    ----------
    traits : Traits or None
        What the engine says of itself; None where it is no tuner, such as :mod:`workers.reference`.
    """

    traits: Traits | None


@dataclass(frozen=True)
class Done:
    """A request was done.

    Attributes
    ----------
    value : bytes
        What came of it, pickled by itself: where it can't be read, one call failed and no other.
    """

    number: int
    value: bytes


@dataclass(frozen=True)
class Failed:
    """A request failed.

    Attributes
    ----------
    number : int
        0 where the engine could not even be imported.
    text : str
        What is known about it; empty for a timeout.
    error : str
        The name of the exception's class, where one was raised.
    stage : str
        What was being done; empty where nothing had begun.
    """

    number: int
    fault: Fault
    text: str = ""
    error: str = ""
    stage: str = ""


@dataclass(frozen=True)
class Exited:
    """A service ended that nobody had ended."""

    service: str
    reason: str


Answer = Warm | Done | Failed | Exited


# -- what a fork tells the engine process


@dataclass(frozen=True)
class Stage:
    """What it is doing now."""

    text: str


@dataclass(frozen=True)
class Ready:
    """A service is up, and what it announces."""

    value: Any


@dataclass(frozen=True)
class Returned:
    """A job was done; its value, pickled."""

    value: bytes


@dataclass(frozen=True)
class Raised:
    """A job raised an exception of this class and text."""

    error: str
    text: str


Word = Stage | Ready | Returned | Raised
