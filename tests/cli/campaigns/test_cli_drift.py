"""What commands say of devices that were not as fast as before."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from orchestrator.cli.campaigns.display import Display, read_here
from orchestrator.storage import CheckState, MeasurementKey, NewDeviceCheck, Sighting, Storage
from tests.kit.cli_builders import CPU, TOOLCHAIN, Cli, tuned
from tests.kit.documented import assert_documented
from workers.messages import Condition

CHECK = NewDeviceCheck(
    CPU.device_class,
    CPU.device_class,
    "host-a",
    "known",
    CheckState.FIRST,
    run="run-1",
    at_s=1.0,
    versions=TOOLCHAIN,
    times=(1e-3, 1e-3, 1e-3),
    time_s=1e-3,
    reference_s=1e-3,
    drift=0.0,
    tries=3,
    condition=Condition(2600.0, "performance", 1.5, 61.0, 0, None, 12.5),
)
STEADY = replace(CHECK, state=CheckState.STEADY, at_s=121.0, time_s=1.012e-3, drift=0.012, tries=1)
SLOW = replace(CHECK, state=CheckState.DRIFTED, at_s=241.0, time_s=1.34e-3, drift=0.34, marked=5)
BACK = replace(STEADY, at_s=361.0, marked=7)
MESSAGE = "the device is 34% slower than it was, in 6 checks on end"
LEVEL = replace(SLOW, state=CheckState.LEVEL, at_s=391.0, reference_s=1.34e-3, marked=2, message=MESSAGE)


def check(store: Storage, *made: NewDeviceCheck) -> None:
    for one in made:
        store.device_checks.put(one, campaign_id=1)


def mark_the_best(store: Storage) -> None:
    """Mark all that was measured of the first task."""
    (first, *_) = store.tasks.of_campaign(1)
    pair = first.workload_hash, first.device_class
    rows = store.trials.of_workload(*pair)
    keys = [MeasurementKey(*pair, row.candidate, row.token) for row in rows]
    store.measurements.mark(keys, 0.34)


def test_show_says_how_steady_the_devices_were(cli: Cli, store: Storage) -> None:
    tuned(store)
    assert "drift" not in cli("show", "1").out
    check(store, CHECK)
    assert "drift unknown, for no device was checked twice" in " ".join(cli("show", "1").out.split())
    check(store, STEADY)
    assert "drift none: within 1.2% in 2 checks of a known kernel" in " ".join(cli("show", "1").out.split())


def test_show_says_when_a_device_had_drifted_and_what_is_marked(cli: Cli, store: Storage) -> None:
    tuned(store)
    check(store, CHECK, STEADY, SLOW, BACK)
    mark_the_best(store)
    text = " ".join(cli("show", "1").out.split())
    assert "amd-epyc-9r14 was up to 34% slower for 4 min: 12 measurements are marked" in text
    assert "the best of 1 task among them" in text
    document = cli("show", "1", "--json").document["drift"]
    assert (document["measurements_marked"], document["tasks_marked"]) == (12, 1)
    (interval,) = document["intervals"]
    # From the last good check to the next.
    assert (interval["seconds"], interval["drift"], interval["settled"]) == (240.0, 0.34, False)
    assert interval["began_at"] < interval["ended_at"]
    (device,) = document["devices"]
    assert (device["checks"], device["state"], device["clock_mhz"]) == (4, "steady", 2600.0)


def test_a_drift_that_has_not_ended_and_one_for_good_are_told_apart(cli: Cli, store: Storage) -> None:
    tuned(store)
    check(store, CHECK, SLOW)
    assert "was up to 34% slower, up to the last check: 5 measurements" in " ".join(
        cli("show", "1").out.split()
    )
    (interval,) = cli("show", "1", "--json").document["drift"]["intervals"]
    assert (interval["ended_at"], interval["seconds"]) == (None, None)
    check(store, LEVEL)
    text = " ".join(cli("show", "1").out.split())
    assert "34% slower for 6.5 min, and is for good: 7 measurements are marked" in text
    assert MESSAGE in text
    assert cli("show", "1", "--json").document["drift"]["messages"] == [MESSAGE]


def test_what_one_run_left_open_ends_with_it(cli: Cli, store: Storage) -> None:
    """Its seconds and the next run's don't compare."""
    tuned(store)
    check(store, CHECK, SLOW, replace(STEADY, run="run-2", at_s=3.0))
    (interval,) = cli("show", "1", "--json").document["drift"]["intervals"]
    assert (interval["ended_at"], interval["seconds"], interval["measurements_marked"]) == (None, None, 5)


def test_a_check_that_failed_is_no_drift(cli: Cli, store: Storage) -> None:
    tuned(store)
    failed = replace(CHECK, state=CheckState.FAILED, times=(), time_s=None, drift=None, message="it is gone")
    check(store, failed)
    assert "unknown, for all checks failed" in cli("show", "1").out
    assert cli("show", "1", "--json").document["drift"]["devices"][0]["message"] == "it is gone"


def test_trials_and_the_best_say_what_is_marked(cli: Cli, store: Storage) -> None:
    tuned(store)
    mark_the_best(store)
    rows = cli("trials", "1", "--limit", "0", "--json").document["trials"]
    assert {row["drift"] for row in rows} == {None, 0.34}
    marked = next(row for row in rows if row["drift"])
    assert [one["drift"] for one in marked["measurements"]] == [0.34]


def test_devices_say_what_their_last_checks_found(cli: Cli, store: Storage) -> None:
    tuned(store)
    store.devices.see([Sighting(CPU.device_class, "host-a", CPU), Sighting("other", "host-a", CPU)])
    check(store, CHECK, SLOW)
    shown = cli("devices").out
    assert "speed" in shown
    assert "34% slower" in shown
    by_key = {row["key"]: row["check"] for row in cli("devices", "--json").document["devices"]}
    assert by_key["other"] is None
    assert (by_key[CPU.device_class]["state"], by_key[CPU.device_class]["drift"]) == ("drifted", 0.34)
    for state, word in ((CheckState.STEADY, "as before"), (CheckState.LEVEL, "other level")):
        check(store, replace(CHECK, state=state))
        assert word in cli("devices").out
    assert_documented(cli("devices", "--json").document)


def test_who_follows_a_campaign_sees_that_a_device_drifts(store: Storage) -> None:
    tuned(store)
    check(store, CHECK, SLOW)
    display = Display(read_here(store, 1), 1, Console(), clock=lambda: 0.0)
    view = display.view()
    assert view is not None
    assert view.drift == "znver4-2c@amd-epyc-9r14 is 34% slower than before: what it measures is marked"
    check(store, BACK)
    later = Display(read_here(store, 1), 1, Console(), clock=lambda: 0.0).view()
    assert later is not None
    assert later.drift == ""
