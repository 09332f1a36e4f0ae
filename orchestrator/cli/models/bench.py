"""``bench``: the library of a model beside the untuned one and the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.aim import Aim
from orchestrator.cli.kit.arguments import boards_of, model_request, require_engine, weighs_layouts
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.conversion_options import ConversionOptions
from orchestrator.cli.kit.exits import FAILED
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.gate_option import (
    FailIfSlower,
    allowed_slowdown,
    change_span,
    change_text,
    held_origin,
    held_table,
    noise_note,
)
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.stale import Stale, revalidate_model, uses_stale
from orchestrator.cli.kit.stored import tune_command
from orchestrator.cli.kit.text import finite, latency, plural
from orchestrator.cli.models.latencies import (
    against_reference_text,
    latencies_table,
    latency_head,
    outcome_facts,
    wrong_documents,
    wrong_text,
)
from orchestrator.documents.gate import held_document
from orchestrator.documents.intervals import sure_document
from orchestrator.documents.origins import origin_document
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.builds import BenchReport

__all__ = ["bench", "bench_document", "bench_table"]


@command(
    "bench",
    panel=options.PANELS.MODELS,
    examples=(
        "bench model.onnx",
        "bench model.onnx --json",
        "bench model.onnx --fail-if-slower 3%",
        "bench model.onnx --device rpi4 --target 'llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 "
        "-num-cores=4' --tracker 10.0.0.10:9190",
    ),
)
def bench(
    session: Session,
    model: options.Model,
    conversion: ConversionOptions,
    input_shape: options.InputShapes = None,
    target: options.Target = "auto",
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, metavar="N", help="Turns of all three; the medians count.")
    ] = 5,
    fail_if_slower: FailIfSlower = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="ID",
            help="With --fail-if-slower: the campaign after which the model took what it may take. Left out, "
            "the latest stored comparison of another library of the model.",
            show_default=False,
        ),
    ] = None,
    seed: options.Seed = 1,
    engine: options.Engine = options.DEFAULT_ENGINE,
    layout: options.TunedLayout = None,
    layout_tuning: options.LayoutTuning = "auto",
    allow_device: options.AllowDevice = None,
    device: options.Board = None,
    tracker: options.Tracker = None,
    stale: Stale = "use",
) -> int:
    """Time a model untuned, tuned and in onnxruntime, in turns, and compare the outputs.

    With --device, untuned and tuned run on that device, and onnxruntime here, for its outputs alone. Exit
    code 1 says that the tuned model's outputs are not onnxruntime's, or, with --fail-if-slower, that it takes
    longer than an earlier library of it.
    """
    from orchestrator.builds import bench_model
    from orchestrator.builds.gate import LEAST_TURNS
    from orchestrator.devices.address import tracker_address

    takes_stale = uses_stale(stale)
    require_engine(engine)
    allowed = allowed_slowdown(fail_if_slower)
    if against is not None and allowed is None:
        raise UsageError("--against is for --fail-if-slower, and that is not given")
    if allowed is not None and rounds < LEAST_TURNS:
        raise UsageError(f"--fail-if-slower takes {LEAST_TURNS} turns or more, not --rounds {rounds}")
    if device is not None:
        boards_of([device], [target])
    request = model_request(session, model, input_shape, conversion, Aim.of(engine, [target], timed=True))
    with session.storage() as store, session.toolbox(engine) as tools, session.steps() as steps:
        address = None if device is None else tracker_address(tracker)
        if stale == "revalidate":
            revalidate_model(
                session,
                store,
                tools,
                request,
                target=target,
                layout=layout,
                board=device,
                tracker=address,
                say=steps,
            )
        report = bench_model(
            store,
            tools,
            request,
            target=target,
            rounds=rounds,
            seed=seed,
            layout=layout,
            weigh_layouts=weighs_layouts(layout_tuning),
            allowed=allow_device or (),
            stale=takes_stale,
            board=device,
            tracker=address,
            allowed_slowdown=allowed,
            against=None if against is None else store.campaigns.get(against).id,
            say=steps,
        )
    gate = held_document(report.held)
    session.emit({"report": bench_document(report), "gate": gate})
    session.show(bench_table(report))
    if gate is not None:
        session.show(held_table([(report.model, gate)]), Text(f"\n{held_origin(gate)}"))
        if gate["too_noisy"]:
            session.say(noise_note(report.model, gate), style="yellow")
    if not report.outputs_agree:
        session.error(
            f"the tuned {report.model} computes something else than onnxruntime: {report.disagreement}"
        )
        return FAILED
    if allowed is not None and report.held is None:
        raise NotFoundError(
            f"no comparison of {report.model} is stored on {report.device_class} that this one could be held "
            f"against: of {LEAST_TURNS} turns or more, with outputs that agree; this one is stored now"
        )
    if gate is not None and gate["verdict"] == "slower":
        session.error(
            f"the tuned {report.model} takes {change_text(gate['change'])} longer than before "
            f"({change_span(gate)}), and {change_text(gate['allowed'])} is allowed"
        )
        return FAILED
    if not report.tasks_tuned:
        how = tune_command(session, model, input_shape, conversion, target, engine, device)
        session.say(f"nothing of it is tuned yet: {how}", style="yellow")
    return 0


def bench_document(report: BenchReport) -> dict[str, Any]:
    """A model's latencies, and how its outputs compare."""
    return {
        "model": report.model,
        "path": report.path,
        "device_class": report.device_class,
        "threads": report.threads,
        "tasks_total": report.tasks_total,
        "tasks_tuned": report.tasks_tuned,
        "untuned_s": report.untuned_s,
        "tuned_s": report.tuned_s,
        "reference_s": report.reference_s,
        "speedup": report.speedup,
        "reference_ratio": report.reference_ratio,
        **sure_document(report.side),
        "max_abs": finite(report.max_abs),
        "max_rel": finite(report.max_rel),
        "outputs_agree": report.outputs_agree,
        "disagreement": report.disagreement,
        "remark": report.remark,
        "rest_s": report.rest_s,
        "runs": report.runs,
        "turns": report.turns,
        "timing_note": report.timing_note,
        "untuned_note": report.untuned_note,
        "origin": origin_document(report.origin),
        "plan": report.plan,
        "why": report.why,
        "remembered": report.remembered,
        "wrong_records": wrong_documents(report.wrong),
    }


