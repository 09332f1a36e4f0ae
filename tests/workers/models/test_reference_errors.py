"""What becomes of errors that no library says well, where a model is prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.errors import ModelError
from workers.reference import Reference


def refused(error: Exception, monkeypatch: pytest.MonkeyPatch) -> str:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("workers.models.prepare", fail)
    with pytest.raises(ModelError) as caught:
        Reference().prepare("/models/net.onnx", {})
    return str(caught.value)


def test_whatever_a_library_raises_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(KeyError("axis"), monkeypatch)
    assert text.startswith("/models/net.onnx can't be prepared: KeyError: 'axis'; it is damaged, or ")
    assert "please report it with the file" in text
    assert len(refused(ValueError("x\n" * 9000), monkeypatch)) < 600
    assert "asks for more memory than there is" in refused(MemoryError("4 TiB"), monkeypatch)


def test_a_name_that_breaks_its_line_does_not_break_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(ModelError("/models/net.onnx: input 'x\ny' is a map"), monkeypatch)
    assert text == r"/models/net.onnx: input 'x\ny' is a map"


def test_a_file_that_is_no_model_is_refused_as_ever() -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        Reference().prepare(str(Path("/no/such/model.onnx")), {})
