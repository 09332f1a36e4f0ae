"""Settings of a search in a campaign: as they are told now, and as earlier releases stored them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.cli.campaigns.search_option import search_settings
from orchestrator.errors import UsageError

#: What every campaign of an earlier release has in the database.
STORED = {
    "seed": 1,
    "population": 64,
    "generations": 3,
    "exclude": [],
    "tuner": "",
    "loss": "",
    "plan_size": 0,
}


def spec(search: dict[str, Any]) -> CampaignSpec:
    return CampaignSpec.of({"models": [{"path": "/models/some.onnx"}], "search": search})


@pytest.mark.parametrize(
    ("changed", "settings"),
    [
        ({}, {"population": 64, "generations": 3}),
        ({"population": 128}, {"population": 128, "generations": 3}),
        (
            {"tuner": "ga", "plan_size": 16},
            {"population": 64, "generations": 3, "tuner": "ga", "plan_size": 16},
        ),
    ],
)
def test_a_campaign_of_an_earlier_release_means_what_it_meant(
    changed: dict[str, Any], settings: dict[str, Any]
) -> None:
    loaded = spec({**STORED, **changed})
    assert loaded.search.settings == settings
    assert loaded.search.seed == 1
    again = CampaignSpec.of(loaded.model_dump(mode="json"))
    assert again == loaded


def test_settings_may_be_told_either_way() -> None:
    assert spec({"tuner": "ga"}).search == spec({"settings": {"tuner": "ga"}}).search


def test_what_is_neither_a_setting_nor_a_field_is_refused() -> None:
    with pytest.raises(UsageError, match=r"search\.bogus"):
        spec({"bogus": 1})


def test_the_option_is_read_as_keys_and_values() -> None:
    assert search_settings(None) is None
    assert search_settings(["population=128", "plan-size = 4"]) == {"population": "128", "plan_size": "4"}


@pytest.mark.parametrize("texts", [["population"], ["=3"], ["population="], ["a=1", "a=2"]])
def test_what_is_no_setting_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError, match="--search"):
        search_settings(texts)
