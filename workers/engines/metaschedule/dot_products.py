"""Instructions that multiply several small numbers and sum them up: which a target has, and what they do.

A CPU of the last years multiplies four pairs of bytes and adds them to a 32-bit sum at once: four times the
multiplications of float32 (VNNI on x86, dotprod on aarch64). One without has an instruction for two pairs of
16 bits, in which bytes fit, at twice the rate of float32: ``vpmaddwd``, in AVX2 since 2013. AVX2's own for
bytes, ``vpmaddubsw``, adds in 16 bits and saturates, and its second step takes back what it gains.

Of bfloat16, the upper halves of floats, one multiplies pairs and adds them to a float (``vdpbf16ps`` on x86,
``bfdot`` on aarch64). TVM's code generator has no such type: it computes with floats instead, and can't say
what an instruction takes. So they are words here, of 16 bits that mean a float, and the instruction is called
in a function of LLVM's own language that becomes part of each kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.ir import StringImm
from tvm.s_tir import SBlock, SBlockRealize
from tvm.script import tirx as T  # noqa: N812  (as TVMScript is written)
from tvm.target import Target, codegen

from workers.enginekit.machine import system
from workers.engines.metaschedule.targets import cpu_features, triple_of

__all__ = [
    "AT_ONCE",
    "BFLOAT",
    "BY_NAME",
    "TILES",
    "TILES_BFLOATS",
    "DotProduct",
    "bfloat_products_of",
    "dot_products_of",
    "float_of",
    "in_language",
    "tiled_types",
]

#: The type of a bfloat16's bits. Nothing else in a model is multiplied as such numbers.
BFLOAT = "uint16"
#: How many numbers of a type are multiplied and summed in each 32-bit lane.
AT_ONCE = {"int16": 2, "int8": 4, "uint8": 4, BFLOAT: 2}


@dataclass(frozen=True)
class DotProduct:
    """An instruction that multiplies `factor` numbers with as many of each lane, and sums them.

    Attributes
    ----------
    name : str
        Of the tensor intrinsic that stands for it in a trace: what a stored candidate names stays as it is.
        Empty where MetaSchedule's own rules know the instruction.
    instruction : str
        LLVM's name.
    lanes : int
        32-bit sums of a vector.
    data, weights : str
        Types of what is multiplied: of the numbers, and of the vectors.
    accumulates : bool
        Whether it adds to sums; otherwise they are added after it.
    sums : str
        Their type.
    of_tiles : bool
        It multiplies matrices (see :mod:`.tiles`): `lanes` are their columns, and the name of what is made of
        it begins with `name`.
    """

    name: str
    instruction: str
    lanes: int
    data: str
    weights: str
    accumulates: bool
    sums: str = "int32"
    of_tiles: bool = False

    @property
    def factor(self) -> int:
        """Numbers that are multiplied and summed in each lane."""
        return AT_ONCE[self.weights]

    def columns(self, count: int) -> int:
        """Return how many of a matrix's columns lie side by side for it."""
        if not self.of_tiles:
            return self.lanes
        whole = -(-count // self.lanes)
        return self.lanes * next(tiles for tiles in _TILES_BESIDE if whole % tiles == 0)

    @property
    def language(self) -> str:
        """LLVM's text of a function that hands it vectors of 32-bit integers; empty where none is needed."""
        if self.weights != BFLOAT:
            return ""
        sums, bits = f"<{self.lanes} x float>", f"<{self.lanes} x i32>"
        numbers = f"<{self.lanes * self.factor} x bfloat>"
        return f"""
declare {sums} @{self.instruction}({sums}, {numbers}, {numbers})
define {sums} @{self.name}({sums} %sums, {bits} %left, {bits} %right) alwaysinline {{
  %a = bitcast {bits} %left to {numbers}
  %b = bitcast {bits} %right to {numbers}
  %made = call {sums} @{self.instruction}({sums} %sums, {numbers} %a, {numbers} %b)
  ret {sums} %made
}}
"""

    def widened(self, number: Any) -> Any:
        """Return one of the numbers, or of a vector's, as one of the sums'."""
        return float_of(number) if self.data == BFLOAT else T.cast(number, self.sums)

    def added(self, sums: Any, numbers: Any, vectors: Any) -> Any:
        """Return sums with what the instruction makes of two operands, each as many bits as the sums."""
        if self.language:
            words = (T.reinterpret(one, dtype=f"int32x{self.lanes}") for one in (numbers, vectors))
            return tirx.call_pure_extern(f"{self.sums}x{self.lanes}", self.name, sums, *words)
        dtypes = (f"{dtype}x{self.lanes * self.factor}" for dtype in (self.data, self.weights))
        operands = [
            T.reinterpret(one, dtype=dtype) for one, dtype in zip((numbers, vectors), dtypes, strict=True)
        ]
        given = [sums, *operands] if self.accumulates else operands
        identifier = T.llvm_lookup_intrinsic_id(self.instruction)
        made = T.call_llvm_pure_intrin(identifier, *given, dtype=f"int32x{self.lanes}")
        return made if self.accumulates else sums + made


def _words(name: str, instruction: str, lanes: int, *, accumulates: bool = False) -> DotProduct:
    return DotProduct(name, instruction, lanes, "int16", "int16", accumulates)


def _bytes(name: str, instruction: str, lanes: int, data: str) -> DotProduct:
    return DotProduct(name, instruction, lanes, data, "int8", accumulates=True)


def _bfloats(name: str, instruction: str, lanes: int) -> DotProduct:
    return DotProduct(name, instruction, lanes, BFLOAT, BFLOAT, accumulates=True, sums="float32")


_QUADS_512 = _bytes("tunefleet_dot_16x4_vnni", "llvm.x86.avx512.vpdpbusd.512", 16, "uint8")
_QUADS_256 = _bytes("tunefleet_dot_8x4_vnni", "llvm.x86.avx512.vpdpbusd.256", 8, "uint8")
_QUADS_NEON = _bytes("tunefleet_dot_4x4_neon", "llvm.aarch64.neon.sdot.v4i32.v16i8", 4, "int8")
_PAIRS_512_VNNI = _words("tunefleet_dot_16x2_vnni", "llvm.x86.avx512.vpdpwssd.512", 16, accumulates=True)
_PAIRS_256_VNNI = _words("tunefleet_dot_8x2_vnni", "llvm.x86.avx512.vpdpwssd.256", 8, accumulates=True)
_PAIRS_512 = _words("tunefleet_dot_16x2_avx512", "llvm.x86.avx512.pmaddw.d.512", 16)
_PAIRS_256 = _words("tunefleet_dot_8x2_avx2", "llvm.x86.avx2.pmadd.wd", 8)
_BFLOATS_512 = _bfloats("tunefleet_dot_16x2_bf16", "llvm.x86.avx512bf16.dpbf16ps.512", 16)
_BFLOATS_NEON = _bfloats("tunefleet_dot_4x2_bf16", "llvm.aarch64.neon.bfdot.v4f32.v8bf16", 4)

#: What multiplies matrices, see :mod:`.tiles`.
TILES = DotProduct(
    "tunefleet_tiles_u8", "llvm.x86.tdpbusd", 16, "uint8", "int8", accumulates=True, of_tiles=True
)
TILES_BFLOATS = DotProduct(
    "tunefleet_tiles_bf16",
    "llvm.x86.tdpbf16ps",
    16,
    BFLOAT,
    BFLOAT,
    accumulates=True,
    sums="float32",
    of_tiles=True,
)

_TILES_BESIDE = (4, 2, 1)

# What tensor cores multiply since Turing, tile by tile, as MetaSchedule's rules for CUDA do it.
_TILES_CUDA = DotProduct("", "wmma (int8)", 1, "int8", "int8", accumulates=True)
_TURING = 75

# Before it, LLVM had such operands as numbers of 32 bits, as TVM's own intrinsics for VNNI still do.
_TYPED_SINCE = 22

# From the widest vectors on: the abilities of a CPU, and what it has by them, the fastest first.
_INSTRUCTIONS = (
    ({"avx512f", "avx512vnni"}, (_QUADS_512, _PAIRS_512_VNNI)),
    ({"avx512f", "avx512bw"}, (_PAIRS_512,)),
    ({"avx2", "avxvnni"}, (_QUADS_256, _PAIRS_256_VNNI)),
    ({"avx2"}, (_PAIRS_256,)),
    ({"neon", "dotprod"}, (_QUADS_NEON,)),
)

_OF_BFLOATS = (
    ({"avx512f", "avx512bf16"}, (_BFLOATS_512,)),
    ({"neon", "bf16"}, (_BFLOATS_NEON,)),
)

#: Those of vectors, by the name that schedules have for them.
BY_NAME = {dot.name: dot for _, dots in (*_INSTRUCTIONS, *_OF_BFLOATS) for dot in dots}


def dot_products_of(target: Target) -> tuple[DotProduct, ...]:
    """Return the instructions that a target's integers are multiplied with, the fastest first."""
    if target.kind.name == "cuda":
        found = re.match(r"sm_(\d+)", str(target.attrs.get("arch", "")))
        return (_TILES_CUDA,) if found and int(found[1]) >= _TURING else ()
    if target.kind.name != "llvm":
        return ()
    features = cpu_features(target)
    if codegen.llvm_version_major() < _TYPED_SINCE:
        features -= {"avx512vnni", "avxvnni"}
    vectors = next((dots for needs, dots in _INSTRUCTIONS if needs <= features), ())
    return (TILES, *vectors) if _has_tiles(target, "amx-int8") else vectors


def bfloat_products_of(target: Target) -> tuple[DotProduct, ...]:
    """Return the instructions that a target's bfloat16 are multiplied with, the fastest first."""
    if target.kind.name != "llvm" or codegen.llvm_version_major() < _TYPED_SINCE:
        return ()
    features = cpu_features(target)
    vectors = next((dots for needs, dots in _OF_BFLOATS if needs <= features), ())
    return (TILES_BFLOATS, *vectors) if _has_tiles(target, "amx-bf16") else vectors


def tiled_types(target: Target) -> frozenset[str]:
    """Return of which types a target multiplies whole matrices at once."""
    dots = (*dot_products_of(target), *bfloat_products_of(target))
    return frozenset(dot.data for dot in dots if dot.of_tiles)


def _has_tiles(target: Target, ability: str) -> bool:
    """Say whether a target multiplies tiles, and its programs can ask for them as they do on Linux."""
    return {"amx-tile", ability} <= cpu_features(target) and system(triple_of(target)) == "linux"


def float_of(bits: Any) -> Any:
    """Return the float that 16 bits stand for as a bfloat16."""
    return T.reinterpret(T.shift_left(T.cast(bits, "uint32"), T.uint32(16)), dtype="float32")


def in_language(func: Any, text: str) -> Any:
    """Return a function that brings along what it calls, a text in LLVM's own language, if any."""
    if not text:
        return func
    block = func.body.block
    body = tirx.AttrStmt(tirx.const(0, "int32"), "pragma_import_llvm", StringImm(text), block.body)
    held = block.alloc_buffers
    whole = SBlock(block.iter_vars, block.reads, block.writes, block.name_hint, body, alloc_buffers=held)
    return func.with_body(SBlockRealize([], True, whole))
