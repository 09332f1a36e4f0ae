"""The store as TVM's own passes see it, in a script as a user would write it; prints what came of it as JSON.

ask_database.py DATABASE-URL MODEL
"""

import json
import sys
from typing import Any

import tvm
from tvm import relax
from tvm.s_tir import meta_schedule as ms

from orchestrator import ModelRequest, Storage, Toolbox
from orchestrator.models.extraction import extract_model
from workers.engines.metaschedule.database import RecordDatabase
from workers.engines.metaschedule.model import stock_kernels


def seconds(records: Any) -> list[list[float]]:
    return [[float(value) for value in record.run_secs] for record in records]


def main(url: str, path: str) -> None:
    with Storage.open(url) as store, Toolbox("metaschedule") as tools:
        device = tools.resolve_target("auto")
        model = extract_model(store, tools, ModelRequest(path=path), device)
        tasks = [task.workload for task in model.tasks]
        own = tvm.target.Target(json.loads(device.target))
        other = tvm.target.Target({**json.loads(device.target), "num-cores": device.cores + 1})
        host = tvm.target.Target(json.loads(device.target), host="llvm")
        database = RecordDatabase(store.seeds.fastest, device.target, device.device_class, tasks)
        said: dict[str, Any] = {
            "kernels": [],
            "len": len(database),
            "all": seconds(database.get_all_tuning_records()),
        }
        kernels = stock_kernels(model.prepared, own)
        for kernel, keys in kernels:
            workload = database.commit_workload(kernel)
            record = database.query_tuning_record(kernel, own, "main")
            said["kernels"].append(
                {
                    "tasks": keys,
                    "has": bool(database.has_workload(kernel)),
                    "top": seconds(database.get_top_k(workload, 9)),
                    "record": record and seconds([record])[0],
                    "with host": database.query_tuning_record(kernel, host, "main") is not None,
                    "schedule": database.query_schedule(kernel, own, "main") is not None,
                    "module": database.query_ir_module(kernel, own, "main") is not None,
                    "of another target": [
                        query(kernel, other, "main") is not None
                        for query in (
                            database.query_tuning_record,
                            database.query_schedule,
                            database.query_ir_module,
                        )
                    ],
                }
            )
        strange = tvm.IRModule({"main": kernels[0][0]["main"].with_attr("strange", 1)})
        said["strange"] = bool(database.has_workload(strange))
        try:
            database.commit_tuning_record(
                ms.database.TuningRecord(tvm.s_tir.Schedule(kernels[0][0]).trace, workload, [1e-9], own, [])
            )
        except RuntimeError as error:
            said["commit"] = str(error)
        module = tvm.IRModule({f"k{n}": kernel["main"] for n, (kernel, _) in enumerate(kernels)})
        for name, target in (("own", own), ("other", other)):
            with target, database:
                applied = relax.transform.MetaScheduleApplyDatabase()(module)
            said[name] = sum("tirx.is_scheduled" in func.attrs for func in applied.functions.values())
        sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
