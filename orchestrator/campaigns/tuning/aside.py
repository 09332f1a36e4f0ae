"""Measurements that no store would take, put into a file that can be imported later."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from orchestrator.campaigns.tuning.subjects import Subject
from orchestrator.errors import UsageError
from orchestrator.records.unstored import save_unstored, unstored_path
from orchestrator.storage import NewTrial

__all__ = ["set_aside"]


def set_aside(campaign_id: int, subjects: Collection[Subject], trials: Sequence[NewTrial], told: str) -> str:
    """Write what no store takes to a file of its own, and say where it is and what to do.

    Parameters
    ----------
    subjects : collection of Subject
        What they are of.
    trials : sequence of NewTrial
        A later measurement of a trial too: an import adds it to what is stored.
    told : str
        What they are, and that they could not be stored.
    """
    workloads = {s.workload.hash: s.workload for s in subjects}
    devices = {s.device.device_class: s.device for s in subjects}
    try:
        path = unstored_path(campaign_id)
        save_unstored(path, trials, list(workloads.values()), devices.values())
    except (OSError, UsageError) as error:
        return (
            f"{told} and are lost, for they could not be written to a file either ({error}); all before "
            f"them are safe. Mend the database, then: tunefleet resume {campaign_id}"
        )
    return (
        f"{told}; they are in {path}. Mend the database, then: "
        f"tunefleet records import {shlex.quote(str(path))} && tunefleet resume {campaign_id}"
    )
