"""Less of a Ray cluster, for tests that start one of their own."""

from __future__ import annotations

__all__ = ["LEAN"]

#: What a head node need not start: what a browser looks at, what hands on the workers' logs, what scales a
#: cluster. Each is a process that imports all of Ray.
LEAN = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
