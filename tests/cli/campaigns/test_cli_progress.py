"""Progress: what is computed from the store, a screen on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import threading
from dataclasses import replace

import pytest
from rich.console import Console

from orchestrator.cli.campaigns.curve import curve_text, reference_text
from orchestrator.cli.campaigns.display import Display, read_here
from orchestrator.cli.campaigns.log import Log
from orchestrator.cli.campaigns.pace import Pace
from orchestrator.cli.campaigns.screen import View, line_of
from orchestrator.documents.snapshot import Snapshot, read_snapshot
from orchestrator.storage import CampaignState, CurveRow, Storage, TaskState
from tests.kit.cli_builders import OWNER, begin, measure, put_campaign


class Clock:
    """Seconds that go by when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def terminal(*, width: int = 80, height: int = 24) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, highlight=False, markup=False
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def half_tuned(store: Storage, *, tasks: int = 30, **spec: float) -> int:
    campaign = put_campaign(store, name=None, **spec)
    begin(store, campaign, tasks=tasks)
    for number in range(tasks):
        measure(store, campaign, of=number, trials=range(number % 8))
    return campaign


def screen(view: View, *, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False, markup=False)
    console.print(view)
    return written(console).splitlines()


def test_the_screen_fits_80_by_24(store: Storage) -> None:
    campaign = half_tuned(store, time_s=1800.0)
    view = View(read_snapshot(store, campaign), 600.0, 2345.0, activity="measuring " + "a long name " * 20)
    lines = screen(view)
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert "99/960 trials" in lines[2]
    assert lines[3].split("   ")[:3] == ["10m 00s of 30m 00s", "2,345 trials/h", "about 20m 00s left"]
    assert "fused_add27" in lines[6]
    assert lines[-3].startswith("and 16 more (16 open)")
    assert lines[-1].startswith("› measuring")


CURVE = CurveRow("cpu-a-2", 0.040, 0.010, ((20.0, 0.030), (60.0, 0.020), (95.0, 0.0099), (120.0, 0.0098)))


def test_the_screen_draws_how_the_estimate_came_down(store: Storage) -> None:
    view = View(read_snapshot(store, half_tuned(store)), 600.0, curves=(CURVE,))
    lines = screen(view)
    assert len(lines) < 24
    assert lines[-3] == "30.0 ms after 20s ██████████▅▅▅▅▅▅▅▅▁▁▁▁▁▁ 9.80 ms after 2m 00s"
    assert lines[-2] == "the library took 40.0 ms when it began; onnxruntime 10.0 ms, passed after 1m 35s"


def test_a_curve_is_held_against_what_is_known() -> None:
    assert reference_text(replace(CURVE, reference_s=0.009)).endswith("onnxruntime 9.00 ms, not passed yet")
    # What was lent was as fast already, whatever of it has been measured since.
    lent = replace(CURVE, library_s=0.009, points=())
    assert reference_text(lent).endswith("onnxruntime 10.0 ms, passed from the beginning")
    assert reference_text(replace(CURVE, library_s=None, reference_s=None)) == ""
    assert curve_text(replace(CURVE, points=())) == ""
    assert curve_text(replace(CURVE, points=((5.0, 0.01),))) == "10.0 ms after 5s"


def test_the_screen_fits_smaller_terminals(store: Storage) -> None:
    campaign = half_tuned(store)
    lines = screen(View(read_snapshot(store, campaign), 1.0), width=60, height=15)
    assert len(lines) < 15
    assert max(map(len, lines)) <= 60


def test_the_screen_before_tasks_are_known(store: Storage) -> None:
    campaign = put_campaign(store)
    lines = screen(View(read_snapshot(store, campaign), 0.0, activity="preparing squeezenet.onnx"))
    assert "queued" in lines[0]
    assert lines[1].startswith("squeezenet on auto")
    assert "no tasks yet" in lines[2]


def test_a_task_that_ended_early_needs_no_more_trials(store: Storage) -> None:
    campaign = half_tuned(store, tasks=2)
    first, _ = store.tasks.of_campaign(campaign)
    assert read_snapshot(store, campaign).total == 64
    store.tasks.update(first.id, state=TaskState.PLATEAUED)
    assert read_snapshot(store, campaign).total == 32


def test_without_a_limit_of_trials_time_tells_how_far_it_is(store: Storage) -> None:
    campaign = put_campaign(store, time_s=100.0)
    begin(store, campaign, tasks=2, budget=2**31 - 1)
    view = View(read_snapshot(store, campaign), 25.0, 3600.0)
    assert view.snapshot.total is None
    assert (view.fraction, view.left_s) == (0.25, 75.0)
    assert "0 trials" in screen(view)[2]


def test_whichever_budget_ends_first_tells_what_is_left(store: Storage) -> None:
    campaign = half_tuned(store, tasks=2, time_s=1000.0)
    snapshot = read_snapshot(store, campaign)
    assert View(snapshot, 900.0, 3600.0).left_s == pytest.approx(63.0)
    assert View(snapshot, 990.0, 3600.0).left_s == pytest.approx(10.0)


def test_the_pace_is_that_of_the_last_minutes() -> None:
    pace = Pace(window_s=60.0)
    pace.add(0.0, 0)
    assert pace.per_hour is None
    for second in range(10, 130, 10):
        pace.add(float(second), second)
    assert pace.per_hour == 3600.0
    for second in range(130, 400, 10):
        pace.add(float(second), 120)
    assert pace.per_hour is None


