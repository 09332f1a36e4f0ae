"""Hosts on one machine, kept apart by namespaces: each has its own network, processes, name and home.

They share the file system, so the interpreter and this repository are the same for all; `~` and `TMPDIR` are
each host's own. The namespaces have no names: they, and all that runs in them, end with the process that
holds them, which ends with the tests, even where these are killed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.executable)

#: Of a private range, and in namespaces without a way out.
NETWORK = "10.77.0"
SWITCH_ADDRESS = f"{NETWORK}.254"

_READY_SECONDS = 10.0

# The first process of a host: it takes in what is orphaned there, as init does, and holds the namespaces.
_INIT = """
set -e
hostname {name}
mount --bind {folder} {me}
mount --bind {me}/etc/passwd /etc/passwd
ip link set lo up
touch {me}/ready
while :; do sleep 3600 & wait; done
"""


def missing() -> str:
    """Say what hosts can't be made for lack of here, or nothing."""
    if os.geteuid() != 0:
        return "making network namespaces takes root"
    tools = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux"}
    if why := missing_tool(tools):
        return why
    tried = subprocess.run(
        [
            "unshare",
            "--net",
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "ip",
            "link",
            "add",
            "br0",
            "type",
            "bridge",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return f"no namespaces can be made here: {tried.stderr.strip()}" if tried.returncode else ""


def missing_tool(packages: Mapping[str, str]) -> str:
    """Say which of these tools, each with Debian's package, is not here, or nothing."""
    for tool, package in packages.items():
        if shutil.which(tool) is None:
            return f"{tool} is not here (Debian's package {package})"
    return ""


@dataclass
class Host:
    """One host.

    Attributes
    ----------
    home : Path
        As this test sees it; on the host itself it is :attr:`me` / "home".
    """

    name: str
    address: str
    network: Network
    keeper: subprocess.Popen[bytes]
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.network.folder / self.name

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def me(self) -> Path:
        return self.network.folder / "me"

    @property
    def init(self) -> int:
        """Id, out here, of the host's first process."""
        return int(next(iter(psutil.Process(self.keeper.pid).children())).pid)

    def environment(self) -> dict[str, str]:
        """Return what a login there would set: nothing of the tests' own but the path to this repository."""
        kept = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL", "TUNEFLEET_ENGINES")}
        return {
            **kept,
            "HOME": str(self.me / "home"),
            "TMPDIR": str(self.me / "tmp"),
            "RAY_TMPDIR": str(self.me / "tmp"),
            "PATH": os.pathsep.join(
                [str(PYTHON.parent), "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            ),
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            **self.settings,
        }

    def command(self, *command: str | Path) -> list[str]:
        """Return what runs a command there."""
        enter = ["nsenter", f"--target={self.init}", "--net", "--mount", "--uts", "--pid"]
        # A shell in between: only it can be in the home of the host's own view.
        return [*enter, "--", "bash", "-c", 'cd "$HOME"; exec "$@"', "bash", *map(str, command)]

    def start(self, *command: str | Path, log: str) -> subprocess.Popen[bytes]:
        """Start something that runs on; what it says goes into the file `log` of the host's folder."""
        with (self.folder / log).open("wb") as out:
            return subprocess.Popen(
                self.command(*command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                start_new_session=True,
            )

    def run(
        self, *command: str | Path, seconds: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run something to its end."""
        # In files: a service that it leaves behind would hold a pipe open.
        with (self.folder / "stdout").open("w+") as out, (self.folder / "stderr").open("w+") as err:
            code = subprocess.run(
                self.command(*command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.environment(),
                timeout=seconds,
                check=False,
            ).returncode
            out.seek(0)
            err.seek(0)
            done = subprocess.CompletedProcess(list(map(str, command)), code, out.read(), err.read())
        assert not check or code == 0, (
            f"on {self.name}: {shlex.join(map(str, command))} ended with {code}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return what runs there and has all these words in its command line."""
        found = []
        inside = os.stat(f"/proc/{self.init}/ns/pid").st_ino
        for process in psutil.process_iter():
            # One that has ended since is not meant.
            with contextlib.suppress(psutil.NoSuchProcess, OSError):
                there = os.stat(f"/proc/{process.pid}/ns/pid").st_ino == inside
                if there and all(word in " ".join(process.cmdline()) for word in words):
                    found.append(process)
        return found

    def plug(self, inserted: bool) -> None:
        """Put the host's cable into the switch, or pull it."""
        self.network.switch.run("ip", "link", "set", self.name, "up" if inserted else "down")

    def kill(self) -> None:
        """Have the host die as by a power failure: all its processes are killed at once, its link is gone."""
        self.keeper.send_signal(signal.SIGKILL)
        self.keeper.wait(10)


class Network:
    """A switch, and hosts at its ports.

    Parameters
    ----------
    folder : Path
        Where the hosts' folders are made; short, for Ray's sockets lie in them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "me").mkdir()
        self._hosts: list[Host] = []
        self.switch = self._host("switch", SWITCH_ADDRESS)
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge")
        self.switch.run("ip", "address", "add", f"{SWITCH_ADDRESS}/24", "dev", "bridge")
        self.switch.run("ip", "link", "set", "bridge", "up")

    def host(self, name: str, number: int, **settings: str) -> Host:
        """Add a host.

        Parameters
        ----------
        number : int
            The last part of its address.
        settings
            Environment of all that is run there.
        """
        host = self._host(name, f"{NETWORK}.{number}", **settings)
        switch = self.switch
        switch.run(*f"ip link add name {name} type veth peer name lan".split())
        # By its process id out here: in there it is the first of its own.
        subprocess.run(
            [
                "nsenter",
                f"--target={switch.init}",
                "--net",
                "ip",
                "link",
                "set",
                "lan",
                "netns",
                str(host.init),
            ],
            check=True,
            timeout=10,
        )
        switch.run(*f"ip link set {name} master bridge up".split())
        host.run(*f"ip address add {host.address}/24 dev lan".split())
        host.run(*["ip", "link", "set", "lan", "up"])
        # It leads nowhere; without one, Ray doesn't find out which of its addresses a host has.
        host.run(*f"ip route add default via {SWITCH_ADDRESS}".split())
        return host

    def close(self) -> None:
        """End all hosts."""
        for host in self._hosts:
            if host.keeper.poll() is None:
                host.kill()

    def _host(self, name: str, address: str, **settings: str) -> Host:
        folder = self.folder / name
        for part in ("home", "tmp", "etc"):
            (folder / part).mkdir(parents=True)
        me = self.folder / "me"
        root, *others = Path("/etc/passwd").read_text().splitlines()
        fields = root.split(":")
        assert fields[0] == "root"
        fields[5] = str(me / "home")
        (folder / "etc" / "passwd").write_text("\n".join([":".join(fields), *others]) + "\n")
        script = _INIT.format(name=name, folder=folder, me=me)
        keeper = subprocess.Popen(
            [
                *["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--uts", "--pid"],
                *["--fork", "--kill-child=KILL", "--mount-proc", "bash", "-c", script],
            ],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        host = Host(name, address, self, keeper, settings)
        self._hosts.append(host)
        until = time.monotonic() + _READY_SECONDS
        while not (folder / "ready").exists():
            assert keeper.poll() is None, f"the host {name} could not be made; what it said is above"
            assert time.monotonic() < until, f"the host {name} is not there after {_READY_SECONDS:g} s"
            time.sleep(0.02)
        return host


def tunefleet(*arguments: str | Path) -> Sequence[str | Path]:
    """Return the command of this environment."""
    return [PYTHON.parent / "tunefleet", *arguments]
