"""Samples for the cost model, as bytes: features of candidates, and what these cost, by their workload."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Group", "packed", "unpacked"]

#: Device class and hash of a workload, as a name; features of its candidates, each (stores, features); and
#: what they cost, in seconds.
Group = tuple[str, list[npt.NDArray[Any]], npt.NDArray[Any]]


def packed(groups: Sequence[Group], dtype: str = "float32") -> bytes:
    """Write samples of one or several workloads as bytes.

    Parameters
    ----------
    dtype : str, optional
        Of the features; halves are half as large, and nearly all features are logarithms.
    """
    buffer = io.BytesIO()
    features = [one for _, many, _ in groups for one in many]
    np.savez(
        buffer,
        groups=np.array([name for name, _, _ in groups]),
        sizes=np.array([len(many) for _, many, _ in groups]),
        lengths=np.array([len(one) for one in features]),
        features=np.concatenate(features).astype(dtype),
        costs=np.concatenate([costs for _, _, costs in groups]).astype("float32"),
    )
    return buffer.getvalue()


def unpacked(samples: bytes) -> Iterator[Group]:
    """Read what :func:`packed` wrote, one workload after the other."""
    with np.load(io.BytesIO(samples)) as data:
        features = np.split(data["features"].astype("float32"), np.cumsum(data["lengths"])[:-1])
        costs, begin = data["costs"], 0
        for name, size in zip(data["groups"].tolist(), data["sizes"].tolist(), strict=True):
            yield str(name), list(features[begin : begin + size]), costs[begin : begin + size]
            begin += size