def test_elsewhere_than_on_a_terminal_lines_come_every_ten_seconds(store: Storage) -> None:
    campaign = half_tuned(store, tasks=3)
    clock, console = Clock(), Console(file=io.StringIO(), width=40, highlight=False, markup=False)
    display = Display(read_here(store, campaign), campaign, console, clock=clock)
    for second in range(25):
        clock.now = 100.0 + second
        display.activity(f"building {second}")
        display.changed(campaign)
        display.look()
    lines = written(console).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("campaign 1 tuning, 0s, 3/96 trials")
    assert lines[0].endswith("building 0")
    assert "\x1b" not in written(console)


def test_nothing_new_is_said_once_a_minute(store: Storage) -> None:
    campaign = half_tuned(store, tasks=3)
    clock, console = Clock(), Console(file=io.StringIO(), width=40)
    display = Display(read_here(store, campaign), campaign, console, clock=clock)
    # Of a held campaign the database's clock moves the lease; an idle one stays as it is.
    store.campaigns.transition(campaign, CampaignState.PAUSED, owner=OWNER)
    for second in range(0, 130, 2):
        clock.now = 100.0 + second
        display.look()
    assert len(written(console).splitlines()) == 3


def test_a_terminal_gets_a_screen_that_goes_when_it_is_over(store: Storage) -> None:
    campaign = half_tuned(store, tasks=3)
    console = terminal()
    with Display(read_here(store, campaign), campaign, console, activity="starting") as display:
        display.changed(campaign)
    text = written(console)
    assert "campaign 1" in text
    assert "starting" in text
    # Its lines are erased and the cursor is back.
    assert text.endswith("\x1b[2K") or text.rstrip().endswith("\x1b[?25h")


def test_a_store_that_can_not_be_read_does_not_end_the_display(store: Storage) -> None:
    campaign = half_tuned(store, tasks=3)
    clock = Clock()
    display = Display(read_here(store, campaign), campaign, terminal(), clock=clock)
    assert display.view() is not None
    store.close()
    clock.now += 60
    view = display.view()
    assert view is not None
    assert "closed" in view.activity


def test_a_task_is_marked_while_it_gets_trials(store: Storage) -> None:
    campaign = half_tuned(store, tasks=3)
    clock = Clock()
    display = Display(read_here(store, campaign), campaign, terminal(), clock=clock)
    view = display.view()
    assert view is not None
    assert view.busy == frozenset()
    measure(store, campaign, of=2, trials=range(10, 12))
    clock.now += 10
    view = display.view()
    assert view is not None
    (busy,) = view.busy
    assert {row.id: row.name for row in view.snapshot.tasks}[busy].endswith("clip2")
    assert "● tuning" in "\n".join(screen(view))


def test_time_goes_on_while_somebody_holds_the_campaign(store: Storage) -> None:
    campaign = half_tuned(store, tasks=3)
    clock = Clock()
    display = Display(read_here(store, campaign), campaign, terminal(), clock=clock)
    display.view()
    clock.now += 0.5
    view = display.view()
    assert view is not None
    assert view.elapsed_s == 0.5


def test_a_log_line_names_the_campaign(store: Storage) -> None:
    campaign = half_tuned(store, tasks=3)
    line = line_of(View(read_snapshot(store, campaign), 65.0))
    assert line == "campaign 1 tuning, 1m 05s, 3/96 trials, estimated 2.15 ms for one run, from 2 of 3 tasks"


def test_a_coordinator_s_log_is_throttled_for_each_campaign(store: Storage) -> None:
    first, second = half_tuned(store, tasks=3), put_campaign(store)
    clock, lines = Clock(), list[str]()
    log = Log(store, lines.append, clock=clock)
    for _ in range(5):
        log.changed(first)
        log.changed(second)
        log.look()
        clock.now += 1
    assert [line.split(",")[0] for line in lines] == ["campaign 1 tuning", "campaign 2 queued"]
    assert log.seen == {first, second}


def test_a_coordinator_s_log_says_the_last_news_though_its_thread_is_slow(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = half_tuned(store, tasks=3)
    reading, read_on = threading.Event(), threading.Event()

    def read_slowly(store: Storage, campaign_id: int) -> Snapshot:
        snapshot = read_snapshot(store, campaign_id)
        if threading.current_thread() is not threading.main_thread():
            reading.set()
            assert read_on.wait(30.0)
        return snapshot

    monkeypatch.setattr("orchestrator.cli.campaigns.log.read_snapshot", read_slowly)
    lines = list[str]()
    with Log(store, lines.append) as log:
        log.changed(campaign)
        assert reading.wait(30.0)
        store.campaigns.transition(campaign, CampaignState.DONE, owner=OWNER)
    (last,) = lines
    assert last.startswith("campaign 1 done")
    read_on.set()
    log._thread.join(30.0)
    assert lines == [last]


def test_names_of_many_models_are_cut_short(store: Storage) -> None:
    campaign = put_campaign(store)
    snapshot = read_snapshot(store, campaign)
    many = replace(snapshot, models=snapshot.models * 4)
    assert screen(View(many, 0.0))[1].startswith("squeezenet, squeezenet and 2 more on auto")
