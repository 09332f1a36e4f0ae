"""From a candidate to a shared library, by gcc."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile

from workers.enginekit.roles import NoComparison
from workers.errors import EngineError
from workers.messages import Artifact, Candidate, Workload
from workers.process.host import stage

from .products import Blocks, Product, compute

__all__ = ["ToyBuild", "compiled"]


def compiled(source: str) -> bytes:
    """Return C as a shared library for this machine.

    Raises
    ------
    EngineError
        With what gcc said.
    """
    stage("compiling")
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        code, library = pathlib.Path(folder, "code.c"), pathlib.Path(folder, "code.so")
        code.write_text(source)
        done = subprocess.run(
            ["gcc", "-O2", "-march=native", "-shared", "-fPIC", "-o", str(library), str(code)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise EngineError(f"gcc refused it: {done.stderr.strip()[:500]}")
        return library.read_bytes()


class ToyBuild(NoComparison):
    """See :class:`workers.enginekit.roles.Build`."""

    def build(self, workload: Workload, target: str, candidate: Candidate) -> Artifact:
        """Compile one candidate."""
        del target
        stage("reading the candidate")
        source = compute("product", Product.of(workload), Blocks.of(candidate))
        return Artifact(compiled(source), ".so", workload.module.decode())

    def describe(self, workload: Workload, candidate: Candidate | None = None) -> str:
        """Return the shape, or the loops."""
        product = Product.of(workload)
        if candidate is None:
            return f"({product.rows}, {product.depth}) @ ({product.depth}, {product.columns})"
        return compute("product", product, Blocks.of(candidate)).strip()
