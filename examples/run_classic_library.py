"""Run a library that ``tunefleet build --engine autotvm`` wrote, with numpy and classic TVM's runtime alone.

Nothing of tunefleet is imported: a machine that only runs the model needs this file and a classic TVM, 0.8 to
0.19, with Python as old as that wants.

    python examples/run_classic_library.py lib.so --random x:1,3,48,192:float32
    python examples/run_classic_library.py lib.so --params params.npz --input x=x.npy --threads 2
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np


def main() -> None:
    """Read the command line, run the model once, and print what came out."""
    options = _options()
    if options.threads:
        os.environ["TVM_NUM_THREADS"] = str(options.threads)
    if not os.path.isfile(options.library):
        sys.exit(f"there is no library {options.library}")

    import tvm
    from tvm.contrib import graph_executor

    library = tvm.runtime.load_module(os.path.abspath(options.library))
    executor = graph_executor.GraphModule(library["default"](tvm.cpu()))
    if options.params:
        with np.load(options.params) as archive:
            executor.set_input(**{name: tvm.nd.array(archive[name]) for name in archive.files})
    shapes, _ = executor.get_input_info()
    given = dict(_inputs(options))
    unknown = sorted(set(given) - set(shapes))
    if unknown:
        # The weights are inputs too, and called p0, p1, ...
        wanted = sorted(name for name in shapes if not re.fullmatch(r"p\d+", name))
        sys.exit(f"the library has no input {unknown[0]}; it has {', '.join(wanted)}")
    for name, value in given.items():
        if tuple(value.shape) != tuple(shapes[name]):
            sys.exit(f"input {name} has shape {tuple(value.shape)}, the library wants {tuple(shapes[name])}")
    executor.set_input(**given)
    executor.run()
    outputs = [executor.get_output(i).numpy() for i in range(executor.get_num_outputs())]
    for number, output in enumerate(outputs):
        print(f"output {number}: shape {list(output.shape)}, {output.dtype}")
        print(output)
    if options.save:
        np.savez(options.save, *outputs)
        print(f"saved as arr_0, arr_1, ... in {options.save}")


def _inputs(options: argparse.Namespace) -> "Iterator[tuple[str, Any]]":
    for text in options.input:
        name, _, path = text.partition("=")
        yield name, np.load(path)
    for text in options.random:
        name, shape, dtype = text.rsplit(":", 2)
        values = np.random.default_rng(1).uniform(-1, 1, [int(n) for n in shape.split(",")])
        yield name, values.astype(dtype)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("library", help="what `tunefleet build --engine autotvm MODEL.onnx -o lib.so` wrote")
    parser.add_argument("--params", metavar="FILE.npz", help="the weights, where they are beside the library")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy")
    parser.add_argument("--random", action="append", default=[], metavar="NAME:SHAPE:DTYPE")
    parser.add_argument("--threads", type=int, help="cores to use; by default all")
    parser.add_argument("--save", metavar="FILE.npz", help="keep the outputs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
