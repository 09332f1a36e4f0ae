"""Models, stored and uploaded, as documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.documents.origins import origin_document
from orchestrator.documents.text import instant

if TYPE_CHECKING:
    from orchestrator.storage import ModelDeviceRow, ModelRow
    from workers.messages import TensorSpec

__all__ = ["model_document", "upload_document"]


def model_document(row: ModelRow, devices: Sequence[ModelDeviceRow] | None = None) -> dict[str, Any]:
    """What a model is; with the device classes it was taken apart for where they are given."""
    document: dict[str, Any] = {
        "id": row.id,
        "sha256": row.sha256,
        "shapes_key": row.shapes_key,
        "name": row.name,
        "path": row.path,
        "inputs": [_tensor(one) for one in row.inputs],
        "outputs": [_tensor(one) for one in row.outputs],
        "changes": list(row.changes),
        "origin": origin_document(row.origin),
        "created_at": instant(row.created_at),
    }
    if devices is not None:
        document["device_classes"] = [
            {
                "device_class": one.device_class,
                "engine": one.engine,
                "engine_version": one.engine_version,
                "tasks": one.tasks,
                "tasks_timed": one.tasks_timed,
            }
            for one in devices
        ]
    return document


def upload_document(
    sha256: str, name: str, size_bytes: int, inputs: Sequence[dict[str, Any]], *, known: bool
) -> dict[str, Any]:
    """A file that was uploaded; a dimension of an input that is open is None."""
    return {
        "sha256": sha256,
        "name": name,
        "size_bytes": size_bytes,
        "known": known,
        "inputs": [dict(one) for one in inputs],
    }


def _tensor(one: TensorSpec) -> dict[str, Any]:
    return {"name": one.name, "shape": list(one.shape), "dtype": one.dtype}
