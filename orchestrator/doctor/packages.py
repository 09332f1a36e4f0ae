"""Python, the packages of this environment, and the compiler TVM links with."""

from __future__ import annotations

import importlib.metadata
import pathlib
import platform
import sys
import tempfile

from orchestrator.doctor.findings import DISTRIBUTION, Check, Status, output_of
from orchestrator.errors import EngineError
from workers.enginekit.linkers import host_linker

__all__ = ["check_compiler", "check_jobs", "check_packages", "check_python"]

#: What is worth a line of its own; the rest of the requirements is one line together.
_TOLD = ("apache-tvm", "apache-tvm-ffi", "ray", "xgboost", "onnx", "onnxruntime", "sqlalchemy")
#: Why a bound is there, where a person would wonder.
_REASONS = {
    "apache-tvm": "MetaSchedule lives under another name in every other release",
    "apache-tvm-ffi": "0.1.15.post2 segfaults when it saves a schedule",
}

#: What has the same modules under another name: for CPUs alone, 6 MB instead of 130.
_TWINS = {"xgboost": "xgboost-cpu"}


def check_python() -> Check:
    """Is this Python one that the project runs on?"""
    found = f"{platform.python_version()} ({sys.executable})"
    wanted = _metadata_text("Requires-Python") or ">=3.11"
    if _satisfies(platform.python_version(), wanted) is False:
        return Check("Python", Status.FAIL, found, f"make a virtual environment with Python {wanted}")
    return Check("Python", Status.OK, found)


def check_packages() -> list[Check]:
    """Are the packages there, in versions within the bounds?"""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return [
            Check(
                DISTRIBUTION,
                Status.FAIL,
                "not installed as a package",
                "pip install . in the project's folder",
            )
        ]
    checks: list[Check] = []
    others: list[str] = []
    for requirement in requirements:
        if "extra ==" in requirement and 'extra == "tuning"' not in requirement:
            continue
        check = check_package(requirement)
        if check.name in _TOLD or check.status is not Status.OK:
            checks.append(check)
        else:
            others.append(f"{check.name} {check.found.partition(' ')[0]}")
    if others:
        checks.append(Check("other packages", Status.OK, ", ".join(others)))
    return checks


def check_package(requirement: str) -> Check:
    """Is what a requirement asks for installed?"""
    requirement = requirement.partition(";")[0].strip()
    name = _name(requirement)
    bounds = requirement[len(name) :].strip()
    mend = f"pip install '{requirement}'"
    why = f" ({_REASONS[name]})" if name in _REASONS else ""
    version = _version(name) or _version(_TWINS.get(name, name))
    if version is None:
        return Check(name, Status.FAIL, f"missing, needs {bounds}", mend)
    fits = _satisfies(version, bounds)
    if fits is None:
        return Check(
            name, Status.WARN, f"{version}, could not be compared with {bounds}", "pip install packaging"
        )
    if not fits:
        return Check(name, Status.FAIL, f"{version}, needs {bounds}{why}", mend)
    return Check(name, Status.OK, f"{version} ({bounds})")


def check_compiler() -> Check:
    """Is there something that links what TVM compiles?"""
    name = "C compiler"
    try:
        compiler = host_linker()
    except EngineError as error:
        what, _, mend = str(error).rpartition(": ")
        return Check(name, Status.FAIL, what, mend)
    with tempfile.TemporaryDirectory(prefix="tunefleet-") as folder:
        source, library = pathlib.Path(folder, "f.c"), pathlib.Path(folder, "f.so")
        source.write_text("int f(void) { return 0; }\n")
        said = output_of(compiler, "-shared", "-fPIC", "-o", str(library), str(source))
        if said is None or not library.is_file():
            mend = "install it anew, or name another with CXX"
            return Check(name, Status.FAIL, f"{compiler} makes no library", mend)
    version = output_of(compiler, "--version")
    return Check(name, Status.OK, f"{compiler}: {version.splitlines()[0] if version else 'no version'}")


# -- helpers
def _metadata_text(field: str) -> str | None:
    try:
        values: list[str] | None = importlib.metadata.metadata(DISTRIBUTION).get_all(field)
    except importlib.metadata.PackageNotFoundError:
        return None
    return values[0] if values else None


def _satisfies(version: str, bounds: str) -> bool | None:
    """Compare by Python's rules for versions; None where the package that knows them is missing."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return None
    return SpecifierSet(bounds).contains(version, prereleases=True)


def check_jobs() -> Check:
    """Is there what Ray's jobs take, with which a cluster of `ray up` runs its coordinator?

    Nothing else needs it, so that it is no fault where it isn't there.
    """
    name = "Ray's jobs"
    try:
        requirements = importlib.metadata.requires("ray") or []
    except importlib.metadata.PackageNotFoundError:
        return Check(name, Status.OK, "no Ray, see above")
    # What others of Ray's extras bring too is named by several.
    wanted = dict.fromkeys(_name(each) for each in requirements if 'extra == "default"' in each)
    missing = [each for each in wanted if _version(each) is None]
    if missing:
        mend = "for `ray job` and clusters of `ray up`: pip install -c constraints.txt -e '.[cluster]'"
        found = f"not installed (optional): {len(missing)} of the {len(wanted)} packages of ray[default]"
        return Check(name, Status.OK, found, mend)
    return Check(name, Status.OK, "what ray[default] brings is here")


def _name(requirement: str) -> str:
    for mark in "<>=!~ [;":
        requirement = requirement.partition(mark)[0]
    return requirement


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
