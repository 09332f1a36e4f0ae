"""Tasks of a model held against the nodes of onnxruntime that compute the same."""

from __future__ import annotations

import pytest

from orchestrator.builds.counterparts import Gap, counterparts, gaps
from workers.messages import Kernel


def node(name: str, seconds: float, does: str = "", outputs: int = 0, products: int = 0) -> Kernel:
    return Kernel(name, "", 1, seconds, does, outputs, products)


KERNELS = [
    Kernel("conv_a", "A", 2, 0.010, "products", 1000 * 169, 512),
    Kernel("conv_b", "B", 1, 0.004, "products", 64 * 169, 512),
    Kernel("pool", "C", 1, 0.003, "largest", 4096, 0),
    Kernel("vm.builtin.alloc_tensor", "", 9, 0.0001),
]
NODES = [
    # In a blocked layout, and so with 1008 channels.
    node("first", 0.001, "products", 1008 * 169, 512),
    node("second", 0.003, "products", 1008 * 169, 512),
    node("narrow", 0.002, "products", 64 * 169, 512),
    node("reorder", 0.0005),
]


def test_a_task_is_held_against_the_node_that_computes_as_many_sums() -> None:
    found = gaps(
        KERNELS,
        NODES,
        {"A": "a", "B": "b", "C": "c"},
        {"A": 1e6, "B": 1e6, "C": 0.0},
        {"A": 0.004, "B": None},
    )

    assert [(gap.name, gap.reference_s, gap.alone_s) for gap in found] == [
        ("a", 0.004, 0.008),
        ("c", None, None),
        ("b", 0.002, None),
        ("vm.builtin.alloc_tensor", None, None),
    ]
    assert found[0].gflops == pytest.approx(0.2)
    assert [gap.lost_s for gap in found[:2]] == pytest.approx([0.006, 0.003])
    assert [gap.workload_hash for gap in found] == ["A", "C", "B", ""]


def test_what_is_too_much_larger_or_smaller_is_no_counterpart() -> None:
    kernels = [Kernel("conv", "A", 1, 1.0, "products", 100, 9)]
    for outputs, products, fits in (
        (100, 9, True),
        (200, 9, True),
        (201, 9, False),
        (99, 9, False),
        (100, 19, False),
    ):
        found = counterparts(kernels, [node("n", 1.0, "products", outputs, products)])
        assert bool(found) is fits, (outputs, products)


def test_a_kernel_that_took_no_time_has_no_speed() -> None:
    assert Gap("a", "A", 1, 0.0, flops=1e6).gflops is None
