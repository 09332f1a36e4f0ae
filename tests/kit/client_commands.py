"""What somebody does with a service from a laptop, one command after the other."""

from __future__ import annotations

from pathlib import Path

__all__ = ["WITHOUT", "commands"]

#: What a client has none of.
WITHOUT = (
    *("tvm", "tvm_ffi", "ray", "xgboost", "numpy", "onnx", "onnxruntime", "onnxslim", "psutil", "tornado"),
    *("cloudpickle", "fastapi", "starlette", "uvicorn", "jinja2", "prometheus_client", "psycopg"),
)


def commands(folder: Path) -> list[list[str]]:
    """Return commands that a service answers, on a store with a tuned campaign 1.

    There is a ``net.onnx`` in the folder, which they submit.
    """
    model = str(folder / "net.onnx")
    return [
        ["submit", model, "--trials", "10", "--name", "mine"],
        ["tune", model, "--detach"],
        ["list"],
        ["show", "1", "--plot"],
        ["watch", "1"],
        ["trials", "1", "--limit", "3"],
        ["pause", "mine"],
        ["resume", "mine"],
        ["priority", "mine", "2"],
        ["cancel", "mine"],
        ["best"],
        ["best", "1", "--no-trace"],
        ["history", "1"],
        ["history", "--workload", "0001", "--json"],
        ["slowest", "1"],
        ["failures"],
        ["failures", "--campaign", "1"],
        ["devices"],
        ["records", "stats"],
        ["records", "export", "-o", str(folder / "all.jsonl.gz")],
        ["records", "import", str(folder / "all.jsonl.gz")],
        ["report", "1", "-o", str(folder / "report.html")],
    ]
