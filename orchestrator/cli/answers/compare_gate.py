"""``compare --fail-if-slower``: the models of two campaigns held against each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from orchestrator.cli.kit.exits import FAILED
from orchestrator.cli.kit.gate_option import change_text, held_document, held_table, noise_note
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import latency
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from orchestrator.builds.gate import Held
    from orchestrator.storage import TaskComparisonRow, TaskOfCampaign, VerificationRow

__all__ = ["CampaignGate", "slower_tasks"]

Common = tuple["TaskComparisonRow", "TaskOfCampaign", "TaskOfCampaign"]
Model = tuple[str, str, "VerificationRow | None", "VerificationRow | None"]


@dataclass(frozen=True)
class CampaignGate:
    """What became of the models that two campaigns share.

    Attributes
    ----------
    held : tuple of (str, str, Held)
        Name and device class of each model, and what became of it.
    wrong : tuple of str
        Names of those whose outputs are wrong after the second.
    untold : tuple of str
        Names of those of which one campaign has no comparison, or one of too few turns.
    """

    held: tuple[tuple[str, str, Held], ...]
    wrong: tuple[str, ...]
    untold: tuple[str, ...]

    @classmethod
    def of(
        cls,
        models: Iterable[Model],
        allowed: float,
    ) -> CampaignGate:
        """Hold each model against itself.

        Parameters
        ----------
        models : iterable
            Name, device class, and the comparison that each campaign left.
        allowed : float
            See :class:`orchestrator.builds.gate.Held`.
        """
        from orchestrator.builds.gate import Side, hold

        held, wrong, untold = [], [], []
        for name, device_class, before, after in _versions_joined(models):
            if after is not None and after.details.get("agree") is False:
                wrong.append(name)
                continue
            found = None
            if before is not None and after is not None:
                found = hold(Side.of_row(before), Side.of_row(after), allowed)
            if found is None:
                untold.append(name)
            else:
                held.append((name, device_class, found))
        return cls(tuple(held), tuple(wrong), tuple(untold))

    @property
    def slower(self) -> tuple[str, ...]:
        """Names of the models that are slower."""
        return tuple(name for name, _, found in self.held if found.verdict.value == "slower")

    def conclude(self, session: Session, tasks: Sequence[Common]) -> int:
        """Show what was found, and return the exit code.

        Parameters
        ----------
        tasks : sequence
            Those of both campaigns whose best is slower.

        Raises
        ------
        NotFoundError
            No model of theirs can be judged.
        """
        if not self.held and not self.wrong:
            raise NotFoundError(
                "the campaigns share no model that both left compared with onnxruntime in turns enough, and "
                "nothing says whether one is slower; `tunefleet bench MODEL --fail-if-slower 3%` looks now"
            )
        if self.held:
            session.show("", held_table((name, found) for name, _, found in self.held))
        for name, _, found in self.held:
            if found.too_noisy:
                session.say(noise_note(name, found), style="yellow")
        for name in self.untold:
            session.say(f"of {name} nothing can be said: it was not compared after both", style="yellow")
        if not self.slower and not self.wrong:
            return 0
        if self.slower and tasks:
            session.show("", _tasks_table(tasks))
        for name in self.wrong:
            session.error(f"the outputs of {name} are not onnxruntime's after the second campaign")
        if self.slower:
            allowed = change_text(self.held[0][2].allowed)
            session.error(f"slower by more than the {allowed} that is allowed: {', '.join(self.slower)}")
        return FAILED

    def document(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "models": [
                {"model": name, "device_class": device_class, **(held_document(found) or {})}
                for name, device_class, found in self.held
            ],
            "models_wrong": list(self.wrong),
            "models_untold": list(self.untold),
        }


def _versions_joined(models: Iterable[Model]) -> list[Model]:
    """Put what the campaigns call by one name side by side, where the file was another in each."""
    models = list(models)
    joined = []
    for name, device_class, before, after in models:
        others = [row for row in models if row[:2] == (name, device_class)]
        if before is not None and after is None and len(others) == 2:
            continue  # beside its later version
        if before is None and after is not None and len(others) == 2:
            before = next((row[2] for row in others if row[2] is not None), None)
        joined.append((name, device_class, before, after))
    return joined


def slower_tasks(common: Iterable[Common]) -> list[Common]:
    """Return the tasks whose best is slower in the second campaign, those first that cost a run most."""
    slower = [
        (row, before, after)
        for row, before, after in common
        if before.best_s is not None and after.best_s is not None and after.best_s > before.best_s
    ]
    return sorted(slower, key=lambda task: -_lost(task[1], task[2]))


def _lost(before: TaskOfCampaign, after: TaskOfCampaign) -> float:
    assert before.best_s is not None
    assert after.best_s is not None
    return after.weight * (after.best_s - before.best_s)


def _tasks_table(tasks: Sequence[Common]) -> Table:
    right = ("calls", "before", "now", "change", "of a run")
    grid = Grid("task whose best is slower", *right, right=right, flexible=("task whose best is slower",))
    for row, before, after in tasks:
        assert before.best_s is not None
        assert after.best_s is not None
        grid.add(
            row.name,
            str(after.weight),
            latency(before.best_s),
            latency(after.best_s),
            change_text(after.best_s / before.best_s - 1),
            Text(f"+{latency(_lost(before, after))}"),
        )
    return grid.table()
