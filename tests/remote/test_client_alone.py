"""A client needs nothing of what tunes or serves: shown by commands where none of that can be imported."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.storage import CampaignState, Storage, TokenScope
from tests.kit.cli_builders import tuned
from tests.kit.client_commands import WITHOUT, commands
from tests.kit.listening import listening
from tests.kit.service_client import token
from tests.kit.service_server import serving
from tests.kit.tiny_models import tiny

_PROJECT = Path(__file__).parents[2]
# Runs commands in one process: each would take a second to start.
_RUN = """
import importlib.abc, json, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in WITHOUT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

WITHOUT, words = json.loads(sys.argv[1])
sys.meta_path.insert(0, Missing())
from orchestrator.cli import app
from orchestrator.cli.kit.launchers import Launchers
for one in words:
    try:
        app(one, obj=Launchers())
    except SystemExit as ended:
        print(json.dumps([ended.code, one]), flush=True)
"""


def test_the_package_alone_and_its_client_require_nothing_that_tunes() -> None:
    required = importlib.metadata.requires("tunefleet") or []
    alone = [one for one in required if "extra ==" not in one or 'extra == "client"' in one]
    names = {re.split(r"[\[<>=!~; ]", one)[0] for one in alone}
    assert names == {
        *("alembic", "httpx2", "platformdirs", "pydantic", "rich", "setproctitle", "sqlalchemy", "typer"),
    }


def test_commands_run_where_neither_tvm_nor_ray_can_be_imported(store: Storage, tmp_path: Path) -> None:
    tuned(store)
    (tmp_path / "net.onnx").write_bytes(tiny().SerializeToString())
    admin = token(store)
    # The other test runs all of them; here is one of each way to ask, send, follow and fetch.
    kinds = ("submit", "show", "watch", "cancel", "priority", "slowest", "records")
    wanted = [words for words in commands(tmp_path) if words[0] in kinds]
    with listening(store, tmp_path / "uploads") as address:
        done = subprocess.run(
            [sys.executable, "-c", _RUN, json.dumps([WITHOUT, [*wanted, ["build", "1", "-o", "x.so"]]])],
            env={**os.environ, "TUNEFLEET_SERVER": address, "TUNEFLEET_TOKEN": admin},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    codes = [json.loads(line)[0] for line in done.stdout.splitlines() if line.startswith("[")]
    # There is no file of campaign 1's model: that a library is not built is the service's word.
    assert codes == [0] * len(wanted) + [3], done.stderr
    assert "is gone from the server" in done.stderr
    assert store.campaigns.get("mine").state is CampaignState.CANCELLED


@pytest.mark.slow
def test_an_environment_of_the_extra_client_has_all_it_takes(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    constraints = ["--constraint", str(_PROJECT / "constraints.txt")]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *constraints, f"{_PROJECT}[client]"], check=True)
    found = [
        name
        for name in WITHOUT
        if not subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False).returncode
    ]
    assert found == []
    with Storage.open(str(tmp_path / "records.db")) as store:
        tuned(store)
        reader, submitter = token(store, TokenScope.READ, "eve"), token(store, TokenScope.ADMIN)
        (tmp_path / "net.onnx").write_bytes(tiny().SerializeToString())
        program = python.with_name("tunefleet")
        with serving(tmp_path / "records.db") as address:

            def run(words: list[str], secret: str = submitter) -> subprocess.CompletedProcess[str]:
                variables = {"TUNEFLEET_SERVER": address, "TUNEFLEET_TOKEN": secret, "HOME": str(tmp_path)}
                return subprocess.run(
                    [program, *words],
                    env=variables,
                    cwd=tmp_path,
                    capture_output=True,
                    text=True,
                    check=False,
                )

            for words in commands(tmp_path):
                done = run(words)
                assert done.returncode == 0, (words, done.stderr)
                assert "error" not in done.stderr
            refused = run(["cancel", "3"], reader)
            assert (refused.returncode, "this takes submit" in refused.stderr) == (2, True)
            wrong = run(["list"], "tunefleet_nonsense")
            assert (wrong.returncode, "not known here" in wrong.stderr) == (2, True)
        away = run(["list"])
        assert (away.returncode, "no service is reached" in away.stderr) == (1, True)
        here = run(["tasks", "net.onnx", "--db", "x.db"])
        assert (here.returncode, "tunefleet[tuning]" in here.stderr) == (1, True)