def bench_table(report: BenchReport, changes: Sequence[str] = ()) -> RenderableType:
    """A model's three latencies beside each other, and whether its outputs are right."""
    head = latency_head(report.model, report.device_class)
    head.append(f", {plural(report.threads, 'thread')}", style="not bold dim")
    pairs = outcome_facts(
        report.outputs_agree, report.disagreement, report.max_abs, report.max_rel, report.remark
    )
    pairs.append(("tasks tuned", f"{report.tasks_tuned} of {report.tasks_total}"))
    if report.why and report.plan != "each task's best":
        pairs.append(("records", report.why))
    elif report.plan:
        pairs.append(("records", report.plan))
    if report.wrong:
        pairs.append(("left out", Text(wrong_text(wrong_documents(report.wrong)), style="yellow")))
    if report.rest_s is not None:
        whole = report.tuned_s + report.rest_s
        pairs.append(
            (
                "behind the cut",
                f"{latency(report.rest_s)} in onnxruntime, {report.rest_s / whole:.0%} of a run",
            )
        )
    against = against_reference_text(report.side)
    if against:
        pairs.insert(0, ("beside onnxruntime", against))
    if report.turns:
        note = f"; {report.timing_note}" if report.timing_note else ""
        pairs.append(("timed", f"in {plural(report.turns, 'turn')}{note}"))
    if report.untuned_note:
        pairs.append(("untuned", report.untuned_note))
    if report.remembered:
        pairs.append(("measured", "earlier, for these same records"))
    if changes:
        pairs.append(("on import", "\n".join(changes)))
    times = latencies_table(report.untuned_s, report.tuned_s, report.reference_s, report.runs, report.side)
    return Group(head, "", times, "", facts(pairs), "")
