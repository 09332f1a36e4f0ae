"""A person's function, called inside of a converter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workers.converters.contract import FAILED, NEEDS_ARGUMENTS, RAISED, ConversionError
from workers.converters.user_code import call, note


def _file(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_what_a_function_returns_comes_with_what_it_was_made_of(tmp_path: Path) -> None:
    _file(tmp_path, "code_helpers_a.py", "def three():\n    return 3\n")
    weights = _file(tmp_path, "weights.txt", "4")
    zoo = _file(
        tmp_path,
        "code_zoo_a.py",
        "from pathlib import Path\nimport code_helpers_a\n"
        f"class Nets:\n    @staticmethod\n    def small():\n"
        f"        return code_helpers_a.three() + int(Path({str(weights)!r}).read_text())\n",
    )
    made, files = call(f"{zoo}:Nets.small", "keras")
    assert made == 7
    assert set(files) == {str(zoo), str(tmp_path / "code_helpers_a.py"), str(weights)}
    # What stands for a model needs no function around it.
    assert call(f"{zoo}:code_helpers_a", "keras", (type(pytest),)) == (
        sys.modules["code_helpers_a"],
        (str(zoo),),
    )
    # Afterwards nobody listens.
    note(tmp_path / "other")
    assert call(f"{zoo}:Nets.small", "keras")[0] == 7


@pytest.mark.parametrize(
    ("function", "code", "words"),
    [
        ("gone", FAILED, r"has no gone; it has needy, failing"),
        ("number", FAILED, "number is no function: it is a int"),
        ("needy", NEEDS_ARGUMENTS, r"needy takes arguments \(width\)"),
        ("failing", RAISED, r"failing\(\) raised KeyError: 'x', at .*code_zoo_b\.py, line 4$"),
    ],
)
def test_each_fault_is_told_with_its_place(tmp_path: Path, function: str, code: str, words: str) -> None:
    text = "def needy(width, more=1):\n    pass\ndef failing():\n    return {}['x']\nnumber = 3\n"
    zoo = _file(tmp_path, "code_zoo_b.py", text)
    with pytest.raises(ConversionError, match=words) as caught:
        call(f"{zoo}:{function}", "keras")
    assert caught.value.code == code


def test_code_that_doesn_t_import_is_told_with_its_place(tmp_path: Path) -> None:
    zoo = _file(tmp_path, "code_zoo_c.py", "x = 1\nraise ValueError('no weights')\n")
    with pytest.raises(ConversionError, match=r"raised ValueError: no weights, at .*code_zoo_c\.py, line 2"):
        call(f"{zoo}:net", "keras")
    zoo = _file(tmp_path, "code_zoo_d.py", "import a_module_that_nobody_has\n")
    with pytest.raises(ConversionError, match="a_module_that_nobody_has") as caught:
        call(f"{zoo}:net", "keras")
    assert "tunefleet converters use keras --python PATH" in caught.value.hint
    with pytest.raises(ConversionError, match="there is no module a_package_that_nobody_has"):
        call("a_package_that_nobody_has.zoo:net", "keras")
