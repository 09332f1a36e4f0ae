"""`ray up cluster.yaml` onto two hosts with a real sshd, called from a third; and what is done after it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

import orchestrator as tf
from orchestrator.doctor.packages import check_jobs
from orchestrator.storage import CampaignState
from tests.kit.host_cluster import said_of
from tests.kit.separate_hosts import ROOT, Host, Network, missing_tool
from tests.kit.tiny_models import save

pytestmark = pytest.mark.hosts

_TRIALS = 8
_SSHD = """
ListenAddress {address}
HostKey {me}/host_key
PidFile none
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
PermitRootLogin prohibit-password
UsePAM no
# The homes lie in a folder for temporary files, which anybody may write to.
StrictModes no
# Where each host has files of its own, which on hosts with disks of their own needs no saying.
SetEnv TMPDIR={me}/tmp RAY_TMPDIR={me}/tmp
"""


@pytest.fixture
def desk(network: Network, require: Callable[[str], None]) -> Host:
    """The machine that `ray up` is called on."""
    tools = {"/usr/sbin/sshd": "openssh-server", "ssh": "openssh-client", "rsync": "rsync"}
    require(missing_tool(tools))
    # It runs on the nodes as well: they have this environment for theirs.
    jobs = check_jobs()
    require(f"{jobs.name}: {jobs.found}; {jobs.mend}" if jobs.mend else "")
    desk = network.host("desk", 1)
    desk.run("bash", "-c", "mkdir -m 700 .ssh && ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519")
    desk.run("ray", "get-auth-token", "--generate")
    return desk


def serve_ssh(desk: Host, host: Host) -> None:
    """Let the desk's user in."""
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host.me / "host_key")
    (host.home / ".ssh").mkdir(mode=0o700)
    shutil.copy(desk.home / ".ssh" / "id_ed25519.pub", host.home / ".ssh" / "authorized_keys")
    (host.folder / "sshd_config").write_text(_SSHD.format(address=host.address, me=host.me))
    host.run("mkdir", "-p", "/run/sshd")
    host.start("/usr/sbin/sshd", "-D", "-e", "-f", host.me / "sshd_config", log="sshd.log")


def fill_in(desk: Host, head: Host, worker: Host) -> None:
    """Write the desk's copy of cluster.yaml."""
    written = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    written["provider"].update(head_ip=head.address, worker_ips=[worker.address])
    written["auth"].update(ssh_user="root")
    written["file_mounts"]["~/tunefleet"] = str(ROOT)
    # What differs from a real cluster: installing all on each node would take minutes, so the nodes have this
    # environment for theirs, with the copy of the project that `ray up` made there before its own.
    setup = written["setup_commands"]
    assert ["-m venv" in setup[0], "pip install" in setup[1], "engines install" in setup[2]] == [True] * 3
    written["setup_commands"] = [
        f"ln -sfn {sys.prefix} ~/tunefleet-venv",
        *setup[3:],
        "echo 'export PYTHONPATH=$HOME/tunefleet' >> ~/.tunefleet-environment",
    ]
    for role in ("head", "worker"):
        commands = written[f"{role}_start_ray_commands"]
        # Small ones: there are several of them on this machine.
        commands[1] = commands[1].replace(
            "ray start", "ray start --num-cpus=1 --object-store-memory=100000000"
        )
    (desk.home / "cluster.yaml").write_text(yaml.safe_dump(written, sort_keys=False))


@contextmanager
def way_to_the_jobs(desk: Host) -> Iterator[None]:
    """Have `ray dashboard` hold its tunnel open."""
    tunnel = desk.start("ray", "dashboard", "cluster.yaml", log="tunnel.log")
    try:
        yield
    finally:
        tunnel.kill()
        tunnel.wait(10)


def wait(condition: Callable[[], object], what: str, seconds: float, said: Callable[[], str] = str) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not after {seconds:g} s: {what}\n{said()}"
        time.sleep(0.5)


def scaler(head: Host) -> Callable[[], str]:
    """Return what reads the log of who brings the other nodes up."""
    return lambda: "\n".join(
        f"{path.name}: {path.read_text()[-6000:]}"
        for path in sorted((head.folder / "tmp" / "ray").glob("session_2*/logs/monitor*"))
    )


def states(database: Path) -> list[CampaignState]:
    if not database.exists():
        return []
    with tf.Storage.open(f"sqlite:///{database}") as store:
        return [row.state for row in store.campaigns.newest()]


def test_a_cluster_comes_up_runs_what_is_submitted_and_goes_down(network: Network, desk: Host) -> None:
    head, worker = network.host("head", 10), network.host("worker", 11)
    for host in (head, worker):
        serve_ssh(desk, host)
    fill_in(desk, head, worker)
    began = time.monotonic()
    desk.run("ray", "up", "--yes", "cluster.yaml", seconds=240)
    up = time.monotonic() - began
    assert head.processes("raylet")
    wait(lambda: worker.processes("raylet/raylet"), "the head brings up the other node", 120, scaler(head))
    print(f"seconds: ray up {up:.0f}, the other node {time.monotonic() - began - up:.0f} later")

    def called(*command: str) -> str:
        return desk.run("ray", *command, seconds=120).stdout

    models = desk.home / "models"
    models.mkdir()
    save(models / "tiny.onnx")
    budget = ["--trials", str(_TRIALS), "--tasks", "conv2d"]
    database = head.home / ".local/share/tunefleet/tunefleet.db"
    desk.settings["RAY_API_SERVER_ADDRESS"] = "http://127.0.0.1:8265"
    with way_to_the_jobs(desk):
        wait(
            lambda: desk.run("ray", "job", "list", check=False).returncode == 0,
            "the jobs are reached",
            60,
            (desk.folder / "tunnel.log").read_text,
        )
        called("job", "submit", "--working-dir", "models", "--", "tunefleet", "submit", "tiny.onnx", *budget)
        wait(lambda: states(database), "the campaign is in the database", 30)
        try:
            wait(lambda: states(database)[0] is CampaignState.DONE, "the coordinator runs it", 180)
        finally:
            print(called("job", "logs", "tunefleet-coordinator")[-3000:])
    with tf.Storage.open(f"sqlite:///{database}") as store:
        [campaign], trials = store.campaigns.newest(), store.trials.of_campaign(1)
    assert len(trials) == _TRIALS
    assert (campaign.state, campaign.message) == (CampaignState.DONE, said_of(trials))
    # The same from a shell on the head: what is stored counts, so there is nothing to measure.
    called("exec", "cluster.yaml", "mkdir -p ~/models")
    called("rsync-up", "cluster.yaml", "models/tiny.onnx", "~/models/tiny.onnx")
    called("exec", "cluster.yaml", " ".join(["tunefleet", "submit", "~/models/tiny.onnx", *budget]))
    wait(lambda: states(database) == [CampaignState.DONE] * 2, "the second campaign ends", 120)
    attached = subprocess.run(
        desk.command("ray", "attach", "cluster.yaml"),
        input="tunefleet list --json | wc -l; exit\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=desk.environment(),
    )
    assert attached.returncode == 0, attached.stdout
    called("down", "--yes", "cluster.yaml")
    went_down = time.monotonic()
    for process in ("raylet/raylet", "tunefleet coordinator", "tunefleet serve"):
        wait(lambda: not head.processes(process), f"{process} ends on the head", 30)  # noqa: B023
    # Nobody stops Ray there; it ends by itself when it has missed its head for a minute.
    wait(lambda: not worker.processes("raylet/raylet"), "Ray ends on the other node", 120)
    print(f"seconds: Ray ended on the other node {time.monotonic() - went_down:.0f} after `ray down`")
