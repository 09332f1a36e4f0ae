"""Preparing models and running the reference, as an engine process of its own.

ONNX libraries and onnxruntime crash and leak too, and onnxruntime's thread pool must not live in a process
that forks TVM. So they are called like an engine; see :mod:`workers.process.host`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workers.errors import ModelError, TunefleetError
from workers.messages import (
    Array,
    Baton,
    ModelRun,
    ModelTiming,
    Origin,
    PrecisionFound,
    PrecisionRequest,
    PreparedModel,
    Profile,
    TensorSpec,
)
from workers.process.host import stage

if TYPE_CHECKING:
    from workers.models import Burden, OriginalCheck, OutputDifference

__all__ = ["ENGINE", "Reference"]

# Of what a library says of its failure: some write a whole model.
_WORDS = 300


class Reference:
    """onnxruntime and the model preparation behind plain calls."""

    def prepare(
        self, path: str, shapes: Mapping[str, tuple[int, ...]], folder: str | None = None
    ) -> PreparedModel:
        """Make an ONNX file ready for an engine; see :func:`workers.models.prepare`."""
        from workers.models import prepare

        stage(f"preparing {pathlib.Path(path).name}")
        try:
            return prepare(path, shapes, folder)
        except TunefleetError as error:
            if "\n" not in str(error):
                raise
            # Of a name in the file that breaks its line.
            raise type(error)("\\n".join(str(error).splitlines())) from error
        except MemoryError as error:
            raise ModelError(f"{path} asks for more memory than there is: {error}") from error
        # A damaged file may fail anywhere in the libraries that read it, and say so in their words alone.
        except Exception as error:
            words = " ".join(str(error).split())[:_WORDS] or "no message"
            raise ModelError(
                f"{path} can't be prepared: {type(error).__name__}: {words}; it is damaged, or holds what "
                "was not foreseen: where onnxruntime runs it, please report it with the file"
            ) from error

    def random_inputs(self, specs: Sequence[TensorSpec], seed: int) -> dict[str, Array]:
        """Draw values that any model takes; see :func:`workers.models.random_inputs`."""
        from workers.models import random_inputs

        return random_inputs(specs, seed)

    def reference_run(self, model: PreparedModel, inputs: Mapping[str, Array], threads: int) -> list[Array]:
        """Return what onnxruntime makes of a model's inputs; see :func:`workers.models.run_reference`."""
        from workers.models import run_reference

        return run_reference(model.onnx, inputs, threads)

    def reference_timing(
        self,
        model: PreparedModel,
        inputs: Mapping[str, Array],
        threads: int,
        repeats: int,
        settle_s: float = 1.0,
        least_s: float = 0.5,
        baton: Baton | None = None,
    ) -> ModelTiming:
        """Time onnxruntime on a model; see :func:`workers.models.time_reference`."""
        from workers.models import time_reference

        return time_reference(
            model.onnx, inputs, threads, repeats, settle_s=settle_s, least_s=least_s, baton=baton
        )

    def known_kernel_s(self, threads: int) -> float:
        """Time the kernel that tells slow minutes; see :func:`workers.models.known_kernel_s`."""
        from workers.models import known_kernel_s

        return known_kernel_s(threads)

    def reference_profile(
        self, model: PreparedModel, inputs: Mapping[str, Array], threads: int, repeats: int
    ) -> Profile:
        """Time onnxruntime's nodes one by one; see :func:`workers.models.profile_reference`."""
        from workers.models import profile_reference

        return profile_reference(model.onnx, inputs, threads, repeats)

    def run_rest(self, onnx: bytes, inputs: Mapping[str, Array], threads: int, repeats: int) -> ModelRun:
        """Run and time what of a model lies behind the cut; see :class:`workers.messages.Rest`."""
        from workers.models import run_reference, time_reference

        outputs = tuple(run_reference(onnx, inputs, threads, optimize=True))
        return ModelRun(outputs, time_reference(onnx, inputs, threads, repeats).times if repeats else ())

    def judge(
        self,
        model: PreparedModel,
        inputs: Mapping[str, Array],
        outputs: Sequence[Array],
        reference: Sequence[Array],
    ) -> OutputDifference:
        """Compare a model's outputs with the reference's; see :func:`workers.models.judge`."""
        from workers.models import judge

        names = [spec.name for spec in model.outputs]
        return judge(model.onnx, inputs, outputs, reference, names)

    def check_original(
        self,
        path: str,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        threads: int,
    ) -> OriginalCheck:
        """Compare outputs with what a file makes of the inputs; see :func:`workers.models.check_original`."""
        from workers.models import check_original

        return check_original(path, inputs, outputs, threads)

    def adopt(self, path: str, target: str, origin: Origin) -> list[str]:
        """Make an exporter's file one to keep; see :func:`workers.models.adopt`."""
        from workers.models import adopt

        return adopt(path, target, origin)

    def to_precision(self, request: PrecisionRequest) -> PrecisionFound:
        """Write a model in another precision; see :func:`workers.models.to_precision`."""
        from workers.models import to_precision

        stage(f"converting {pathlib.Path(request.path).name} to {request.precision.value}")
        try:
            return to_precision(request)
        except TunefleetError:
            raise
        except MemoryError as error:
            raise ModelError(f"{request.path} asks for more memory than there is: {error}") from error
        # The tools that convert raise whatever their internals do.
        except Exception as error:
            words = " ".join(str(error).split())[:_WORDS] or "no message"
            raise ModelError(
                f"{request.path} can't be converted to {request.precision.value}: {type(error).__name__}: "
                f"{words}; please report it with the file, and take --precision float32 meanwhile"
            ) from error

    def burden(self, model: PreparedModel) -> Burden:
        """Count what is left of a model; see :func:`workers.models.burden`."""
        from workers.models import burden

        return burden(model)

    def expose(self, model: PreparedModel) -> PreparedModel:
        """Have a model show all it computes on the way; see :func:`workers.models.expose`."""
        from workers.models import expose

        return expose(model)

    def maker_of(self, model: PreparedModel, output: str) -> str:
        """Say which node makes a value; see :func:`workers.models.maker_of`."""
        from workers.models import maker_of

        return maker_of(model, output)

    def tolerance(self, model: PreparedModel) -> float:
        """Say how far a model's floats may be off; see :func:`workers.models.tolerance`."""
        import onnx

        from workers.models import tolerance

        return tolerance(onnx.load_from_string(model.onnx))

    def output_steps(self, model: PreparedModel) -> tuple[float, ...]:
        """Return the quantization step of each output; see :func:`workers.models.output_steps`."""
        import onnx

        from workers.models import output_steps

        return output_steps(onnx.load_from_string(model.onnx))

    def compare(
        self, spec: TensorSpec, output: Array, reference: Array, rtol: float, step: float = 0.0
    ) -> OutputDifference:
        """Compare one value; see :func:`workers.models.compare`."""
        from workers.models import compare

        return compare([output], [reference], names=[spec.name], rtol=rtol, steps=[step])

    def reference_versions(self) -> dict[str, str]:
        """Return the versions of the libraries."""
        import onnx
        import onnxruntime

        return {"onnx": str(onnx.__version__), "onnxruntime": str(onnxruntime.__version__)}


class ReferenceProcess:
    """What runs in that process: no engine, for it tunes nothing, but called like one."""

    def __init__(self) -> None:
        self.reference = Reference()

    def warm(self, role: str) -> None:
        """Import what the forks need."""
        from workers import models  # noqa: F401


ENGINE = ReferenceProcess()
