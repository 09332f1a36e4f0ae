"""Where a model's time goes, kernel by kernel, as a document, and as a trace that browsers show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.documents.origins import origin_document

if TYPE_CHECKING:
    from orchestrator.builds.profile import ProfileReport
    from workers.messages import Call

__all__ = ["chrome_trace", "profile_document", "shown_tasks"]

# The two sides are shown as processes, one above the other.
_OURS, _THEIRS = 1, 2


def profile_document(report: ProfileReport) -> dict[str, Any]:
    """Where a model's time goes."""
    total = report.kernels_s
    return {
        "model": report.model,
        "device_class": report.device_class,
        "threads": report.threads,
        "origin": origin_document(report.origin),
        "tasks_total": report.tasks_total,
        "tasks_tuned": report.tasks_tuned,
        "run_s": report.run_s,
        "kernels_s": total,
        "between_s": report.between_s,
        "reference_run_s": report.reference_run_s,
        "reference_kernels_s": report.reference_kernels_s,
        "reference_unmatched_s": report.unmatched_s,
        "tasks": [
            {
                "name": gap.name,
                "workload_hash": gap.workload_hash or None,
                "calls": gap.calls,
                "inside_s": gap.seconds,
                "share": gap.seconds / total if total else None,
                "gflops": gap.gflops,
                "alone_s": gap.alone_s,
                "reference_s": gap.reference_s,
                "lost_s": gap.lost_s,
            }
            for gap in report.gaps
        ],
        "reference_nodes": [
            {"name": node.name, "calls": node.calls, "inside_s": node.seconds, "does": node.does or None}
            for node in report.nodes
        ],
        "calls": [_call(call) | {"workload_hash": report.workloads.get(call.name)} for call in report.calls],
        "reference_calls": [_call(call) for call in report.reference_calls],
    }


def _call(call: Call) -> dict[str, Any]:
    return {"name": call.name, "began_s": call.began_s, "took_s": call.seconds}


def shown_tasks(document: dict[str, Any], least: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Divide the tasks of a document into those worth a line, and those that are summed up.

    Parameters
    ----------
    least : float
        The part of the time of all kernels that a task takes, or loses against onnxruntime, to be worth one.
    """
    limit = least * document["kernels_s"]
    large = [t for t in document["tasks"] if t["inside_s"] >= limit or t["lost_s"] >= limit]
    small = [t for t in document["tasks"] if not (t["inside_s"] >= limit or t["lost_s"] >= limit)]
    return large, small


def chrome_trace(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document's calls as events for chrome://tracing, Perfetto and their like.

    The format is Google's Trace Event Format: complete events (``X``), in microseconds. The library and
    onnxruntime are shown as two processes that begin at the same moment.
    """
    names = {task["workload_hash"]: task["name"] for task in document["tasks"] if task["workload_hash"]}
    speeds = {task["workload_hash"]: task["gflops"] for task in document["tasks"] if task["workload_hash"]}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": pid, "tid": 1, "args": {"name": name}}
        for pid, name in ((_OURS, f"{document['model']}, tuned"), (_THEIRS, "onnxruntime"))
    ]
    for pid, calls in ((_OURS, document["calls"]), (_THEIRS, document["reference_calls"])):
        for call in calls:
            task = call.get("workload_hash")
            events.append(
                {
                    "ph": "X",
                    "name": call["name"],
                    "cat": "kernel" if pid == _OURS else "node",
                    "pid": pid,
                    "tid": 1,
                    "ts": call["began_s"] * 1e6,
                    "dur": call["took_s"] * 1e6,
                    "args": {"task": names.get(task), "workload": task, "GFLOP/s": speeds.get(task)}
                    if task
                    else {},
                }
            )
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"model": document["model"], "device_class": document["device_class"]},
    }
