"""Targets: from what a person writes to TVM's canonical JSON, and to the device class."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from typing import Any

import tvm
from tvm.target import Target, codegen

from workers.enginekit.cuda import compiler_version
from workers.enginekit.machine import (
    apart,
    architecture,
    cpu_flags,
    cpu_model,
    own_triple,
    slug,
    usable_cores,
)
from workers.enginekit.nvidia import driver_version
from workers.enginekit.rpc import answers
from workers.engines.metaschedule.traits import NAME, SAMPLES
from workers.errors import TargetError
from workers.messages import Candidate, DeviceInfo, Endpoint, Workload

__all__ = [
    "MetaScheduleTargets",
    "cpu_features",
    "parse_target",
    "resolve_target",
    "same_device",
    "triple_of",
    "unfit_for",
    "vector_bits",
    "vector_registers",
]

# Of every GPU that TVM has a tag for since sm_30, and what a kernel may use that doesn't ask for more: CUDA
# C++ Programming Guide, "Technical Specifications per Compute Capability".
_BLOCK_LIMITS = {
    "max_shared_memory_per_block": 49152,
    "max_threads_per_block": 1024,
    "registers_per_block": 65536,
}


def parse_target(spec: str) -> Target:
    """Make a TVM target from its JSON, from a kind or tag, or from the older command-line form.

    TVM 0.27 dropped the form ``llvm -mcpu=znver4 -num-cores=2``, which its users still know.

    Raises
    ------
    TargetError
        Where TVM doesn't know it.
    """
    text = spec.strip()
    if not text:
        raise TargetError("the target is empty; --target auto finds this machine's own")
    try:
        target = Target(json.loads(text) if text.startswith("{") else _from_options(text))
    except json.JSONDecodeError as error:
        raise TargetError(f"target {spec!r} is not valid JSON: {error}") from None
    except (ValueError, TypeError, RuntimeError) as error:
        raise TargetError(f"TVM doesn't know the target {spec!r}: {_first_line(error)}") from None
    if target.kind.name == "cuda" and "arch" in target.attrs:
        target = _with_limits(target)
    mcpu = target.attrs.get("mcpu")
    # TVM itself takes any -mcpu and falls back to a generic one with a warning, so that a misspelt CPU would
    # tune for another machine.
    triple = str(target.attrs.get("mtriple") or codegen.llvm_get_system_triple())
    if target.kind.name == "llvm" and mcpu and not codegen.llvm_is_valid_cpu(str(mcpu), triple):
        raise TargetError(
            f"LLVM knows no CPU {str(mcpu)!r} in target {spec!r}; "
            "--target auto finds this machine's own, `llc -march=x86-64 -mcpu=help` lists them"
        )
    return target


def _with_limits(target: Target) -> Target:
    """Return a CUDA target that says how much a block of threads may use, which its searches ask for."""
    lacking = {name: value for name, value in _BLOCK_LIMITS.items() if name not in target.attrs}
    return Target({**_exported(target), **lacking}) if lacking else target


def resolve_target(spec: str) -> DeviceInfo:
    """Return the device that `spec` means; see :meth:`workers.enginekit.roles.Targets.resolve_target`."""
    # It asks for the abilities of CPUs here.
    from workers.engines.metaschedule.dot_products import bfloat_products_of, dot_products_of

    auto = spec == "auto"
    target = Target({**_own_cpu(), "num-cores": usable_cores()}) if auto else parse_target(spec)
    kind = target.kind.name
    if kind == "llvm":
        cores = cores_of(target)
        if "num-cores" not in target.attrs:
            # MetaSchedule's rules refuse a CPU target without it.
            target = Target({**_exported(target), "num-cores": cores})
        unfit = _unfit_cpu(target, cores)
        model = "unknown" if unfit else cpu_model()
        short = f"{target.attrs.get('mcpu', 'generic')}-{cores}c"
        device = "cpu"
    else:
        cores = 0
        try:
            found = tvm.device(kind, 0)
        except ValueError:  # its name for a kind that only writes source, or is for tests
            raise TargetError(
                f"target {spec!r} is of a kind that no device runs as it is ({kind}), so that nothing can be "
                "measured for it: take llvm for a CPU, with -mtriple for another than this one, or cuda"
            ) from None
        unfit = _unfit_gpu(target, found.compute_version) if found.exist else f"no {kind} device answers here"
        if unfit and "arch" not in spec and not spec.startswith("nvidia/") and kind == "cuda":
            # TVM would take its oldest known GPU.
            raise TargetError(f"{unfit}, so that the target has to say for which it is: cuda -arch=sm_90")
        model = str(found.device_name) if found.exist else "unknown"
        short = str(target.attrs.get("arch", kind))
        device = kind
    text = json.dumps(_exported(target), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return DeviceInfo(
        target=text,
        device_class=f"{short}-{digest}@{slug(model)}",
        model=model,
        cores=cores,
        kind=device,
        unfit=unfit,
        versions={"tvm": tvm.__version__, **_driver(kind, unfit)},
        integers=next((dot.instruction for dot in dot_products_of(target)), ""),
        bfloats=next((dot.instruction for dot in bfloat_products_of(target)), ""),
        samples=SAMPLES.format(vector_bits(target)) if kind == "llvm" else "",
    )


def _driver(kind: str, unfit: str) -> dict[str, str]:
    """Return what makes and runs code for a GPU here, with versions; nothing of what can't be told."""
    if kind != "cuda" or unfit:
        return {}
    told = {"driver": driver_version(), "compiler": compiler_version()}
    return {name: version for name, version in told.items() if version}


