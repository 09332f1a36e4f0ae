"""A model tuned for so many seconds of the clock, here or by stock TVM, and what came when.

Each system runs in a process of its own, whose start is second 0: imports, the start of Ray, worker processes
and the extraction of tasks are within its time. When the time is over ours is interrupted, as Ctrl-C does it,
and stock killed, which has no other way. A record counts from when a person could have used it: in the store,
or in the JSON database, which stock writes when it comes back to the task. A rate counts what was measured.

Every run is kept in a folder, and isn't run again where its result is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from benchmarks import stock
from benchmarks.model_zoo import ZOO, fetch
from orchestrator import CampaignSpec, Storage, Toolbox, submit
from orchestrator.campaigns.running.coordinator import follow
from workers.messages import DeviceInfo, PreparedModel

__all__ = ["SIDES", "Run", "Setting", "in_turns", "run", "settings_text"]

SIDES = ("ours", "stock")
_POLL_SECONDS = 0.2
# Settings of a comparison that a side is not told.
_OTHERS = (("campaign", "stock"), ("per_iteration", "ours"))
# How long an interrupted campaign may take to end: a measurement under way, the actors, Ray.
_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Setting:
    """What is tuned, for how long, and how.

    Attributes
    ----------
    model : str
        Key of the model zoo.
    seconds : float
    campaign : dict
        Campaign settings of ours that aren't the defaults.
    per_iteration : int
        Stock's ``num_trials_per_iter``.
    """

    model: str
    seconds: float
    seed: int
    campaign: Mapping[str, Any]
    per_iteration: int = stock.PER_ITERATION

    def spec(self, path: str, target: str) -> CampaignSpec:
        """Return the campaign that is run on our side."""
        return CampaignSpec.of(
            {
                "models": [{"path": path, "shapes": ZOO[self.model].shapes}],
                "targets": [target],
                "time_s": self.seconds,
                "seed": self.seed,
                # Stock times every candidate in full.
                "full_timing": True,
                **self.campaign,
            }
        )


@dataclass(frozen=True)
class Run:
    """One run of one system.

    Attributes
    ----------
    started_at : float
        Second 0, in seconds since 1970.
    trials : list of (float, bool)
        When each record came, in seconds, and whether it succeeded. Those that came too late aren't there.
    measured : list of (float, bool)
        When each candidate had been measured, recorded by the end or not; here the two are the same.
    """

    side: str
    turn: int
    folder: pathlib.Path
    seconds: float
    started_at: float
    trials: list[tuple[float, bool]]
    measured: list[tuple[float, bool]]

    @property
    def good(self) -> int:
        """Candidates that were measured with success."""
        return sum(ok for _, ok in self.measured)

    @property
    def per_hour(self) -> float:
        """Successful measurements in an hour."""
        return self.good / self.seconds * 3600

    def until(self, at_s: float) -> int:
        """Count the records, of failed trials too, that came up to a second."""
        return sum(came <= at_s for came, _ in self.trials)


def run(setting: Setting, side: str, turn: int, work: pathlib.Path) -> Run:
    """Tune on one side, or take the result of a run that is there already.

    Parameters
    ----------
    work : pathlib.Path
        Where all runs are kept.

    Raises
    ------
    RuntimeError
        The folder holds a run with other settings, or the process failed.
    """
    folder = work / setting.model / f"turn{turn}" / side
    done = folder / "run.json"
    if done.exists():
        kept = json.loads(done.read_text())
        if _what_matters(kept["setting"], side) != _what_matters(
            json.loads(json.dumps(asdict(setting))), side
        ):
            raise RuntimeError(f"{folder} holds a run with other settings: name another --work, or delete it")
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        prepared, device = _prepare(setting, folder)
        _tell(setting, side, turn, "tuning")
        started_at = _let_run(side, folder, setting.seconds)
        records = _ours(folder, started_at) if side == "ours" else _stocks(folder)
        kept = {
            "setting": asdict(setting),
            "model": prepared.name,
            "device": device.device_class,
            "started_at": started_at,
            "trials": [(at, ok) for at, ok in records if at <= setting.seconds],
        }
        # Under its name only when whole.
        done.with_suffix(".part").write_text(json.dumps(kept))
        done.with_suffix(".part").rename(done)
    trials = [(float(at), bool(ok)) for at, ok in kept["trials"]]
    measured = trials if side == "ours" else _stock_measured(folder, kept["started_at"], setting.seconds)
    found = Run(side, turn, folder, setting.seconds, kept["started_at"], trials, measured)
    _tell(setting, side, turn, f"{found.good} of {len(measured)} trials good, {found.per_hour:.0f} an hour")
    return found


def _what_matters(setting: dict[str, Any], side: str) -> dict[str, Any]:
    """Leave out what the other side alone is told."""
    return {key: value for key, value in setting.items() if (key, side) not in _OTHERS}


def in_turns(setting: Setting, turns: int, work: pathlib.Path) -> list[Run]:
    """Run both systems `turns` times, now the one first, now the other."""
    return [
        run(setting, side, turn, work)
        for turn in range(1, turns + 1)
        for side in (SIDES if turn % 2 else SIDES[::-1])
    ]


def settings_text(setting: Setting) -> str:
    """Say in Markdown with what settings both run."""
    spec = setting.spec("model.onnx", "auto")
    evaluator = ", ".join(f"{name} {value}" for name, value in asdict(spec.evaluator).items())
    evaluator += ", all timed in full" if spec.full_timing else ", those far behind not timed in full"
    search = ", ".join(f"{name} {value}" for name, value in spec.search.settings.items()) or "by default"
    changed = f" Of the campaign: `{json.dumps(dict(setting.campaign))}`." if setting.campaign else ""
    return (
        f"{setting.seconds:.0f} s of the clock for each, seed {setting.seed}. Here: evaluator {evaluator}; "
        f"search {search}; layout {spec.layout}.{changed} Stock: `tune_relax` with its defaults (evaluator "
        f"number 3, repeat 1, min_repeat_ms 100; {setting.per_iteration} trials an iteration; gradient "
        f"scheduler), `LocalBuilder(timeout_sec={stock.BUILD_SECONDS})`, `cpu_weight_prepack=True`."
    )


def _prepare(setting: Setting, folder: pathlib.Path) -> tuple[PreparedModel, DeviceInfo]:
    """Write what the process needs. Stock gets the prepared file: most models it can't import as they are."""
    path = str(fetch(setting.model))
    with Toolbox("metaschedule") as tools:
        device = tools.resolve_target("auto")
        prepared = tools.prepare(path, ZOO[setting.model].shapes)
    (folder / "prepared.onnx").write_bytes(prepared.onnx)
    request = {**asdict(setting), "path": path, "target": device.target}
    (folder / "request.json").write_text(json.dumps(request))
    return prepared, device


