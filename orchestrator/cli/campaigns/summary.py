"""How a campaign ended: what was found, what it cost, and what to do next."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from orchestrator.cli.kit.exits import FAILED, INTERRUPTED
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import amount, duration, plural, short_path
from orchestrator.cli.models.bench import bench_document, bench_table
from orchestrator.documents.campaigns import campaign_document
from orchestrator.storage import CampaignState

if TYPE_CHECKING:
    from orchestrator.campaigns.running.outcome import Outcome
    from orchestrator.campaigns.tuning.progress import MoreTime
    from orchestrator.storage import CampaignModelRow, Storage

__all__ = ["finish"]


def finish(session: Session, store: Storage, outcome: Outcome, failures_before: int = 0) -> int:
    """Report a campaign that rests, and return the exit code.

    Parameters
    ----------
    failures_before : int
        Failed trials the campaign had before this run of it.
    """
    campaign = outcome.campaign
    models = store.campaigns.models(campaign.id)
    changes = {
        model.path: store.models.get(model.model_id).changes for model in models if model.model_id is not None
    }
    now_failed = sum(task.measured_failures for task in store.tasks.of_campaign(campaign.id))
    # A failure of before may have gone meanwhile, or been measured well with another toolchain.
    failed = max(0, now_failed - failures_before)
    session.emit(
        {
            "campaign": campaign_document(campaign),
            "database": session.database,
            "interrupted": outcome.interrupted,
            "trials_measured": outcome.measured,
            "trials_failed": failed,
            "trials_already_stored": outcome.already_stored,
            "trials_planned": outcome.plan_missing,
            "trials_revalidated": outcome.revalidated,
            "remarks": list(outcome.remarks),
            "more_time": None if outcome.more_time is None else asdict(outcome.more_time),
            "parts_s": {name: round(seconds, 3) for name, seconds in outcome.parts_s.items()},
            "reports": [
                {**bench_document(report), "changes": list(changes.get(report.path, ()))}
                for report in outcome.reports
            ],
        }
    )
    for report in outcome.reports:
        session.show(bench_table(report, changes.get(report.path, ())))
    session.write(Text(_cost(outcome, failed)))
    if outcome.parts_s:
        session.write(Text(_parts(outcome), style="dim"))
    if outcome.more_time is not None:
        session.write(Text(_more(outcome.more_time), style="dim"))
    session.write(Text(f"database: {session.database}", style="dim"))
    for remark in outcome.remarks:
        session.say(remark, style="yellow")
    if outcome.interrupted:
        session.say(f"stopped; everything measured is stored. To go on:\n  {_resume(session, campaign.id)}")
        return INTERRUPTED
    wrong = [report for report in outcome.reports if not report.outputs_agree]
    for report in wrong:
        session.error(
            f"the tuned {report.model} computes something else than onnxruntime: {report.disagreement}. "
            "Don't use it, and please report it"
        )
    if wrong:
        return FAILED
    if campaign.state is not CampaignState.DONE:
        if campaign.state is CampaignState.FAILED:
            session.error(f"campaign {campaign.id} failed: {campaign.message}")
        else:
            session.say(
                f"campaign {campaign.id} was {campaign.state.value}"
                + (f": {campaign.message}" if campaign.message else "")
            )
        if campaign.state is not CampaignState.CANCELLED:
            session.say(f"to go on:\n  {_resume(session, campaign.id)}")
        return FAILED
    if models:
        boards = campaign.spec.get("boards") or {}
        if boards:
            key, target = next(iter(boards.items()))
            how = ["--device", key, "--target", target]
        else:
            target = str((campaign.spec.get("targets") or ["auto"])[0])
            how = [] if target == "auto" else ["--target", target]
        session.write(*_next(session, campaign.id, models[0], how, board=bool(boards)))
    return 0


def _cost(outcome: Outcome, failed: int) -> str:
    if outcome.measured == 0 and outcome.plan_missing == 0:
        return f"nothing to measure: all {plural(outcome.already_stored, 'trial')} were stored already"
    parts = [f"measured {plural(outcome.measured, 'trial')} ({amount(failed)} failed)"]
    if outcome.revalidated:
        parts.append(f"{amount(outcome.revalidated)} of another toolchain anew")
    if outcome.already_stored:
        parts.append(f"{amount(outcome.already_stored)} were stored already")
    parts.append(f"{duration(outcome.campaign.active_s)} of work")
    return ", ".join(parts)


def _parts(outcome: Outcome) -> str:
    """Say where the time went."""
    return ", ".join(f"{name} {duration(seconds)}" for name, seconds in outcome.parts_s.items())


def _more(more: MoreTime) -> str:
    """Say what more time would bring."""
    again = f"as much time again ({duration(more.seconds)})"
    return f"{again} would bring about {more.gain:.1%}, as the second half of it did"


def _resume(session: Session, campaign_id: int) -> str:
    return session.command_line("resume", str(campaign_id))


def _next(
    session: Session, campaign_id: int, model: CampaignModelRow, device: list[str], *, board: bool
) -> list[Text]:
    console_width = session.out.width
    path = short_path(model.path)
    how = [
        part
        for name, dims in model.shapes.items()
        for part in ("--input-shape", f"{name}:{','.join(map(str, dims))}")
    ]
    how += device
    library = f"{Path(path).stem}.so"
    commands = [
        (["build", path, "-o", library, *how], "the tuned library"),
        (["bench", path, *how], "measure it again"),
        (["best", path, *how], "the schedules that won"),
        (["show", str(campaign_id)], "every task of this campaign"),
    ]
    if board:
        # How its tracker is reached, the person knows who has just named it.
        commands[2:3] = [(["run", library, *device[:2], "--check", path], "run it there and compare")]
    lines = [(session.command_line(*words), what) for words, what in commands]
    width = max(len(line) for line, _ in lines)
    # What each is for is said where that leaves it in one line: a command must be fit to be copied.
    room = console_width - width - 2
    texts = [Text(""), Text("next:", style="bold")]
    for line, what in lines:
        text = Text(f"  {line}")
        if len(what) + 4 <= room:
            text.append(f"{' ' * (width - len(line))}  # {what}", style="dim")
        texts.append(text)
    return texts
