"""How far a campaign is: by its own clock, which stands still while nobody runs it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.documents.snapshot import NO_LIMIT, Snapshot, read_snapshot
from orchestrator.service.pages.progress import progress_of
from orchestrator.service.parts import make_parts
from orchestrator.service.settings import ServiceSettings
from orchestrator.storage import CampaignState, Storage
from tests.kit.cli_builders import OWNER, begin, put_campaign


def started_hours_ago(store: Storage, campaign_id: int) -> Snapshot:
    snapshot = read_snapshot(store, campaign_id)
    row = snapshot.campaign
    assert row.started_at is not None
    return replace(snapshot, campaign=replace(row, started_at=row.started_at - timedelta(hours=9)))


def test_what_is_done_and_left_is_that_of_the_campaigns_own_clock(store: Storage, files: Path) -> None:
    parts = make_parts(store, ServiceSettings(None, files))
    campaign_id = put_campaign(store, time_s=600.0)
    waiting = progress_of(parts, read_snapshot(store, campaign_id))
    assert (waiting.part, waiting.left_s) == (None, None)
    begin(store, campaign_id, budget=NO_LIMIT)
    store.campaigns.add_active_time(campaign_id, 150.0)
    running = progress_of(parts, started_hours_ago(store, campaign_id))
    assert running.part == pytest.approx(0.25)
    assert running.left_s == pytest.approx(450.0)
    store.campaigns.transition(campaign_id, CampaignState.PAUSED, owner=OWNER)
    paused = progress_of(parts, started_hours_ago(store, campaign_id))
    assert paused.part == pytest.approx(0.25)
    assert paused.left_s is None
    store.campaigns.add_active_time(campaign_id, 900.0)
    assert progress_of(parts, started_hours_ago(store, campaign_id)).part == 1.0
