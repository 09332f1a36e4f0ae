"""A model as it is asked for: its file and the shapes of its inputs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["ModelRequest"]


class ModelRequest(BaseModel):
    """A model file, and the shapes its dynamic inputs get.

    Attributes
    ----------
    path : str
        Absolute path of the ONNX file.
    shapes : dict of str to tuple of int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    shapes: dict[str, tuple[int, ...]] = {}

    @property
    def shapes_key(self) -> str:
        """Return the shapes as one canonical text."""
        return ";".join(f"{name}:{','.join(map(str, dims))}" for name, dims in sorted(self.shapes.items()))
