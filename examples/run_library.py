"""Run a library that ``tunefleet build`` wrote, with numpy and the TVM runtime alone.

Nothing of tunefleet is imported: a machine that only runs the model needs this file and
``pip install 'apache-tvm>=0.27,<0.28' 'apache-tvm-ffi>=0.1.14,<0.1.15' numpy``, as pyproject.toml has them.

    python examples/run_library.py lib.so --random x:1,3,48,192:float32
    python examples/run_library.py lib.so --params params.npz --input x=x.npy --threads 2

A model that was cut before its post-processing goes on in the ONNX file beside its library; that needs
onnxruntime.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def main() -> None:
    """Read the command line, run the model once, and print what came out."""
    options = _options()
    # Both are read when TVM is loaded. Its runtime library holds no compiler, and loads faster.
    os.environ.setdefault("TVM_USE_RUNTIME_LIB", "1")
    if options.threads:
        os.environ["TVM_NUM_THREADS"] = str(options.threads)
    if not os.path.isfile(options.library):
        sys.exit(f"there is no library {options.library}")
    given = _inputs(options)
    weights = _weights(options.params)

    import tvm
    from tvm.runtime.vm import VirtualMachine

    machine = VirtualMachine(tvm.runtime.load_module(os.path.abspath(options.library)), tvm.cpu())
    values = _in_order(_parameters(machine.module), given, weights)
    try:
        result = machine["main"](*[tvm.runtime.tensor(np.ascontiguousarray(value)) for value in values])
    except (RuntimeError, ValueError) as error:
        # TVM checks each input's shape and type, and names the one that doesn't fit.
        sys.exit(f"the library refused its inputs: {error}")

    outputs = [output.numpy() for output in _flat(result)]
    label = _label(options.library)
    if label.get("rest"):
        made = dict(zip((spec["name"] for spec in label["outputs"]), outputs, strict=True))
        outputs = _rest(options.library, label["rest"], {**given, **made})
    for number, output in enumerate(outputs):
        print(f"output {number}: shape {list(output.shape)}, {output.dtype}")
        print(output)
    if options.save:
        np.savez(options.save, *outputs)
        print(f"saved as arr_0, arr_1, ... in {options.save}")


def _label(library: str) -> Any:
    """Read what the library says of itself: an archive behind its own bytes. A stripped one says nothing."""
    try:
        with zipfile.ZipFile(library) as archive:
            return json.loads(archive.read("tunefleet.json"))
    except zipfile.BadZipFile:
        return {}


def _rest(library: str, rest: Any, values: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Go on where the model was cut: onnxruntime runs the file beside the library."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        os.path.join(os.path.dirname(os.path.abspath(library)), rest["file"]),
        providers=["CPUExecutionProvider"],
    )
    made = [output.name for output in session.get_outputs()]
    taken = {value.name: values[value.name] for value in session.get_inputs()}
    found = {**values, **dict(zip(made, session.run(None, taken), strict=True))}
    return [found[name] for name in rest["outputs"]]


def _options() -> argparse.Namespace:
    summary, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("library", help="what `tunefleet build MODEL.onnx -o lib.so` wrote")
    parser.add_argument(
        "--params", metavar="FILE.npz", help="the weights, where the library was built with --params FILE.npz"
    )
    parser.add_argument(
        "--input", action="append", default=[], metavar="NAME=FILE.npy", help="an input's values; repeatable"
    )
    parser.add_argument(
        "--random",
        action="append",
        default=[],
        metavar="NAME:SHAPE:DTYPE",
        help="random values instead, such as x:1,3,48,192:float32; repeatable",
    )
    parser.add_argument("--threads", type=int, help="cores to use; by default all")
    parser.add_argument("--save", metavar="FILE.npz", help="keep the outputs")
    return parser.parse_args()


def _inputs(options: argparse.Namespace) -> dict[str, npt.NDArray[Any]]:
    values: dict[str, npt.NDArray[Any]] = {}
    for text in options.input:
        name, equals, path = text.partition("=")
        if not equals:
            sys.exit(f"--input {text!r} is not of the form NAME=FILE.npy")
        try:
            values[name] = np.load(path)
        except (OSError, ValueError) as error:
            sys.exit(f"--input {text}: {error}")
    generator = np.random.default_rng(0)
    for text in options.random:
        # The name may hold colons itself.
        found = re.fullmatch(r"(.+):([\d,]*):(\w+)", text)
        if found is None:
            sys.exit(f"--random {text!r} is not of the form NAME:1,3,224,224:float32")
        shape = [int(size) for size in found[2].split(",") if size]
        try:
            dtype = np.dtype(found[3])
        except TypeError as error:
            sys.exit(f"--random {text!r}: {error}")
        floats = dtype.kind == "f"
        drawn = generator.uniform(-1.0, 1.0, shape) if floats else generator.integers(0, 2, shape)
        values[found[1]] = np.asarray(drawn).astype(dtype)
    return values


def _weights(path: str | None) -> list[npt.NDArray[Any]]:
    if path is None:
        return []
    try:
        with np.load(path) as archive:
            return [archive[f"p{number}"] for number in range(len(archive.files))]
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"--params {path}: {error}")


def _parameters(module: Any) -> list[str]:
    count = module["get_function_arity"]("main")
    return [str(module["get_function_param_name"]("main", number)) for number in range(count)]


def _in_order(
    parameters: list[str], given: dict[str, npt.NDArray[Any]], weights: list[npt.NDArray[Any]]
) -> list[npt.NDArray[Any]]:
    """Put the inputs into the order of the function, and the weights behind them."""
    names = parameters[: len(parameters) - len(weights)]
    # TVM's importer writes an underscore for a dot, and puts input_ before what does not begin with a letter.
    renamed = {re.sub(r"^(?![A-Za-z_])", "input_", name.replace(".", "_")): name for name in given}
    missing = [name for name in names if name not in renamed]
    unknown = [name for name in renamed if name not in names]
    if missing or unknown:
        hint = "; p0, p1, ... are weights: name their file with --params" if "p0" in missing else ""
        sys.exit(f"the library takes {', '.join(names)}; given were {', '.join(given) or 'none'}{hint}")
    return [given[renamed[name]] for name in names] + weights


def _flat(result: Any) -> list[Any]:
    if hasattr(result, "numpy"):
        return [result]
    return [tensor for item in result for tensor in _flat(item)]


if __name__ == "__main__":
    main()
