"""Uploads: kept by their content, whole or not at all; and campaigns of them."""

from __future__ import annotations

import hashlib
import resource
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
import numpy as np
import onnx
import pytest
from anyio import create_task_group, fail_after, sleep, to_thread
from anyio.from_thread import start_blocking_portal
from onnx import helper, numpy_helper
from onnx.external_data_helper import set_external_data
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from orchestrator.campaigns.running.fetched import fetched
from orchestrator.campaigns.spec import CampaignSpec
from orchestrator.errors import ModelError, UsageError
from orchestrator.models.elsewhere import local_file
from orchestrator.service.uploads import folder
from orchestrator.service.uploads.examine import _inputs
from orchestrator.service.uploads.folder import Uploads, file_name
from orchestrator.storage import Storage
from tests.kit.documented import assert_documented
from tests.kit.listening import listening
from tests.kit.model_builders import dense_model
from tests.kit.service_client import API, client_of, error_of
from tests.kit.tiny_models import tiny

MODEL = tiny().SerializeToString()


def kept(files: Path) -> list[str]:
    """Return the names of all that is kept."""
    return sorted(path.name for path in files.rglob("*") if path.is_file())


@pytest.fixture
def small(store: Storage, files: Path) -> Iterator[TestClient]:
    """A client of a service that takes a thousand bytes."""
    with client_of(store, files, upload_bytes=1000) as made:
        yield made


def test_a_model_is_kept_once_and_named_by_its_content(
    client: TestClient, store: Storage, files: Path
) -> None:
    first = client.post(f"{API}/models?name=some/where/net.onnx", content=MODEL)
    assert first.status_code == 201, first.text
    assert_documented(first.json())
    assert (first.json()["name"], first.json()["known"]) == ("net.onnx", False)
    assert [one["name"] for one in first.json()["inputs"]] == ["x"]
    again = client.post(f"{API}/models?name=other.onnx", content=MODEL).json()
    assert (again["sha256"], again["name"], again["known"]) == (first.json()["sha256"], "net.onnx", True)
    assert kept(files) == ["net.onnx"]
    assert [row.action for row in store.audit.newest()] == ["upload"]


def test_an_input_whose_shape_is_open_is_said(client: TestClient) -> None:
    model = dense_model("batch").SerializeToString()
    answer = client.post(f"{API}/models", content=model).json()
    assert answer["inputs"][0]["shape"][0] is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "nothing was uploaded"),
        (b"hello", "no ONNX file"),
        (MODEL[:-100], "no ONNX file"),
        (b"\x80\x02}q\x00.", "no ONNX file"),
        (b"\x08\x07", "there is no graph"),
        (b"\x00" * 5000, "no ONNX file"),
    ],
    ids=["empty", "text", "cut off", "pickle", "no graph", "zeros"],
)
def test_what_is_no_model_is_refused_and_not_kept(
    client: TestClient, files: Path, content: bytes, said: str
) -> None:
    assert said in error_of(client.post(f"{API}/models", content=content), 400)
    assert kept(files) == []


def test_weights_in_another_file_are_asked_for(client: TestClient, files: Path, tmp_path: Path) -> None:
    model = tiny()
    onnx.save(tiny(), tmp_path / "plain.onnx")
    for tensor in model.graph.initializer:
        set_external_data(tensor, location="../../etc/passwd")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
    assert "in another file" in error_of(client.post(f"{API}/models", content=model.SerializeToString()), 400)
    assert kept(files) == []


def _outside(called: str) -> onnx.TensorProto:
    """A weight that is in another file."""
    tensor = numpy_helper.from_array(np.zeros((4,), "float32"), called)
    set_external_data(tensor, location="weights.bin")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    return tensor


def _constant() -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["k"], value=_outside("k"))


def _branch() -> onnx.NodeProto:
    graph = helper.make_graph([helper.make_node("Identity", ["k"], ["out"])], "then", [], [], [_outside("k")])
    inside = helper.make_node("If", ["cond"], ["out"], then_branch=graph, else_branch=graph)
    return helper.make_node("If", ["cond"], ["out"], then_branch=helper.make_graph([inside], "outer", [], []))


def _sparse() -> onnx.NodeProto:
    indices = numpy_helper.from_array(np.arange(4), "i")
    sparse = helper.make_sparse_tensor(_outside("k"), indices, [8])
    return helper.make_node("Constant", [], ["k"], sparse_value=sparse)


@pytest.mark.parametrize("make", [_constant, _branch, _sparse])
@pytest.mark.parametrize("within", ["graph", "function"])
def test_weights_in_another_file_are_found_wherever_they_are(
    tmp_path: Path, make: Callable[[], onnx.NodeProto], within: str
) -> None:
    model = tiny()
    if within == "graph":
        model.graph.node.append(make())
    else:
        opsets = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("own", "f", [], ["k"], [make()], opsets))
    file = tmp_path / "net.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"of its weights are in another file \('k' first\)"):
        _inputs(str(file))


