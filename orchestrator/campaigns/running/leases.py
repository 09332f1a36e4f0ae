"""Who holds a campaign: the lease in the store, and holders on this machine that are dead."""

from __future__ import annotations

import os
import socket
import time
import uuid

import psutil

from orchestrator.campaigns.running.listener import Listener
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.storage import BEGUN_STATES, CampaignState, Storage

__all__ = ["LEASE_SECONDS", "bury_the_dead", "claim", "this_owner"]

#: Seconds a coordinator may be silent before another may take its campaign.
LEASE_SECONDS = 20.0
_IDENTITY = uuid.uuid4().hex[:8]


def this_owner() -> str:
    """Name this process as a lease holder; host and pid let another one here see whether it still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{_IDENTITY}"


def claim(store: Storage, campaign_id: int, listener: Listener) -> None:
    """Take a campaign's lease, waiting out that of a holder which may be dead.

    Raises
    ------
    UsageError
        Where its holder lives.
    """
    me = this_owner()
    until = time.monotonic() + LEASE_SECONDS + 5
    while not store.leases.acquire(campaign_id, me, LEASE_SECONDS):
        row = store.campaigns.get(campaign_id)
        holder = row.lease_owner or ""
        host, _, rest = holder.partition(":")
        pid = rest.partition(":")[0]
        if host == socket.gethostname() and pid.isdigit():
            if not _dead(holder):
                raise UsageError(
                    f"campaign {campaign_id} is run by process {pid} on this machine; "
                    f"`tunefleet watch {campaign_id}` follows it, `tunefleet pause {campaign_id}` stops it"
                )
            if store.leases.take_over(campaign_id, me, holder, LEASE_SECONDS):
                return
        if time.monotonic() > until:
            raise UsageError(
                f"campaign {campaign_id} is run by a coordinator on {host}; "
                f"`tunefleet watch {campaign_id}` follows it"
            )
        listener.activity(f"waiting for the lease of {host}, which may be gone")
        time.sleep(1.0)
    row = store.campaigns.get(campaign_id)
    if row.state in (CampaignState.DONE, CampaignState.CANCELLED):
        store.leases.release(campaign_id, me)
        raise UsageError(
            f"campaign {campaign_id} is {row.state.value}; `tunefleet show {campaign_id}` tells about it"
        )
    if row.state not in BEGUN_STATES | {CampaignState.QUEUED, CampaignState.PAUSED, CampaignState.FAILED}:
        raise NotFoundError(f"campaign {campaign_id} can't be run in state {row.state.value}")


def bury_the_dead(store: Storage) -> None:
    """Give back the leases of processes of this machine that are gone: none has to run out."""
    for row in store.campaigns.newest(states=[CampaignState.QUEUED, *BEGUN_STATES]):
        holder = row.lease_owner or ""
        if row.held and _dead(holder) and store.leases.take_over(row.id, this_owner(), holder, LEASE_SECONDS):
            store.leases.release(row.id, this_owner())


def _dead(holder: str) -> bool:
    """Say whether a lease's holder is known to be gone; of processes of other machines nobody knows."""
    host, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    return host == socket.gethostname() and pid.isdigit() and not _alive(int(pid))


def _alive(pid: int) -> bool:
    try:
        # One that was killed and that nobody has waited for yet runs nothing any more.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
