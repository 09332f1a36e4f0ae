"""AutoTVM on classic TVM (0.19 and before). Runs in an environment of its own; see ``requirements.txt``."""

from workers.engines.autotvm.engine import AutoTVMEngine

__all__ = ["ENGINE"]

ENGINE = AutoTVMEngine()
