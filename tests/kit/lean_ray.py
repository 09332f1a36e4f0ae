"""Less of a Ray cluster, for tests that start one of their own."""

from __future__ import annotations

__all__ = ["LEAN"]

#: What a head node need not start, each a process that imports all of Ray: what a browser looks at, what hands on
#: the workers' logs, what scales a cluster.
LEAN = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
