"""Run by AutoTVM's own interpreter, without any of this project: a log as stock AutoTVM writes and reads it.

stock.py write LOG TARGET        four good trials and a failed one of a small convolution
stock.py read LOG TARGET         the configuration that stock takes for each task, as JSON lines
stock.py decode LOG              what stock makes of each line: [error number, costs]
"""

import json
import sys
from typing import Any

import tvm
from tvm import autotvm, relay, topi  # noqa: F401

SECONDS = (4e-4, 1e-4, 3e-4, 2e-4)


def tasks(target: Any) -> Any:
    data = relay.var("data", shape=(1, 8, 12, 12))
    weight = relay.var("weight", shape=(16, 8, 3, 3))
    call = relay.nn.conv2d(data, weight, channels=16, kernel_size=(3, 3), padding=(1, 1))
    return autotvm.task.extract_from_program(relay.Function([data, weight], call), {}, target)


def write(path: str, spec: str) -> None:
    target = tvm.target.Target(spec)
    (task,) = tasks(target)
    with open(path, "w") as file:
        for index, seconds in enumerate(SECONDS):
            pair = autotvm.MeasureInput(target, task, task.config_space.get(index))
            file.write(
                autotvm.record.encode(pair, autotvm.MeasureResult((seconds,) * 3, 0, 0.5, 1.7e9)) + "\n"
            )
        pair = autotvm.MeasureInput(target, task, task.config_space.get(len(SECONDS)))
        result = autotvm.MeasureResult((RuntimeError("a crash"),), 7, 10.0, 1.7e9)
        file.write(autotvm.record.encode(pair, result) + "\n")


def read(path: str, spec: str) -> None:
    target = tvm.target.Target(spec)
    with autotvm.apply_history_best(path) as best:
        for task in tasks(target):
            config = best.query(target, task.workload)
            sys.stdout.write(
                json.dumps({"task": task.name, "entity": config.to_json_dict()["entity"]}) + "\n"
            )


def decode(path: str) -> None:
    for _, result in autotvm.record.load_from_file(path):
        sys.stdout.write(json.dumps([int(result.error_no), list(result.costs)]) + "\n")


COMMANDS: dict[str, Any] = {"write": write, "read": read, "decode": decode}
COMMANDS[sys.argv[1]](*sys.argv[2:])
