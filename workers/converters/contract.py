"""What a converter is: what it takes, what it needs, and what is said to it and by it.

A converter is a package with a module attribute ``CONVERTER`` that is a :class:`Converter`, a
``requirements.txt`` (as :mod:`workers.environments` reads it), and a module or package ``inside``, which
alone imports the framework. That runs in an interpreter of its own, once for each conversion::

    python -m workers.converters.NAME.inside REQUEST.json

and is best written as a function from a :class:`ConversionRequest` to a :class:`Converted`, given to
:func:`workers.converters.serving.main`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "CODE",
    "CODES",
    "FAILED",
    "FOREIGN",
    "NEEDS_ARGUMENTS",
    "NEEDS_SHAPES",
    "NOT_A_MODEL",
    "NO_ONNX_FORM",
    "RAISED",
    "UNREADABLE",
    "Candidate",
    "ConversionError",
    "ConversionRequest",
    "Converted",
    "Converter",
    "Kind",
    "Tensor",
]

#: Weights without a model.
NOT_A_MODEL = "not_a_model"
#: Another framework's file.
FOREIGN = "foreign"
#: Damaged, or of a version that can't be read; the message says which.
UNREADABLE = "unreadable"
#: Sizes of inputs are missing; the message names the inputs, the hint has the flag to copy.
NEEDS_SHAPES = "needs_shapes"
#: The function takes arguments, or the module needs example inputs.
NEEDS_ARGUMENTS = "needs_arguments"
#: The user's code raised: type, message, file and line of that code.
RAISED = "raised"
#: An operator, and its place in the source.
NO_ONNX_FORM = "no_onnx_form"
#: Anything else.
FAILED = "failed"
CODES = (
    NOT_A_MODEL,
    FOREIGN,
    UNREADABLE,
    NEEDS_SHAPES,
    NEEDS_ARGUMENTS,
    RAISED,
    NO_ONNX_FORM,
    FAILED,
)

#: The kind of a source that is a function, ``package.module:function`` or ``file.py:function``, of whatever
#: converter.
CODE = "code"


@dataclass(frozen=True)
class Kind:
    """One kind of source.

    Attributes
    ----------
    name : str
        What :attr:`Converter.recognises` returns: "TorchScript", "SavedModel"; `CODE` for functions.
    source : str
        How one is made and what it is called, for the table: "torch.jit.save's file (.pt)".
    trust : str
        Why reading it runs code of whoever made it, as the second half of a sentence; empty where it runs
        none. Such a source takes ``--trust``.
    refused : str
        Why none of this kind is converted, as the rest of a sentence that begins with the file; empty for
        those that are. It is known so that whoever has one is told what it is: "holds weights without a
        model: ...".
    signatures : bool
        One source may hold several models, which ``--signature`` chooses among.
    """

    name: str
    source: str
    trust: str = ""
    refused: str = ""
    signatures: bool = False


@dataclass(frozen=True)
class Converter:
    """One framework's way to ONNX: plain data, the framework isn't imported.

    Attributes
    ----------
    name : str
        That of its folder.
    title : str
        The framework's own name.
    kinds : tuple of Kind
        What it takes, in the order of the table.
    recognises : callable
        Returns the name of the kind that a file or folder is, by its first bytes or contents, or None. It
        opens what is at the path for reading and nothing else, and never raises for what it finds there.
        Several converters may recognise a pickle: each looks for its framework's name in it.
    megabytes : int
        Size of its environment on disk, as it was measured.
    minutes : float
        What making it took, as it was measured.
    note : str
        What is to be said before it is installed, beside size and time; may be empty.
    exporters : tuple of str
        What ``--exporter`` may name: candidates' file names have them, ``model-EXPORTER.onnx``.
    imports : tuple of str
        Packages, beside one of its own name, that a person's file imports where its functions return models
        of this framework.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    recognises: Callable[[str], str | None]
    megabytes: int
    minutes: float
    note: str = ""
    exporters: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()

    def kind(self, name: str) -> Kind:
        """Return the kind of that name; KeyError where there is none."""
        return {kind.name: kind for kind in self.kinds}[name]

    @property
    def takes_code(self) -> bool:
        """Whether it takes a function that returns a model."""
        return any(kind.name == CODE for kind in self.kinds)


@dataclass(frozen=True)
class ConversionRequest:
    """What a converter is told, in a JSON file.

    Attributes
    ----------
    source : str
        Absolute path, or ``package.module:function`` or ``/absolute/file.py:function``.
    kind : str
        Name of its :class:`Kind`.
    shapes : mapping of str to sequence of int
        Of inputs, by name.
    out : str
        Absolute path of an empty folder to write into.
    reply : str
        Path of the JSON file to write at the end.
    seed : int
        Of the inputs that are drawn.
    opset : int or None
        None for the converter's own choice.
    exporter : str
        The only one to try, as its candidates' file names have it; empty for all.
    signature : str
        Which of several models in one source, as a SavedModel has signatures; empty for the usual one.
    """

    source: str
    kind: str
    shapes: Mapping[str, Sequence[int]]
    out: str
    reply: str
    seed: int = 0
    opset: int | None = None
    exporter: str = ""
    signature: str = ""

    @classmethod
    def read(cls, path: str) -> ConversionRequest:
        """Read a request's file."""
        return cls(**json.loads(Path(path).read_text("utf-8")))

    def write(self, path: str) -> None:
        """Write a request's file."""
        Path(path).write_text(json.dumps(asdict(self)), "utf-8")


@dataclass(frozen=True)
class Candidate:
    """One exporter's model.

    Attributes
    ----------
    file : str
        Name of the ONNX file in the folder: ``model-EXPORTER.onnx``.
    exporter : str
        What made it, with versions: "torch.onnx.export(dynamo=True), onnxscript 0.7.2".
    """

    file: str
    exporter: str


@dataclass(frozen=True)
class Tensor:
    """An input or output of the source; a size that it leaves open is its name there, or -1."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Converted:
    """What a converter replies.

    Attributes
    ----------
    framework : str
        With its version: "PyTorch 2.13.0".
    candidates : tuple of Candidate
        One at least. Beside them in the folder is ``checks.npz``, see
        :func:`workers.converters.serving.save_checks`.
    inputs, outputs : tuple of Tensor
    notes : tuple of str
        A sentence for each thing that was done and that a person should know.
    files : tuple of str
        What the source was read from beside itself: modules of a function's package. A change in one of
        them means another model.
    """

    framework: str
    candidates: tuple[Candidate, ...]
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    notes: tuple[str, ...] = field(default=())
    files: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Converted:
        """Read a reply."""
        return cls(
            framework=values["framework"],
            candidates=tuple(Candidate(**one) for one in values["candidates"]),
            inputs=tuple(_tensor(one) for one in values.get("inputs", ())),
            outputs=tuple(_tensor(one) for one in values.get("outputs", ())),
            notes=tuple(values.get("notes", ())),
            files=tuple(values.get("files", ())),
        )


def _tensor(values: Mapping[str, Any]) -> Tensor:
    return Tensor(values["name"], values["dtype"], tuple(values["shape"]))


class ConversionError(Exception):
    """Why there is no model; raised inside, and told in the reply.

    Parameters
    ----------
    code : str
        One of `CODES`.
    message : str
        One or two sentences.
    hint : str, optional
        What to do.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint
