"""Targets as classic TVM writes them: ``llvm -mcpu=cascadelake``, and the device class of one."""

from __future__ import annotations

import hashlib
import platform
import re

from workers.enginekit.machine import apart, cpu_model, own_triple, slug, usable_cores
from workers.engines.autotvm.classic import tvm
from workers.engines.autotvm.traits import NAME
from workers.errors import TargetError
from workers.messages import Candidate, DeviceInfo, Endpoint, Workload

__all__ = ["AutoTVMTargets", "cores_of", "parse_target", "resolve_target"]


def parse_target(spec: str) -> tvm.target.Target:
    """Make a target from its text.

    Raises
    ------
    TargetError
        Where this TVM doesn't know it.
    """
    text = spec.strip()
    if not text:
        raise TargetError("the target is empty; --target auto finds this machine's own")
    if text.partition(" ")[0] == "llvm" and "-mtriple" not in text:
        # The tested wheel's own default is riscv64, the architecture its vendor builds for.
        text += f" -mtriple={_triple()}"
    try:
        return tvm.target.Target(text)
    except (ValueError, TypeError, RuntimeError) as error:  # tvm.TVMError is a RuntimeError
        last = [line for line in str(error).strip().splitlines() if line.strip()][-1].strip()
        raise TargetError(f"this classic TVM doesn't know the target {spec!r}: {last}") from None


def resolve_target(spec: str) -> DeviceInfo:
    """Return the device that `spec` means; see :meth:`workers.enginekit.roles.Targets.resolve_target`."""
    if spec.strip() == "auto":
        text = f"llvm -mtriple={_triple()} -mcpu={_system_cpu()} -num-cores={usable_cores()}"
    else:
        text = spec
    target = parse_target(text)
    # As plain text: TVM's own kind of string can't be read where that TVM isn't.
    kind = str(target.kind.name)
    if kind == "llvm":
        cores = cores_of(target) or usable_cores()
        if not cores_of(target):
            target = parse_target(f"{target} -num-cores={cores}")
        triple = str(target.attrs.get("mtriple", ""))
        foreign, unfit = apart(triple, own_triple()), ""
        if foreign is not None:
            unfit = f"it is for {foreign[0]}, this machine is {foreign[1]}"
        elif cores > usable_cores():
            unfit = f"it asks for {cores} cores, {usable_cores()} can be used here"
        device, short = "cpu", f"{target.attrs.get('mcpu', 'generic')}-{cores}c"
        model = "unknown" if unfit else cpu_model()
    else:
        cores, device = 0, kind
        found = tvm.device(kind, 0)
        if found.device_type == tvm.cpu().device_type:
            raise TargetError(
                f"target {spec!r} is of a kind that only writes source for a CPU ({kind}), so that nothing "
                "can be measured for it: take llvm"
            )
        unfit = "" if found.exist else f"no {kind} device answers here"
        model = str(found.device_name) if found.exist else "unknown"
        short = kind
    written = str(target)
    digest = hashlib.sha256(f"autotvm:{written}".encode()).hexdigest()[:6]
    return DeviceInfo(
        target=written,
        device_class=f"{short}-{digest}@{slug(model)}",
        model=model,
        cores=cores,
        kind=device,
        unfit=unfit,
        versions={"tvm": tvm.__version__},
    )


def cores_of(target: tvm.target.Target) -> int:
    """Return the number of cores a target names; 0 where it names none."""
    return int(target.attrs.get("num-cores", 0))


def _triple() -> str:
    return f"{platform.machine()}-linux-gnu"


def _system_cpu() -> str:
    """Return LLVM's name of this CPU, from what it can do where this TVM can't be asked."""
    function = tvm.get_global_func("target.llvm_get_system_cpu", allow_missing=True)
    if function is not None:
        return str(function())
    flags = _flags()
    for name, needed in _X86_CPUS:
        if needed <= flags:
            return name
    return "x86-64" if platform.machine() == "x86_64" else "generic"


# LLVM's names, the most able first, by what /proc/cpuinfo lists. Within one line the choice decides about
# the scheduling model alone.
_AVX2 = {"avx2", "fma", "bmi1", "bmi2"}
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
_X86_CPUS = (
    ("cascadelake", _AVX512 | {"avx512_vnni"}),
    ("skylake-avx512", _AVX512),
    ("core-avx2", _AVX2),
    ("sandybridge", {"avx"}),
)


def _flags() -> set[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            found = re.search(r"^flags\s*:\s*(.+)$", file.read(), re.MULTILINE)
    except OSError:
        return set()
    return set(found.group(1).split()) if found else set()


class AutoTVMTargets:
    """See :class:`workers.enginekit.roles.Targets`."""

    def resolve_target(self, spec: str) -> DeviceInfo:
        """Find the device of a target."""
        return resolve_target(spec)

    def known_kernel(self, target: str) -> tuple[Workload, Candidate]:
        """Return a kernel to know a device by."""
        from workers.engines.autotvm.tasks import known_kernel

        return known_kernel(parse_target(target), NAME)

    def unfit(self, target: str, endpoint: Endpoint) -> str:
        """Say why a device behind a tracker can't run code for a target."""
        from workers.enginekit.rpc import answers

        kind = str(parse_target(target).kind.name)
        # Of a CPU this TVM can't be asked: the tested wheel says riscv64 of whatever it runs on.
        return "" if kind == "llvm" or answers(endpoint)[0] else f"no {kind} device answers there"
