"""Matrix products, the ways to compute them, and the C of both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from workers.messages import Candidate, Workload

from .traits import NAME

__all__ = ["Blocks", "Product", "compute"]


@dataclass(frozen=True)
class Blocks:
    """A candidate: how many rows, columns and summands are worked on at a time."""

    rows: int
    columns: int
    depth: int

    def candidate(self) -> Candidate:
        """Return it as it is stored."""
        trace = json.dumps(asdict(self))
        return Candidate(hashlib.sha256(trace.encode()).hexdigest()[:32], trace)

    @staticmethod
    def of(candidate: Candidate) -> Blocks:
        """Read a candidate.

        Raises
        ------
        ValueError, TypeError
            It is none.
        """
        blocks = Blocks(**json.loads(candidate.trace))
        if min(blocks.rows, blocks.columns, blocks.depth) < 1:
            raise ValueError(f"a block has at least one element: {candidate.trace}")
        return blocks


@dataclass(frozen=True)
class Product:
    """A workload: ``(rows, depth) @ (depth, columns)`` of 32-bit floats."""

    rows: int
    depth: int
    columns: int

    def workload(self) -> Workload:
        """Return it as it is stored. Its name is the same in every process, whatever model it came from."""
        module = json.dumps(asdict(self)).encode()
        digest = hashlib.sha256(b"toy product " + module).hexdigest()[:32]
        return Workload(digest, NAME, "product", 2.0 * self.rows * self.depth * self.columns, module)

    @staticmethod
    def of(workload: Workload) -> Product:
        """Read a workload."""
        return Product(**json.loads(workload.module))


def compute(name: str, product: Product, blocks: Blocks) -> str:
    """Return the C of a function ``void name(const float *x, const float *w, float *y)``."""
    return f"""
void {name}(const float *restrict x, const float *restrict w, float *restrict y) {{
  enum {{ M = {product.rows}, K = {product.depth}, N = {product.columns} }};
  for (int i = 0; i < M * N; i++) y[i] = 0.0f;
  for (int i0 = 0; i0 < M; i0 += {blocks.rows})
    for (int k0 = 0; k0 < K; k0 += {blocks.depth})
      for (int j0 = 0; j0 < N; j0 += {blocks.columns})
        for (int i = i0; i < M && i < i0 + {blocks.rows}; i++)
          for (int k = k0; k < K && k < k0 + {blocks.depth}; k++)
            for (int j = j0; j < N && j < j0 + {blocks.columns}; j++)
              y[i * N + j] += x[i * K + k] * w[k * N + j];
}}
"""
