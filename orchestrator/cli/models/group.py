"""The commands of this folder, and where they stand in the help."""

from __future__ import annotations

import typer

from orchestrator.cli.kit import options
from orchestrator.cli.kit.command import command
from orchestrator.cli.models.bench import bench
from orchestrator.cli.models.best import best
from orchestrator.cli.models.build import build
from orchestrator.cli.models.run import run
from orchestrator.cli.models.tasks import tasks

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = options.PANELS.MODELS
    command(
        app, "tasks", panel=panel, examples=("tasks model.onnx", "tasks model.onnx --tasks conv2d --json")
    )(tasks)
    command(
        app,
        "best",
        panel=panel,
        examples=(
            "best model.onnx --no-trace",
            "best model.onnx --tasks conv2d --top 3",
            "best --workload 3f0a91 --json",
            "best --device znver4 --sort slowest --limit 0",
        ),
    )(best)
    command(
        app,
        "build",
        panel=panel,
        examples=(
            "build model.onnx -o model.so",
            "build model.onnx -o model.so --params model.npz --require-complete",
        ),
    )(build)
    command(
        app,
        "bench",
        panel=panel,
        examples=(
            "bench model.onnx",
            "bench model.onnx --json",
            "bench model.onnx --device rpi4 --target 'llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 "
            "-num-cores=4' --tracker 10.0.0.10:9190",
        ),
    )(bench)
    command(
        app,
        "run",
        panel=panel,
        examples=(
            "run model.so --check model.onnx",
            "run model.so --input x=image.npy -o outputs.npz --repeat 100",
        ),
    )(run)
