"""The command; see the package."""

from __future__ import annotations

import argparse
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import onnx

from benchmarks.coverage.catalog import CATALOG, by_turns
from benchmarks.coverage.entry import Entry
from benchmarks.coverage.helper import Helper, HelperLostError
from benchmarks.coverage.outcomes import EXPORT_FAILED, INTERNAL_ERROR, MEMORY, OUTCOMES, TIMEOUT
from benchmarks.coverage.results import Result, append, latest
from benchmarks.coverage.table import page, shares

ROOT = pathlib.Path(__file__).parents[2]
_LOST = {"timeout": TIMEOUT, "memory": MEMORY, "died": INTERNAL_ERROR}


def arguments() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--env", type=pathlib.Path, help="the environment of requirements.txt")
    parser.add_argument(
        "--keras-env", type=pathlib.Path, help="that of requirements-keras.txt; without it Keras is left out"
    )
    parser.add_argument("--families", nargs="+", default=[], help="only these")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these models")
    parser.add_argument("--resume", action="store_true", help="leave out what has a result")
    parser.add_argument(
        "--again", nargs="+", default=[], choices=list(OUTCOMES), help="with --resume: but for these results"
    )
    parser.add_argument("--list", action="store_true", help="print the catalog and end")
    parser.add_argument("--table", action="store_true", help="write the table of what there is and end")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/coverage"))
    parser.add_argument("--jobs", type=int, default=1, help="models at a time")
    parser.add_argument("--limit-s", type=float, default=300.0, help="seconds for the product's part of one")
    parser.add_argument("--limit-gib", type=float, default=8.0, help="memory of one")
    return parser


class Worker:
    """Takes one model after another through both processes.

    Parameters
    ----------
    commit : str
        The product's, for the results.
    """

    def __init__(self, options: argparse.Namespace, commit: str) -> None:
        self._options, self._commit = options, commit
        folders = {"torch": options.env, "keras": options.keras_env}
        self._exporters = {
            name: Helper([str(folder / "bin/python"), "-m", "benchmarks.coverage.exporting"], ROOT)
            for name, folder in folders.items()
            if folder is not None
        }
        self._product = Helper([sys.executable, "-m", "benchmarks.coverage.product"], ROOT)

    def stop(self) -> None:
        """End both."""
        for helper in (self._product, *self._exporters.values()):
            helper.stop()

    def result_of(self, entry: Entry) -> Result:
        """Export, build, compare."""
        path = (self._options.out / "models" / f"{entry.name}.onnx").absolute()
        seconds: dict[str, float] = {}
        limits = {
            "seconds": self._options.limit_s,
            "most_bytes": int(self._options.limit_gib * 2**30),
        }

        def result(outcome: str, message: str, **more: object) -> Result:
            asked = entry.opset
            nodes = 0
            if path.exists():
                model = onnx.load(path, load_external_data=False)
                asked = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), asked)
                nodes = len(model.graph.node)
            known = {key: value for key, value in more.items() if key in Result.__dataclass_fields__}
            return Result(
                **{
                    "name": entry.name,
                    "family": entry.family,
                    "exporter": entry.exporter,
                    "opset": asked,
                    "counted": entry.counted,
                    "nodes": nodes,
                    "file": path.name,
                    "commit": self._commit,
                    "seconds": seconds,
                    **known,
                    "outcome": outcome,
                    "message": message,
                }
            )

        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                answer = self._exporters[entry.environment].ask(
                    {"name": entry.name, "path": str(path)}, **limits
                )
            except HelperLostError as lost:
                return result(EXPORT_FAILED, f"{lost.why}: {lost}")
            seconds["export"] = answer["seconds"]
            if not answer["ok"]:
                return result(EXPORT_FAILED, answer["message"])
        begin = time.monotonic()
        try:
            answer = self._product.ask({"path": str(path), "shapes": dict(entry.shapes)}, **limits)
        except HelperLostError as lost:
            seconds["prepare"] = time.monotonic() - begin
            return result(_LOST[lost.why], f"{lost.why} after {time.monotonic() - begin:.0f} s: {lost}")
        seconds.update(answer.pop("seconds"))
        return result(answer.pop("outcome"), answer.pop("message"), **answer)


def chosen(options: argparse.Namespace) -> list[Entry]:
    """Return the entries that are asked for and can be exported, in the order of the run."""
    unknown = {*options.only} - {entry.name for entry in CATALOG}
    unknown |= {*options.families} - {entry.family for entry in CATALOG}
    if unknown:
        sys.exit(f"not in the catalog: {', '.join(sorted(unknown))}; --list shows what is")
    found = [
        entry
        for entry in CATALOG
        if (not options.families or entry.family in options.families)
        and (not options.only or entry.name in options.only)
        and (entry.environment != "keras" or options.keras_env is not None or options.list)
    ]
    return by_turns(found)


def still_open(
    entries: list[Entry], done: dict[str, Result], *, resume: bool, again: list[str]
) -> list[Entry]:
    """Return those that have no result, or one that is to be had again."""
    if not resume:
        return entries
    return [entry for entry in entries if entry.name not in done or done[entry.name].outcome in again]


def write_page(out: pathlib.Path) -> None:
    """Write the table of all results there are, in the catalog's order."""
    done = latest(out / "results.jsonl")
    ordered = [done[entry.name] for entry in CATALOG if entry.name in done]
    (out / "coverage.md").write_text(page(ordered), encoding="utf-8")
    for family, (right, tried) in shares(ordered).items():
        print(f"{family:28} {right:3} of {tried:3} right")
    print(f"wrote {out / 'coverage.md'}")


def main() -> None:
    """Run what the command line asks for."""
    options = arguments().parse_args()
    if options.list:
        for entry in CATALOG:
            print(f"{entry.name:44} {entry.family:28} {entry.exporter:24} {entry.opset or ''}")
        counts = Counter(entry.family for entry in CATALOG)
        print(f"{len(CATALOG)} models in {len(counts)} families")
        return None
    options.out.mkdir(parents=True, exist_ok=True)
    if options.table:
        return write_page(options.out)
    if options.env is None:
        sys.exit("--env names the environment in which models are exported; see requirements.txt beside this")
    file = options.out / "results.jsonl"
    entries = still_open(chosen(options), latest(file), resume=options.resume, again=options.again)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    lock, local, workers = threading.Lock(), threading.local(), list[Worker]()

    def one(entry: Entry) -> None:
        if not hasattr(local, "worker"):
            local.worker = Worker(options, commit)
            workers.append(local.worker)
        result = local.worker.result_of(entry)
        with lock:
            append(file, result)
            took = " ".join(f"{name} {seconds:.1f}" for name, seconds in result.seconds.items())
            print(f"{result.outcome:14} {result.name:44} {took}  {result.message[:160]!r}", flush=True)

    # Asked to end, it ends what it started too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    pool = ThreadPoolExecutor(options.jobs)
    try:
        for waiting in [pool.submit(one, entry) for entry in entries]:
            waiting.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.stop()
    return write_page(options.out)


if __name__ == "__main__":
    main()