def same_device(one: Target, other: Target) -> bool:
    """Say whether two targets mean the same device, whatever host and name (tag) they carry."""
    first, second = (
        {key: value for key, value in _exported(target).items() if key not in ("host", "tag")}
        for target in (one, other)
    )
    return first == second


def unfit_for(target: Target, exists: bool, triple: str, cpu: str) -> str:
    """Say why code for `target` would not run on a device that says this of itself.

    See :meth:`workers.enginekit.roles.Targets.unfit`, and :func:`workers.enginekit.rpc.answers` for what it
    says.
    """
    kind = target.kind.name
    if kind != "llvm":
        return "" if exists else f"no {kind} device answers there"
    own = triple_of(target)
    foreign = apart(own, triple) if triple else None
    if foreign is not None:
        return f"it is for {foreign[0]}, the device is {foreign[1]}"
    # Such a name stands for a CPU that the device's LLVM doesn't know.
    if "mcpu" not in target.attrs or cpu in ("", "generic", "x86-64"):
        return ""
    if not codegen.llvm_is_valid_cpu(cpu, own):
        return ""
    there = Target({"kind": "llvm", "mtriple": own, "mcpu": cpu})
    lacking = sorted(cpu_features(target) - cpu_features(there))
    return f"its CPU, {cpu}, lacks {_some(lacking)}" if lacking else ""


def _own_cpu() -> dict[str, Any]:
    """Return this machine's CPU as a target has it, without tiles that are hidden.

    LLVM knows a CPU by its number, and what it has by that. Clouds rent out CPUs with AMX also without it.
    """
    own = {"kind": "llvm", "mcpu": str(codegen.llvm_get_system_cpu())}
    flags = cpu_flags()
    there = {name for name in cpu_features(Target(own)) if name.startswith("amx")}
    hidden = [f"-{name}" for name in sorted(there) if flags and name.replace("-", "_") not in flags]
    return {**own, "mattr": hidden} if hidden else own


