"""How the tests time candidates."""

from __future__ import annotations

from workers.messages import EvaluatorConfig

#: Short, for candidates of microseconds.
EVALUATOR = EvaluatorConfig(min_repeat_ms=5, timeout_s=10.0)
