"""PyTorch: files of torch.export and TorchScript, and functions that return a module."""

from workers.converters.contract import CODE, Converter, Kind
from workers.converters.torch.recognise import (
    COMPILED,
    DAMAGED,
    EXPORTED,
    MODULE,
    SCRIPT,
    WEIGHTS,
    recognise,
)

__all__ = ["CONVERTER"]

CONVERTER = Converter(
    name="torch",
    title="PyTorch",
    kinds=(
        Kind(EXPORTED, "what torch.export.save wrote (.pt2)"),
        Kind(SCRIPT, "what torch.jit.save wrote (.pt), with --input-shape for each input"),
        Kind(
            CODE,
            "package.module:function or file.py:function, which returns a module and example inputs, or a "
            "module alone, with --input-shape",
            trust="a function is run to get its model, with all that its file imports",
        ),
        Kind(
            MODULE,
            "what torch.save wrote of a whole module, with --input-shape for each input",
            trust="a pickled module runs whatever code its author put into the file",
        ),
        Kind(
            WEIGHTS,
            "a state_dict",
            refused="holds weights without a model (a state_dict): write a function that makes the module, "
            "loads them and returns it, and convert file.py:function",
        ),
        Kind(
            COMPILED,
            "what AOTInductor compiled",
            refused="is a package that AOTInductor compiled for one machine: convert what torch.export.save "
            "writes of the same program",
        ),
        Kind(
            DAMAGED,
            "a cut off file",
            refused="is damaged or cut off: PyTorch's files are ZIP archives, and the end of this one is "
            "missing; save or download it again",
        ),
    ),
    recognises=recognise,
    megabytes=1060,
    minutes=3,
    note="Where pip finds no build of PyTorch for CPUs, it takes the one with CUDA, of 3 GB more: --index "
    "names an index that has it",
    exporters=("dynamo", "torchscript"),
    imports=("torchvision", "timm", "transformers", "ultralytics", "lightning", "pytorch_lightning"),
)