def _unfit_cpu(target: Target, cores: int) -> str:
    """Say why code for `target` would not run here, or not as it will on its own device."""
    foreign = apart(triple_of(target), own_triple())
    if foreign is not None:
        return f"it is for {foreign[0]}, this machine is {foreign[1]}"
    if cores > usable_cores():
        return f"it asks for {cores} cores, {usable_cores()} can be used here"
    if "mcpu" in target.attrs:
        lacking = sorted(cpu_features(target) - cpu_features(Target(_own_cpu())))
        if lacking:
            return f"this CPU lacks {_some(lacking)}"
    return ""


_ARM_ABILITIES = {"neon", "fullfp16", "dotprod", "bf16", "i8mm", "sve", "sve2", "sme", "sme2"}


def triple_of(target: Target) -> str:
    """Return which machine and system code is for."""
    return str(target.attrs.get("mtriple") or codegen.llvm_get_system_triple())


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")


def _unfit_gpu(target: Target, version: str) -> str:
    """Say why machine code for `target` would not run on a GPU of a compute capability, as ``9.0`` is one."""
    wanted = re.fullmatch(r"sm_(\d+)(\d)([a-z]?)", str(target.attrs.get("arch", "")))
    major, _, minor = version.partition(".")
    # It runs on later ones of the same generation, but for what only one has.
    if wanted is None or (
        wanted[1] == major and (wanted[2] == minor or (not wanted[3] and wanted[2] < minor))
    ):
        return ""
    return f"it is for {wanted[0]}, the GPU here is an sm_{major}{minor}"


def vector_bits(target: Target) -> int:
    """Return how wide a CPU's vector registers are."""
    # Not codegen.llvm_get_vector_width: for a Haswell it says 512 bits on a machine that has them.
    features = cpu_features(target)
    return 512 if "avx512f" in features else 256 if "avx" in features else 128


def vector_registers(target: Target) -> int:
    """Return how many vectors a CPU's registers hold."""
    return 32 if vector_bits(target) == 512 or architecture(triple_of(target)) == "aarch64" else 16


def cpu_features(target: Target) -> set[str]:
    """Return what a CPU is able to do, as LLVM calls it."""
    names = {str(name).split(",")[0] for name in codegen.llvm_get_cpu_features(target)}
    if architecture(triple_of(target)) == "aarch64":
        # There, names of abilities and of how a CPU is best scheduled for can't be told apart. These are what
        # code that was generated for numbers is likely to have in it.
        return names & _ARM_ABILITIES
    # How a CPU is best scheduled for is no ability.
    return {
        name
        for name in names
        if not re.match(r"tuning|fast-|slow-|prefer-|false-|idiv|macro|sbb|vzero", name)
    }


def _exported(target: Target) -> dict[str, Any]:
    exported = json.loads(json.dumps(dict(target.export()), default=_plain))
    return {key: value for key, value in exported.items() if value not in ("", [], None)}


def _plain(value: Any) -> Any:
    if isinstance(value, int | float | str):
        return value
    if hasattr(value, "items"):
        return dict(value.items())
    return list(value)


def _from_options(text: str) -> Any:
    kind, *options = shlex.split(text)
    if not options:
        return {"kind": kind} if kind == "llvm" else kind
    parsed: dict[str, Any] = {"kind": kind}
    for option in options:
        name, sep, value = option.lstrip("-").partition("=")
        if not sep:
            raise ValueError(f"option {option!r} has no value; write it as {option}=VALUE")
        if name in ("mattr", "keys"):
            parsed[name] = value.split(",")
        else:
            parsed[name] = int(value) if value.isdigit() else value
    return parsed


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def cores_of(target: Target) -> int:
    """Return how many cores a CPU's kernels are for."""
    return int(target.attrs.get("num-cores", 0)) or usable_cores()


class MetaScheduleTargets:
    """See :class:`workers.enginekit.roles.Targets`."""

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find the device of a target."""
        return resolve_target(spec)

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        """Return a kernel to know a device by."""
        from workers.engines.metaschedule.known import known_kernel

        return known_kernel(parse_target(target), NAME)

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        """Say why a device behind a tracker can't run code for a target."""
        return unfit_for(parse_target(target), *answers(endpoint))
