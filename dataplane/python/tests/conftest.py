"""A cluster of real processes for the tests: master and workers of the built binary."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import alluxio

#: Longest time until a server is ready, on a machine with much else to do.
READY_SECONDS = 120


class Server:
    """One process; ready when its constructor returns."""

    def __init__(self, role: str, conf_dir: Path, log: Path) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("ALLUXIO_")}
        env["ALLUXIO_CONF_DIR"] = str(conf_dir)
        self.log = log
        errors = log.open("a")
        self.process = subprocess.Popen(
            [binary(), role], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        errors.close()
        ready = threading.Event()
        self.reader = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self.reader.start()
        if not ready.wait(READY_SECONDS) or self.process.poll() is not None:
            self.kill()
            raise RuntimeError(f"{role} did not start: {log.read_text()[-4000:]}")

    def _read(self, ready: threading.Event) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines, self.log.open("a") as log:
            for line in lines:
                log.write(line)
                log.flush()
                try:
                    message = json.loads(line).get("message", "")
                except ValueError:
                    continue
                if message.endswith("is ready"):
                    ready.set()
        # It ended: whoever waits looks why.
        ready.set()

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self.process.kill()
        self.process.wait()
        self.reader.join()


class Cluster:
    """A master, workers, and a folder as the under store of ``/``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf_dir = folder / "conf"
        self.ufs = folder / "ufs"
        for sub in ("conf", "ufs", "logs"):
            (folder / sub).mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.properties = {
            "alluxio.work.dir": str(folder),
            "alluxio.master.mount.table.root.ufs": str(self.ufs),
            "alluxio.master.rpc.port": str(self.port),
            "alluxio.master.web.port": "0",
            "alluxio.worker.rpc.port": "0",
            "alluxio.worker.web.port": "0",
            "alluxio.worker.data.port": "0",
            "alluxio.worker.tieredstore.level0.dirs.quota": "2GB",
            # A worker that was killed is passed over at once, and soon forgotten.
            "alluxio.user.block.read.retry.sleep.base": "20ms",
            "alluxio.user.block.size.bytes.default": "1MB",
        }
        for role in ("master", "worker"):
            for key in ("hostname", "bind.host", "web.bind.host"):
                self.properties[f"alluxio.{role}.{key}"] = "127.0.0.1"
        self.servers: dict[str, Server] = {}
        self._site("conf")
        subprocess.run(
            [binary(), "formatMaster"],
            env={"ALLUXIO_CONF_DIR": str(self.conf_dir), "PATH": os.environ["PATH"]},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self.start("master", "conf")

    @property
    def url(self) -> str:
        """Where the master is."""
        return f"alluxio://127.0.0.1:{self.port}"

    def _site(self, conf: str, **more: str) -> Path:
        path = self.folder / conf
        path.mkdir(exist_ok=True)
        pairs = self.properties | {"alluxio.conf.dir": str(path)} | more
        lines = "".join(f"{key}={value}\n" for key, value in pairs.items())
        (path / "alluxio-site.properties").write_text(lines)
        return path

    def start(self, role: str, conf: str) -> None:
        """Starts a server under the name of its configuration."""
        log = self.folder / "logs" / f"{conf}.log"
        self.servers[conf] = Server(role, self.folder / conf, log)

    def start_worker(self, number: int) -> None:
        """Starts a worker with a tier of its own."""
        tier = self.folder / f"tier-{number}"
        tier.mkdir(exist_ok=True)
        key = "alluxio.worker.tieredstore.level0.dirs.path"
        self._site(f"worker-{number}", **{key: str(tier)})
        self.start("worker", f"worker-{number}")

    def kill_worker(self, number: int) -> None:
        """Ends one in the middle of whatever it does."""
        self.servers.pop(f"worker-{number}").kill()

    def client(self, **properties: str) -> alluxio.FileSystem:
        """A client, configured by the site file."""
        pairs = {"alluxio.user.rpc.retry.max.duration": "60s"} | properties
        return alluxio.FileSystem(conf_dir=self.conf_dir, properties=pairs)

    def stop(self) -> None:
        """Ends everything."""
        for server in self.servers.values():
            server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def binary() -> str:
    """The built program."""
    path = os.environ.get("ALLUXIO_BINARY")
    if not path:
        raise RuntimeError("ALLUXIO_BINARY must name the program `alluxio`; `cargo xtask python` sets it")
    return path


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all tests that leave it as it is."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start_worker(1)
        yield made
    finally:
        made.stop()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster for a test that breaks it."""
    made = Cluster(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def fs(cluster: Cluster) -> alluxio.FileSystem:
    """A client."""
    return cluster.client()


@pytest.fixture
def folder(fs: alluxio.FileSystem, request: pytest.FixtureRequest) -> Iterator[str]:
    """A directory of the test's own."""
    path = f"/{request.node.name.replace('[', '-').replace(']', '')}"
    fs.mkdir(path)
    yield path
    fs.delete(path, recursive=True)
