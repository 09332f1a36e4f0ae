"""What an engine's searches can be told, as data: types, choices, and what is refused in which words."""

from __future__ import annotations

import pickle

import pytest

from workers.errors import UsageError
from workers.messages import Scalar, SearchOptions, Setting, Traits, When

TRAITS = Traits(
    "some",
    settings=(
        Setting("tuner", "which one; xgb if left out", "xgb", choices=("xgb", "ga", "random")),
        Setting(
            "loss", "of its model", "reg", only=When("tuner", ("xgb",)), otherwise="the tuner {} has no loss"
        ),
        Setting("rate", "how fast", 0.5, least=0),
        Setting("plan_size", "how many at once", 32, least=1),
        Setting("warm", "start from records", True),
    ),
    absent={"population": "", "generations": "nothing evolves here"},
    transfers=When("tuner", ("xgb",)),
)


def told(**settings: Scalar) -> SearchOptions:
    return SearchOptions(settings=settings)


def test_what_is_left_out_or_empty_is_the_engine_s_own_choice() -> None:
    assert TRAITS.settings_of(told(tuner="")) == {
        "tuner": "xgb",
        "loss": "reg",
        "rate": 0.5,
        "plan_size": 32,
        "warm": True,
    }


def test_texts_of_a_command_line_become_what_a_setting_is() -> None:
    found = TRAITS.settings_of(told(tuner="ga", rate="0.25", plan_size="64", warm="no"))
    assert (found["tuner"], found["rate"], found["plan_size"], found["warm"]) == ("ga", 0.25, 64, False)
    assert TRAITS.settings_of(told(rate=2))["rate"] == 2.0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tuner": "annealing"}, "no tuner 'annealing'; it has xgb, ga, random"),
        ({"tuner": "ga", "loss": "rank"}, "the tuner ga has no loss"),
        ({"plan_size": "many"}, "a whole number"),
        ({"plan_size": 1.5}, "a whole number"),
        ({"plan_size": True}, "a whole number"),
        ({"plan_size": 0}, "the plan size must be at least 1, not 0"),
        ({"warm": "perhaps"}, "true or false"),
        ({"generations": 3}, "no --generations: nothing evolves here"),
        ({"speed": 3}, "no setting 'speed'; they have tuner (which one; xgb if left out), loss"),
    ],
)
def test_what_cannot_be_right_is_refused_in_words(settings: dict[str, Scalar], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        TRAITS.settings_of(SearchOptions(settings=settings))
    assert said in str(refused.value)


def test_a_setting_that_earlier_releases_stored_for_every_engine_is_passed_over() -> None:
    assert "population" not in TRAITS.settings_of(told(population=64))


def test_searches_transfer_by_what_they_are_told() -> None:
    assert TRAITS.transfers_with(told())
    assert not TRAITS.transfers_with(told(tuner="ga"))
    assert not Traits("other").transfers_with(told())


def test_layouts_and_logs_that_are_not_there_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="the some engine has no layout 'nhwc', but auto"):
        TRAITS.check_layout("nhwc")
    with pytest.raises(UsageError, match=r"can't be told a layout \(nhwc\): it knows best"):
        Traits("other", no_layout="it knows best").check_layout("nhwc")
    with pytest.raises(UsageError, match="the some engine has no log"):
        TRAITS.own_log_format()


def test_they_cross_between_processes() -> None:
    assert pickle.loads(pickle.dumps(TRAITS)) == TRAITS
