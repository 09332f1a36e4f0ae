"""onnxruntime and the preparation of models, in a process of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.clients import limits
from workers.clients.client import Client, ask, start
from workers.clients.turns import cores_in_use
from workers.messages import Array, Baton, PreparedModel
from workers.reference import Reference

__all__ = ["ReferenceClient"]


def _all_cores(
    model: PreparedModel,
    inputs: Mapping[str, Array],
    threads: int,
    repeats: int,
    settle_s: float = 1.0,
    least_s: float = 0.5,
    baton: Baton | None = None,
) -> Sequence[str]:
    return cores_in_use(0)


class ReferenceClient(Client):
    """See :class:`workers.reference.Reference`."""

    prepare_in = ask(Reference.prepare, limits.PREPARE)
    random_inputs = ask(Reference.random_inputs, limits.ASK)
    reference_run = ask(Reference.reference_run, limits.RUN)
    reference_timing = ask(Reference.reference_timing, limits.RUN, _all_cores)
    #: In turns with something else; who asks for both has the cores.
    begin_reference_timing = start(Reference.reference_timing, limits.RUN)
    reference_profile = ask(Reference.reference_profile, limits.RUN, _all_cores)
    known_kernel_s = ask(Reference.known_kernel_s, limits.ASK, lambda threads: cores_in_use(0))
    run_rest = ask(Reference.run_rest, limits.RUN)
    judge = ask(Reference.judge, limits.RUN)
    tolerance = ask(Reference.tolerance, limits.ASK)
    output_steps = ask(Reference.output_steps, limits.ASK)
    compare = ask(Reference.compare, limits.RUN)
    check_original = ask(Reference.check_original, limits.PREPARE)
    adopt = ask(Reference.adopt, limits.PREPARE)
    to_precision = ask(Reference.to_precision, limits.QUANTIZE)
    burden = ask(Reference.burden, limits.ASK)
    expose = ask(Reference.expose, limits.PREPARE)
    maker_of = ask(Reference.maker_of, limits.ASK)
    reference_versions = ask(Reference.reference_versions, limits.ASK)
