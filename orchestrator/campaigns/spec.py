"""What a campaign is asked to do."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orchestrator.campaigns.planning.budgets import DEFAULT_TRIALS_PER_TASK
from orchestrator.errors import UsageError
from orchestrator.models.request import ModelRequest
from workers.messages import EvaluatorConfig, SearchOptions

__all__ = ["DEFAULT_REVALIDATED", "DEFAULT_TRIALS_PER_TASK", "CampaignSpec"]

#: Records of another toolchain that are measured anew for each task, where nothing else is said.
DEFAULT_REVALIDATED = 3
# Settings of searches that were fields of their own in campaigns that earlier releases stored.
_ONCE_FIELDS = ("population", "generations", "tuner", "loss", "plan_size")


class CampaignSpec(BaseModel):
    """Models x targets, with a budget.

    Attributes
    ----------
    models : tuple of ModelRequest
    targets : tuple of str
        ``auto``, or a target's text.
    boards : dict of str to str
        Keys of devices that registered themselves at a tracker, and the target of each. Where there are any,
        they are what is measured on, and `targets` counts for nothing.
    engine : str
    trials : int, optional
        In all, those already stored included.
    trials_per_task : int, optional
        For each task at most, those already stored included.
    time_s : float, optional
        Wall-clock seconds of the campaign, over all its restarts.
    plateau : int, optional
        A task stops when this many trials in a row brought nothing better.
    until : float or 'onnxruntime', optional
        Seconds of one inference at which each model is fast enough, by the sum of its tasks' best times; or
        as fast as onnxruntime was when the campaign began.
    tasks : str, optional
        Only tasks whose name this pattern is found in (Python's ``re``).
    seed : int
    evaluator : EvaluatorConfig
    revalidate : int
        So many of each task's fastest records of another toolchain are measured before it is searched.
    full_timing : bool
        Whether also those candidates are timed in full that a first look finds far behind the best.
    verify_candidates : bool
        Whether each candidate's output is compared with the kernel's without a schedule before it is timed.
    search : SearchOptions
        Whose ``settings`` are the engine's own; it refuses those that it doesn't have.
    layout : str
        In which activations are tuned and built, see :class:`workers.messages.PreparedModel`.
    layout_tuning : {'auto', 'none'}
        Whether the final build weighs layouts between the tasks, where the engine can.
    build_timeout_s : float
        A candidate's build that takes longer is killed (seconds).
    search_timeout_s : float
        So is one proposal of candidates (seconds).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[ModelRequest, ...] = Field(min_length=1)
    targets: tuple[str, ...] = ("auto",)
    boards: dict[str, str] = Field(default_factory=dict)
    engine: str = "metaschedule"
    trials: int | None = Field(default=None, gt=0)
    trials_per_task: int | None = Field(default=None, gt=0)
    time_s: float | None = Field(default=None, gt=0)
    plateau: int | None = Field(default=None, gt=0)
    until: Annotated[float, Field(gt=0)] | Literal["onnxruntime"] | None = None
    tasks: str | None = None
    seed: int = Field(default=1, ge=1, lt=2**31)
    evaluator: EvaluatorConfig = EvaluatorConfig()
    revalidate: int = Field(default=DEFAULT_REVALIDATED, ge=0)
    full_timing: bool = False
    verify_candidates: bool = False
    search: SearchOptions = SearchOptions()
    layout: str = "auto"
    layout_tuning: Literal["auto", "none"] = "auto"
    build_timeout_s: float = Field(default=20.0, gt=0)
    search_timeout_s: float = Field(default=300.0, gt=0)

    @field_validator("search", mode="before")
    @classmethod
    def _with_settings(cls, search: object) -> object:
        """Read settings that stand beside ``seed``, as they once did and in short may."""
        if not isinstance(search, dict):
            return search
        others = {name: value for name, value in search.items() if name not in _ONCE_FIELDS}
        # Empty and 0 said that the engine was to choose.
        beside = {name: search[name] for name in _ONCE_FIELDS if search.get(name) not in (None, "", 0)}
        return {**others, "settings": {**beside, **others.get("settings", {})}} if beside else others

    @classmethod
    def of(cls, values: dict[str, Any]) -> CampaignSpec:
        """Make a spec from plain values, as they are stored.

        Raises
        ------
        UsageError
            Naming every value that can't be right.
        """
        try:
            spec = cls.model_validate(values)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise UsageError(f"these campaign settings can't be right: {problems}") from None
        if spec.tasks is not None:
            try:
                re.compile(spec.tasks)
            except re.error as error:
                raise UsageError(f"--tasks {spec.tasks!r} is not a pattern: {error}") from None
        if spec.until is not None and spec.tasks is not None:
            raise UsageError("--until is about whole models, and --tasks tunes parts of them: leave one out")
        if spec.until == "onnxruntime" and spec.boards:
            raise UsageError(
                "--until onnxruntime can't be had on boards, where onnxruntime isn't timed: give a latency, "
                "such as --until 5ms"
            )
        return spec

    def wants(self, task_name: str) -> bool:
        """Say whether a task of this name is to be tuned."""
        return self.tasks is None or re.search(self.tasks, task_name) is not None
