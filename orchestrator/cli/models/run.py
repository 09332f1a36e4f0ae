"""``run``: a built library on inputs; its outputs, its latency, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.kit import options
from orchestrator.cli.kit.arguments import require_engine
from orchestrator.cli.kit.command import command
from orchestrator.cli.kit.exits import FAILED
from orchestrator.cli.kit.facts import facts
from orchestrator.cli.kit.grid import Grid
from orchestrator.cli.kit.server_option import Place
from orchestrator.cli.kit.session import Session
from orchestrator.cli.kit.text import duration, finite, latency, plural
from orchestrator.cli.models.latencies import latency_head, outcome_facts
from orchestrator.documents.origins import origin_document
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.builds import RunReport
    from orchestrator.builds.label import MeasuredKernel
    from workers.messages import WarmUp

__all__ = ["run"]


@command(
    "run",
    panel=options.PANELS.MODELS,
    examples=(
        "run model.so --check model.onnx",
        "run model.so --input x=image.npy -o outputs.npz --repeat 100",
    ),
    place=Place.HERE,
)
def run(
    session: Session,
    library: Annotated[
        Path, typer.Argument(metavar="LIB.so", help="What `tunefleet build` wrote.", show_default=False)
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=FILE.npy",
            help="Values of an input; random ones, if left out. Repeat it for several.",
            show_default=False,
        ),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option("--inputs", metavar="FILE.npz", help="Inputs by name.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.npz", help="Keep the outputs.", show_default=False),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            "--params",
            metavar="FILE.npz",
            help="The weights, where `build` wrote them beside the library.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="MODEL.onnx",
            help="Compare with what onnxruntime makes of the same inputs.",
            show_default=False,
        ),
    ] = None,
    repeat: Annotated[
        int,
        typer.Option(
            "--repeat", min=0, metavar="N", help="Times measured, once they have settled; 0 for none."
        ),
    ] = 10,
    number: Annotated[
        int, typer.Option("--number", min=1, metavar="N", help="Inferences that make one time, its mean.")
    ] = 1,
    seed: options.Seed = 1,
    device: options.Board = None,
    tracker: options.Tracker = None,
) -> int:
    """Run a built library, here or on a board: its outputs, its latency, and whether they are right.

    Exit code 1 says that the outputs are not onnxruntime's.
    """
    from orchestrator.builds import read_label, run_library
    from orchestrator.devices.address import tracker_address

    session.leave_stdout_to(output)
    files = dict(_named_file(text) for text in inputs or ())
    if len(files) < len(inputs or ()):
        raise UsageError("--input names an input twice")
    engine = read_label(library).engine
    require_engine(engine)
    with session.toolbox(engine) as tools, session.steps() as steps:
        report = run_library(
            tools,
            library,
            params=params,
            inputs=files,
            archive=archive,
            seed=seed,
            repeats=repeat,
            number=number,
            check=check,
            output=output,
            device=device,
            tracker=None if device is None else tracker_address(tracker),
            say=steps,
        )
    session.emit(_document(report))
    session.show(_table(report))
    if report.saved is not None:
        session.write(Text(f"wrote {report.saved}"))
    if report.check is not None and not report.check.same_model:
        session.say(
            f"{library.name} was not built from this {Path(report.check.path).name}: the file is another",
            style="yellow",
        )
    if report.check is not None and not report.check.agree:
        session.error(f"{library.name} computes something else than onnxruntime: {report.check.reason}")
        return FAILED
    return 0


def _measured(kernels: Sequence[MeasuredKernel]) -> str:
    """Say when and where the measurements of a library were taken, and with what."""
    days = sorted({kernel.measured_at[:10] for kernel in kernels})
    hosts = sorted({kernel.host for kernel in kernels if kernel.host})
    versions = sorted({f"TVM {kernel.versions['tvm']}" for kernel in kernels if "tvm" in kernel.versions})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    parts = [
        when,
        *([f"on {', '.join(hosts)}"] if hosts else []),
        *([f"with {', '.join(versions)}"] if versions else []),
    ]
    return " ".join(parts)


def _moving(warm_up: WarmUp) -> str:
    return (
        f"times still moved after {plural(warm_up.runs, 'run')} of warming up, {duration(warm_up.seconds)}: "
        "something else may run on these cores"
    )


def _named_file(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise UsageError(f"--input {text!r} is not of the form NAME=FILE.npy")
    return name, file


def _document(report: RunReport) -> dict[str, Any]:
    """A run of a library."""
    label, check = report.label, report.check
    return {
        "library": str(report.library),
        "model": label.model,
        "engine": label.engine,
        "target": label.target,
        "device_class": label.device_class,
        "tasks_total": label.tasks_total,
        "tasks_tuned": label.tasks_tuned,
        "plan": label.plan,
        "measurements": [asdict(kernel) for kernel in label.measurements],
        "origin": origin_document(label.origin),
        "device": report.device,
        "threads": report.threads,
        "inputs": [
            {"name": s.name, "shape": list(s.shape), "dtype": s.dtype, "random": s.name not in report.given}
            for s in label.all_inputs
        ],
        "outputs": [
            {
                "name": o.name,
                "shape": list(o.shape),
                "dtype": o.dtype,
                "least": finite(o.least),
                "mean": finite(o.mean),
                "largest": finite(o.largest),
            }
            for o in report.outputs
        ],
        "median_s": report.median_s,
        "times_s": list(report.times_s),
        "warm_up": {
            "runs": report.warm_up.runs,
            "seconds": report.warm_up.seconds,
            "settled": report.warm_up.settled,
        },
        "rest": None
        if label.rest is None
        else {
            "file": label.rest.file,
            "cut_at": list(label.rest.cut_at),
            "median_s": report.rest_median_s,
            "times_s": list(report.rest_times_s),
        },
        "check": None
        if check is None
        else {
            "path": check.path,
            "same_model": check.same_model,
            "outputs_agree": check.agree,
            "disagreement": check.reason,
            "remark": check.remark,
            "max_abs": finite(check.max_abs),
            "max_rel": finite(check.max_rel),
        },
        "saved": None if report.saved is None else str(report.saved),
    }


def _table(report: RunReport) -> RenderableType:
    """What a library returned, how fast, and whether it is right."""
    label, check = report.label, report.check
    head = latency_head(label.model, label.device_class)
    head.append(f", {plural(report.threads, 'thread')}, {label.engine}", style="not bold dim")
    right = ("least", "mean", "largest")
    grid = Grid("output", "shape", "type", *right, right=right, flexible=("output",))
    for output in report.outputs:
        numbers = ("-" if n is None else f"{n:.6g}" for n in (output.least, output.mean, output.largest))
        grid.add(output.name, "x".join(map(str, output.shape)) or "scalar", output.dtype, *numbers)
    pairs: list[tuple[str, RenderableType]] = []
    if report.median_s is not None:
        spread = f"from {latency(min(report.times_s))} to {latency(max(report.times_s))}"
        pairs.append(
            ("one run", f"{latency(report.median_s)}, median of {len(report.times_s)} times {spread}")
        )
        if not report.warm_up.settled:
            pairs.append(("not settled", _moving(report.warm_up)))
    if label.rest is not None:
        rest = f"{label.rest.file} in onnxruntime"
        if report.rest_median_s is not None:
            rest += f", {latency(report.rest_median_s)} more"
        pairs.append(("followed by", f"{rest}; from {', '.join(label.rest.cut_at[:2])} on"))
    if check is not None:
        pairs += outcome_facts(check.agree, check.reason, check.max_abs, check.max_rel, check.remark)
    random = [spec.name for spec in label.all_inputs if spec.name not in report.given]
    if random:
        pairs.append(("random inputs", ", ".join(random)))
    pairs.append(("tasks tuned", f"{label.tasks_tuned} of {label.tasks_total}"))
    if label.tasks_tuned:
        pairs.append(("records", label.plan))
    if label.measurements:
        pairs.append(("measured", _measured(label.measurements)))
    if label.origin is not None:
        pairs.append(("converted from", str(label.origin)))
    return Group(head, "", grid.table(), "", facts(pairs), "")