def test_what_is_too_large_is_refused_and_not_kept(small: TestClient, files: Path) -> None:
    assert "larger than 1,000 bytes" in error_of(small.post(f"{API}/models", content=b"x" * 1001), 413)
    assert kept(files) == []


@pytest.fixture
def little_room() -> Iterator[int]:
    """Files of this process end at so many bytes, as they would on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = 8 * 2**20
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    yield most
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_disk_has_no_room_for_is_refused_and_not_kept(
    client: TestClient, files: Path, little_room: int
) -> None:
    for path in ("models", "records"):
        said = error_of(client.post(f"{API}/{path}", content=b" " * (little_room + 1)), 507)
        assert said == "the server has no room for this: File too large; tell who runs it"
    assert kept(files) == []


def test_a_folder_that_can_t_be_made_is_said(store: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with client_of(store, tmp_path / "file" / "models") as made:
        assert "Not a directory" in error_of(made.post(f"{API}/models", content=MODEL), 507)


def test_what_is_read_whole_is_small_and_what_is_uploaded_need_not_be(
    client: TestClient, files: Path
) -> None:
    large = b" " * (2**20 + 1)
    assert "larger" in error_of(client.post(f"{API}/campaigns", content=large), 413)
    assert "no ONNX file" in error_of(client.post(f"{API}/models", content=large), 400)
    with client_of(Storage.open(str(files) + ".db"), files, host="0.0.0.0") as away:
        error_of(away.post(f"{API}/campaigns", content=large), 413)
        error_of(away.post(f"{API}/models", content=large), 401)
    assert kept(files) == []


def test_two_files_are_looked_into_at_once_and_the_others_keep_no_thread(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(files)
    looked, most = threading.Semaphore(0), 0
    at_it: list[Path] = []

    def look(path: Path) -> list[dict[str, Any]]:
        nonlocal most
        at_it.append(path)
        most = max(most, len(at_it))
        assert looked.acquire(timeout=30.0)
        at_it.remove(path)
        return []

    async def come(number: int) -> AsyncIterator[bytes]:
        yield b"%d" % number

    async def many() -> None:
        threads = to_thread.current_default_thread_limiter()
        async with create_task_group() as group:
            for number in range(int(threads.total_tokens) + 5):
                group.start_soon(uploads.take, "net.onnx", come(number), 100)
            with fail_after(30.0):
                while uploads.examining.statistics().tasks_waiting < threads.total_tokens + 3:
                    await sleep(0.01)
                assert threads.borrowed_tokens == 0
                await to_thread.run_sync(looked.release, 1000)

    monkeypatch.setattr(folder, "examine", look)
    with start_blocking_portal() as portal:
        portal.call(many)
    assert most == 2
    assert len(kept(files)) == 45


def test_an_upload_that_is_cut_off_leaves_nothing(files: Path) -> None:
    async def cut_off() -> AsyncIterator[bytes]:
        yield MODEL[:100]
        raise ClientDisconnect

    with start_blocking_portal() as portal, pytest.raises(ClientDisconnect):
        portal.call(Uploads(files).take, "net.onnx", cut_off(), 10_000)
    assert list(files.iterdir()) == []


def test_an_upload_whose_sender_is_gone_leaves_nothing(store: Storage, files: Path) -> None:
    def until(there: Callable[[], bool], what: str) -> None:
        late = time.monotonic() + 30.0
        while not there():
            assert time.monotonic() < late, what
            time.sleep(0.01)

    with listening(store, files) as address:
        where = urlsplit(address)
        assert where.hostname is not None
        with socket.create_connection((where.hostname, where.port or 80)) as sender:
            head = (
                f"POST {API}/models HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(MODEL)}\r\n\r\n"
            )
            sender.sendall(head.encode() + MODEL[:-1])
            until(lambda: len(kept(files)) == 1, "nothing arrived")
        until(lambda: kept(files) == [], "what arrived is there still")
    assert list(files.iterdir()) == []
    assert store.audit.newest() == []


@pytest.mark.parametrize(
    ("name", "kept_as"),
    [
        ("net.onnx", "net.onnx"),
        ("C:\\models\\net.onnx", "net.onnx"),
        ("../../etc/passwd", "passwd.onnx"),
        ("<script>.onnx", "script.onnx"),
        ("..", "model.onnx"),
        ("", "model.onnx"),
        ("naïve net.onnx", "naïve_net.onnx"),
        ("x" * 500, "x" * 60 + ".onnx"),
        ("a\x00b\n", "a_b.onnx"),
    ],
)
def test_names_of_uploads_are_safe_for_files(name: str, kept_as: str) -> None:
    assert file_name(name) == kept_as


def test_a_submitted_model_stays_though_its_sender_is_gone(client: TestClient, store: Storage) -> None:
    sha256 = client.post(f"{API}/models?name=net.onnx", content=MODEL).json()["sha256"]
    answer = client.post(
        f"{API}/campaigns",
        json={
            "models": [{"sha256": sha256, "shapes": {"x": [1, 3, 8, 8]}}],
            "name": "nightly <b>",
            "time_s": 60,
            "priority": 3,
            "tasks": "conv",
        },
    )
    assert answer.status_code == 201, answer.text
    assert_documented(answer.json(), example="submit")
    row = store.campaigns.get("nightly <b>")
    model = store.campaigns.models(row.id)[0]
    assert Path(model.path).read_bytes() == MODEL
    assert model.shapes == {"x": (1, 3, 8, 8)}
    assert (row.priority, row.spec["time_s"], row.spec["tasks"]) == (3, 60.0, "conv")


_WRONG: list[tuple[dict[str, object], int]] = [
    ({"models": []}, 422),
    ({"models": [{"sha256": "../../etc/passwd"}]}, 422),
    ({"models": [{"sha256": "0" * 64}]}, 404),
    ({"models": [{"path": "/etc/passwd"}]}, 422),
    ({"name": "7"}, 400),
    ({"name": "taken"}, 400),
    ({"name": "\x00"}, 400),
    ({"tasks": "("}, 400),
    ({"time_s": 0}, 422),
    ({"trials": 2**40}, 422),
    ({"priority": 1001}, 422),
    ({"engine": "rm -rf"}, 400),
    ({"seed": 0}, 422),
    ({"evaluator": {"number": 0}}, 422),
    ({"evaluator": {"cooldown_s": 1}}, 422),
    ({"revalidate": -1}, 422),
    ({"search": {"population": [1]}}, 422),
    ({"boards": {"rpi": "\x00"}}, 400),
    ({"build_timeout_s": 5}, 422),
]


def test_a_campaign_that_can_t_be_right_is_refused_and_not_stored(client: TestClient, store: Storage) -> None:
    sha256 = client.post(f"{API}/models", content=MODEL).json()["sha256"]
    wanted = {"models": [{"sha256": sha256}], "name": "taken"}
    assert client.post(f"{API}/campaigns", json=wanted).status_code == 201
    for change, status in _WRONG:
        error_of(client.post(f"{API}/campaigns", json={**wanted, "name": None, **change}), status)
    assert len(store.campaigns.newest()) == 1


def test_what_did_not_arrive_as_it_was_announced_is_refused(client: TestClient, files: Path) -> None:
    digest = hashlib.sha256(MODEL).hexdigest()
    answer = client.post(f"{API}/models?sha256={digest}", content=MODEL[:-7])
    assert "another file" in error_of(answer, 400)
    assert "no model" in error_of(client.get(f"{API}/uploads/{digest}"), 404)
    assert client.post(f"{API}/models?sha256={digest}", content=MODEL).status_code == 201
    there = client.get(f"{API}/uploads/{digest}").json()
    assert_documented(there)
    assert (there["known"], there["size_bytes"]) == (True, len(MODEL))
    assert kept(files) == ["model.onnx"]


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_uploads_may_be_kept_where_fsspec_reaches(
    store: Storage, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"file://{tmp_path / 'bucket'}" if kind == "file" else f"memory://{tmp_path.name}"
    with client_of(store, files, uploads=url) as client:
        sha256 = client.post(f"{API}/models?name=net.onnx", content=MODEL).json()["sha256"]
        assert client.post(f"{API}/models?name=other.onnx", content=MODEL).json()["known"]
        assert kept(files) == []
        asked = {"models": [{"sha256": sha256}], "trials": 5}
        campaign = client.post(f"{API}/campaigns", json=asked).json()["campaign"]
    (model,) = store.campaigns.models(campaign["id"])
    assert model.path == f"{url}/{sha256}/net.onnx"
    # What runs it has a file in its place, which is fetched once.
    spec = CampaignSpec.of(store.campaigns.get(campaign["id"]).spec)
    (request,) = fetched(spec).models
    assert Path(request.path).read_bytes() == MODEL
    fsspec.core.url_to_fs(url)[0].rm(fsspec.core.url_to_fs(url)[1], recursive=True)
    assert fetched(spec).models == (request,)
    Path(request.path).unlink()
    with pytest.raises(ModelError, match="upload it, and submit it again"):
        fetched(spec)


def test_a_model_elsewhere_that_was_changed_is_not_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = tmp_path / ("0" * 64)
    home.mkdir()
    (home / "net.onnx").write_bytes(MODEL)
    with pytest.raises(ModelError, match="its SHA-256 isn't its folder's name"):
        local_file(f"file://{home}/net.onnx")
    assert not list((tmp_path / "cache").rglob("*.onnx*"))
    with pytest.raises(ModelError, match="isn't called by its SHA-256"):
        local_file(f"file://{tmp_path}/net.onnx")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense://bucket", "no URL that fsspec knows"),
        ("sftp://me:secret@host/models", "no account and no password"),
    ],
)
def test_a_place_that_is_none_is_refused_before_anything_listens(
    store: Storage, files: Path, url: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        client_of(store, files, uploads=url)
    assert "secret" not in str(caught.value)