def _let_run(side: str, folder: pathlib.Path, seconds: float) -> float:
    """Run one side until its time is over, and note when its records appeared."""
    module = ["benchmarks.budget"] if side == "ours" else ["benchmarks.stock", "tune"]
    started_at, start = time.time(), time.monotonic()
    with (
        open(folder / "log.txt", "wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", *module, str(folder)], stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            size = 0
            with open(folder / "appeared.jsonl", "w") as appeared:
                while time.monotonic() - start < seconds and process.poll() is None:
                    time.sleep(_POLL_SECONDS)
                    now = _size(folder / stock.RECORDS)
                    if now != size:
                        size = now
                        json.dump([time.monotonic() - start, size], appeared)
                        appeared.write("\n")
                        appeared.flush()
            early = process.poll()
            if side == "ours":
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE_SECONDS)
        finally:
            _kill(process)
    if early is not None:
        last = (folder / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
        # A space may be used up before the time is; that is no failure.
        if early:
            raise RuntimeError(f"{side} failed after {time.monotonic() - start:.0f} s: {''.join(last)}")
    return started_at


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all it started, wherever they put themselves."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        root.suspend()  # it starts worker processes all the time
        children = root.children(recursive=True)
        for child in [root, *children]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _ours(folder: pathlib.Path, started_at: float) -> list[tuple[float, bool]]:
    with Storage.open(f"{folder}/store.db", create=False) as store:
        (campaign,) = store.campaigns.newest()
        return [
            (trial.created_at.timestamp() - started_at, trial.state == "ok")
            for trial in store.trials.of_campaign(campaign.id)
        ]


def _stocks(folder: pathlib.Path) -> list[tuple[float, bool]]:
    records = folder / stock.RECORDS
    lines = records.read_bytes().splitlines(keepends=True) if records.exists() else []
    sizes = [json.loads(line) for line in (folder / "appeared.jsonl").read_text().splitlines()]
    return came_when([(stock.good(line.decode()), len(line)) for line in lines], sizes)


def _stock_measured(folder: pathlib.Path, started_at: float, seconds: float) -> list[tuple[float, bool]]:
    path = folder / stock.MEASURED
    # The last line may be what was being written when it was killed.
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    came = [(at - started_at, ok) for at, ok in map(json.loads, lines)]
    return [(at, ok) for at, ok in came if at <= seconds]


def came_when(lines: list[tuple[bool, int]], sizes: list[tuple[float, int]]) -> list[tuple[float, bool]]:
    """Say when each line of a file was there.

    Parameters
    ----------
    lines : list of (bool, int)
        What is to be said of each line, and its length in bytes.
    sizes : list of (float, int)
        The file's size over time, ascending.
    """
    found, end, step = [], 0, 0
    for what, length in lines:
        end += length
        while step < len(sizes) and sizes[step][1] < end:
            step += 1
        if step == len(sizes):
            break  # written after the last look
        found.append((sizes[step][0], what))
    return found


def _tell(setting: Setting, side: str, turn: int, text: str) -> None:
    print(f"{setting.model}, turn {turn}, {side}: {text}", file=sys.stderr, flush=True)


def _campaign(folder: pathlib.Path) -> None:
    """Run our side, in the process that will be interrupted."""
    request = json.loads((folder / "request.json").read_text())
    path, target = request.pop("path"), request.pop("target")
    with Storage.open(f"{folder}/store.db") as store:
        follow(store, submit(store, Setting(**request).spec(path, target), hold=True).id)


if __name__ == "__main__":
    _campaign(pathlib.Path(sys.argv[1]))
