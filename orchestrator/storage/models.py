"""Prepared models: what a file was, under which input shapes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    select,
    update,
)

from orchestrator.errors import NotFoundError
from orchestrator.storage._group import Group
from orchestrator.storage._ids import (
    put_row,
    storable,
)
from orchestrator.storage._tables import (
    Model,
)
from orchestrator.storage.rows import (
    ModelRow,
)
from workers.messages import (
    Origin,
    PreparedModel,
    TensorSpec,
)

__all__ = ["Models"]


class Models(Group):
    """Models, without their bytes. Written by anyone; to put one twice changes nothing."""

    def put(self, model: PreparedModel, path: str, shapes_key: str = "") -> int:
        """Store a prepared model (not its bytes) and return its id.

        Parameters
        ----------
        path : str
            Where the file was; a known model remembers the last place.
        shapes_key : str
            Names the input shapes that were asked for: other shapes make another model.
        """
        values: dict[str, Any] = {
            "sha256": model.sha256,
            "shapes_key": shapes_key,
            "name": storable(model.name),
            "path": storable(path),
            "inputs": [_tensor_json(t) for t in model.inputs],
            "outputs": [_tensor_json(t) for t in model.outputs],
            "changes": [storable(change) for change in model.changes],
        }
        if model.origin is not None:
            values |= {name: storable(text) for name, text in asdict(model.origin).items()}

        def work(connection: Connection) -> int:
            model_id = put_row(connection, Model, ("sha256", "shapes_key"), values)
            connection.execute(
                update(Model)
                .where(Model.id == model_id, Model.path != values["path"])
                .values(path=values["path"], name=values["name"])
            )
            return model_id

        return self._database.write(work)

    def find(self, sha256: str, shapes_key: str = "") -> ModelRow | None:
        """Look a model up by what it is; None where it isn't stored."""
        query = _models().where(Model.sha256 == sha256, Model.shapes_key == shapes_key)
        row = self._database.read(lambda c: c.execute(query).one_or_none())
        return None if row is None else _model_row(row)

    def of_file(self, sha256: str) -> list[ModelRow]:
        """Return what a file was stored as: a model for each of the input shapes that were asked for."""
        query = _models().where(Model.sha256 == sha256).order_by(Model.id)
        return [_model_row(row) for row in self._database.read(lambda c: c.execute(query).all())]

    def get(self, model_id: int) -> ModelRow:
        """Return a model; :class:`NotFoundError` where there is none of that id."""
        row = self._database.read(lambda c: c.execute(_models().where(Model.id == model_id)).one_or_none())
        if row is None:
            raise NotFoundError(f"no model {model_id} is stored")
        return _model_row(row)

    def alike(self, model_id: int) -> list[int]:
        """Return the models that may be another version of a model: of its name, inputs and outputs.

        The model itself is the first of them.
        """
        model = self.get(model_id)
        query = _models().where(Model.name == model.name, Model.id != model_id).order_by(Model.id.desc())
        others = map(_model_row, self._database.read(lambda c: c.execute(query).all()))
        return [model_id, *(other.id for other in others if _interface(other) == _interface(model))]

    def newest(self, limit: int) -> list[ModelRow]:
        """Return the models that were stored last, the newest first."""
        query = _models().order_by(Model.id.desc()).limit(limit)
        return [_model_row(row) for row in self._database.read(lambda c: c.execute(query).all())]


def _interface(model: ModelRow) -> list[tuple[str, tuple[int, ...], str]]:
    return [(tensor.name, tensor.shape, tensor.dtype) for tensor in (*model.inputs, *model.outputs)]


def _models() -> Select[Any]:
    return select(*Model.__table__.c)


def _model_row(row: Any) -> ModelRow:
    return ModelRow(
        id=row.id,
        sha256=row.sha256,
        shapes_key=row.shapes_key,
        name=row.name,
        path=row.path,
        inputs=tuple(TensorSpec.of(t) for t in row.inputs),
        outputs=tuple(TensorSpec.of(t) for t in row.outputs),
        changes=tuple(row.changes),
        created_at=row.created_at,
        origin=Origin(row.source, row.framework, row.exporter) if row.source else None,
    )


def _tensor_json(tensor: TensorSpec) -> dict[str, Any]:
    return {
        "name": storable(tensor.name),
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "values": list(tensor.values),
    }
