"""Where tuned models' time goes, as tables in Markdown: ``tunefleet profile`` on several of them.

::

    python -m benchmarks.latency --trials 400 --db bench.db light_squeezenet
    python -m benchmarks.gaps --db bench.db light_squeezenet
"""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

from benchmarks.model_zoo import ZOO, located
from benchmarks.trials_per_hour import show
from orchestrator import ModelRequest, Storage, Toolbox
from orchestrator.builds.profile import profile_model
from orchestrator.documents.profile import profile_document, shown_tasks


def table(document: dict[str, Any], least: float = 0.01) -> str:
    """Write a profile's tasks as a table in Markdown, those first that lose most against onnxruntime.

    Parameters
    ----------
    document : dict
        See :func:`orchestrator.documents.profile.profile_document`.
    least : float, optional
        Tasks with a smaller share of the time are summed up.
    """
    total, reference = document["kernels_s"], document["reference_kernels_s"]
    lines = [
        f"| {document['model']}: task | calls | ms | share | GFLOP/s | alone ms | onnxruntime ms | ratio | "
        "lost ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    large, small = shown_tasks(document, least)
    for task in large:
        theirs, against = task["reference_s"], ("-", "-", "-")
        if theirs is not None:
            against = (_ms(theirs), f"{task['inside_s'] / theirs:.2f}", _ms(task["lost_s"]))
        speed = f"{task['gflops']:.1f}" if task["gflops"] else "-"
        lines.append(
            f"| {task['name']} | {task['calls']} | {_ms(task['inside_s'])} | {task['share']:.1%} | {speed} | "
            f"{_ms(task['alone_s'])} | {' | '.join(against)} |"
        )
    if small:
        inside = sum(task["inside_s"] for task in small)
        lines.append(
            f"| {len(small)} smaller ones | {sum(task['calls'] for task in small)} | {_ms(inside)} | "
            f"{inside / total:.1%} | | | {_ms(sum(task['reference_s'] or 0.0 for task in small))} | | "
            f"{_ms(sum(task['lost_s'] for task in small))} |"
        )
    lines += [
        "| nodes of onnxruntime without a counterpart | | | | | | "
        f"{_ms(document['reference_unmatched_s'])} | | |",
        f"| all kernels | | {_ms(total)} | | | | {_ms(reference)} | {total / reference:.2f} | "
        f"{_ms(total - reference)} |",
        f"| a run | | {_ms(document['run_s'])} | | | | {_ms(document['reference_run_s'])} | "
        f"{document['run_s'] / document['reference_run_s']:.2f} | |",
    ]
    return "\n".join(lines)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.3f}"


def main() -> None:
    """Profile each model, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help=f"files, or {', '.join(sorted(ZOO))}")
    parser.add_argument("--db", default="bench.db", help="store with the models' records (%(default)s)")
    parser.add_argument("--least", type=float, default=0.01, help="share below which tasks are summed up")
    parser.add_argument("--output", type=pathlib.Path, help="write the documents there, as JSON")
    parser.add_argument("--markdown", type=pathlib.Path, help="write what is printed there as well")
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    with Storage.open(options.db, create=False) as store, Toolbox("metaschedule") as tools:
        for model in options.models:
            path, shapes = located(model)
            report = profile_model(store, tools, ModelRequest(path=path, shapes=shapes))
            found.append(profile_document(report))
            if options.output:
                options.output.write_text(json.dumps(found, indent=1) + "\n")
    show("\n\n".join(table(document, options.least) for document in found), options)


if __name__ == "__main__":
    main()
