"""Which of PyTorch's files one is, by what lies in its archive; nothing of it is loaded."""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ["COMPILED", "DAMAGED", "EXPORTED", "MODULE", "SCRIPT", "WEIGHTS", "recognise"]

EXPORTED = "torch.export file"
SCRIPT = "TorchScript"
MODULE = "pickled module"
WEIGHTS = "PyTorch weights"
COMPILED = "AOTInductor package"
DAMAGED = "damaged PyTorch file"

_ZIP = b"PK\x03\x04"
# And its end, with no comment behind: PyTorch writes none.
_END, _END_BYTES = b"PK\x05\x06", 18
_SUFFIXES = (".pt", ".pt2", ".pth", ".pth.tar", ".ckpt")
# How torch.save began before it wrote archives: a pickled magic number.
_BEFORE_ARCHIVES = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# Pickles in front of the object there: that number, the protocol, the system.
_PICKLES_BEFORE = 3
# What a pickle of tensors and containers names, and nothing else.
_PLAIN = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_qtensor",
    "torch._utils _rebuild_wrapper_subclass",
    "torch.serialization _get_layout",
    "torch Size",
    "torch device",
    "torch dtype",
    "torch.storage UntypedStorage",
    "torch.storage TypedStorage",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "numpy dtype",
    "argparse Namespace",
)
_STORAGE = ("torch ", "Storage")


def recognise(path: str) -> str | None:
    """Return the kind of a file; None for what isn't PyTorch's."""
    file = Path(path)
    if not file.is_file():
        return None
    try:
        with file.open("rb") as opened:
            head = opened.read(len(_BEFORE_ARCHIVES))
        if head.startswith(_ZIP):
            return _archive(file)
        if head == _BEFORE_ARCHIVES:
            return _pickle(_old_object(file.read_bytes()))
    except OSError:
        pass
    return None


def _archive(file: Path) -> str | None:
    if not _is_whole(file):
        return DAMAGED if file.name.endswith(_SUFFIXES) else None
    try:
        with zipfile.ZipFile(file) as archive:
            # Below one folder that is called as the file once was.
            names = {name.partition("/")[2] or name: name for name in archive.namelist()}
            inner = set(names)
            if "serialized_exported_program.json" in inner or any(
                name.startswith("models/") and name.endswith(".json") for name in inner
            ):
                return EXPORTED
            if any(name.startswith("data/aotinductor/") for name in inner):
                return COMPILED
            if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
                return SCRIPT
            if "data.pkl" in inner:
                return _pickle(archive.read(names["data.pkl"]))
    except (OSError, zipfile.BadZipFile, EOFError):
        return DAMAGED if file.name.endswith(_SUFFIXES) else None
    return None


def _is_whole(file: Path) -> bool:
    """Whether an archive's end is where the file ends: within one there may be others, which have theirs."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - len(_END) - _END_BYTES))
        return opened.read().startswith(_END) and zipfile.is_zipfile(file)


def _pickle(data: bytes) -> str:
    """Tell weights from a module by the classes that a pickle names; it isn't loaded for that."""
    return WEIGHTS if all(_is_plain(name) for name in _globals(data)) else MODULE


def _is_plain(name: str) -> bool:
    return name in _PLAIN or (name.startswith(_STORAGE[0]) and name.endswith(_STORAGE[1]))


def _globals(data: bytes) -> Iterable[str]:
    texts: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name == "GLOBAL":
                yield str(argument)
            elif code.name == "STACK_GLOBAL":
                yield " ".join(texts[-2:])
            elif isinstance(argument, str):
                texts.append(argument)
    except Exception:
        # A damaged pickle names something that it then doesn't hold: PyTorch will say so.
        yield "damaged"


def _old_object(data: bytes) -> bytes:
    """Skip the pickles before the object, in a file from before archives."""
    place = 0
    try:
        for _ in range(_PICKLES_BEFORE):
            *_, (_, _, end) = pickletools.genops(data[place:])
            place += (end or 0) + 1
    except Exception:
        return data
    return data[place:]
