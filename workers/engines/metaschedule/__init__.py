"""The default engine: MetaSchedule over Relax, on apache-tvm 0.27."""

from workers.engines.metaschedule.engine import MetaScheduleEngine

__all__ = ["ENGINE"]

ENGINE = MetaScheduleEngine()
