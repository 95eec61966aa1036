"""Names, attributes, errors, and the ways to say which cluster."""

from __future__ import annotations

import errno
import pickle
import threading
from datetime import datetime, timezone

import pytest
from conftest import Cluster

import alluxio
from alluxio import FileSystem, _native, errors


def test_what_is_made_is_found(fs: FileSystem, folder: str) -> None:
    fs.mkdir(f"{folder}/a/b", parents=True)
    fs.write_bytes(f"{folder}/a/f", b"abc", write_type="MUST_CACHE")
    status = fs.status(f"{folder}/a/f")
    assert (status.name, status.length, status.is_directory) == ("f", 3, False)
    assert (status.completed, status.persistence, status.cached_percent) == (True, "NOT_PERSISTED", 100)
    assert status.blocks[0].length == 3 and status.blocks[0].hosts == ("127.0.0.1",)
    assert [one.path for one in fs.list(f"{folder}/a")] == [f"{folder}/a/b", f"{folder}/a/f"]
    assert {one.name for one in fs.list(folder, recursive=True)} == {"a", "b", "f"}
    assert fs.exists(f"{folder}/a") and not fs.exists(f"{folder}/b")
    assert fs.is_dir(f"{folder}/a") and fs.is_file(f"{folder}/a/f") and not fs.is_file(f"{folder}/x")
    fs.rename(f"{folder}/a/f", f"{folder}/g")
    assert fs.read_bytes(f"{folder}/g") == b"abc"
    fs.delete(f"{folder}/a", recursive=True)
    assert not fs.exists(f"{folder}/a/b")


def test_a_rename_replaces_when_told_to(fs: FileSystem, folder: str) -> None:
    fs.write_bytes(f"{folder}/a", b"new")
    fs.write_bytes(f"{folder}/b", b"old")
    with pytest.raises(FileExistsError):
        fs.rename(f"{folder}/a", f"{folder}/b")
    fs.rename(f"{folder}/a", f"{folder}/b", replace=True)
    assert fs.read_bytes(f"{folder}/b") == b"new"


def test_attributes_change(fs: FileSystem, folder: str) -> None:
    path = f"{folder}/f"
    fs.write_bytes(path, b"x")
    when = datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    fs.set_attribute(path, mode=0o640, pinned=True, ttl_ms=3_600_000, replication_max=3, modified=when)
    status = fs.status(path)
    assert (status.mode, status.pinned, status.ttl_ms, status.replication_max) == (0o640, True, 3_600_000, 3)
    assert status.modified == when
    fs.set_attribute(path, ttl_ms=-1, replication_max=-1, pinned=False)
    status = fs.status(path)
    assert (status.ttl_ms, status.replication_max, status.pinned) == (None, None, False)
    with pytest.raises(ValueError, match='ttl_action is "SHRED"; it must be one of FREE, DELETE'):
        fs.set_attribute(path, ttl_action="SHRED")


def test_cache_and_under_store(cluster: Cluster, fs: FileSystem, folder: str) -> None:
    path = f"{folder}/f"
    fs.write_bytes(path, b"only cached", write_type="MUST_CACHE")
    assert fs.persist(path) == 1
    assert (cluster.ufs / path[1:]).read_bytes() == b"only cached"
    assert fs.free(path).files == 1
    loaded = fs.load(path)
    assert loaded.files == 1
    (cluster.ufs / folder[1:] / "new").write_bytes(b"behind our back")
    assert fs.status(f"{folder}/new", sync_ms=0).length == 15
    assert fs.capacity().capacity_bytes > 0
    assert set(fs.short_circuit_fallbacks().values()) == {0}


def test_mounts_come_and_go(cluster: Cluster, fs: FileSystem, folder: str) -> None:
    store = cluster.folder / "store"
    store.mkdir()
    (store / "f").write_bytes(b"there")
    fs.mount(f"{folder}/m", str(store), read_only=True)
    assert fs.read_bytes(f"{folder}/m/f") == b"there"
    mounted = {mount.path: mount for mount in fs.mounts()}
    assert mounted[f"{folder}/m"].read_only and mounted[f"{folder}/m"].kind == "local"
    with pytest.raises(errors.ReadOnlyError):
        fs.write_bytes(f"{folder}/m/g", b"")
    fs.unmount(f"{folder}/m")
    assert (store / "f").exists() and not fs.exists(f"{folder}/m")


def test_errors_are_those_of_python(fs: FileSystem, folder: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        fs.status(f"{folder}/nothing")
    assert caught.value.errno == errno.ENOENT
    assert isinstance(caught.value, alluxio.AlluxioError) and caught.value.code == "NOT_FOUND"
    with pytest.raises(IsADirectoryError):
        fs.open(folder)
    with pytest.raises(FileExistsError):
        fs.mkdir(folder)
    fs.write_bytes(f"{folder}/f", b"")
    with pytest.raises(NotADirectoryError):
        fs.mkdir(f"{folder}/f/g")
    with pytest.raises(errors.NotEmptyError):
        fs.delete(folder)
    with pytest.raises(FileExistsError):
        fs.open(f"{folder}/f", "xb")
    with pytest.raises(ValueError):
        fs.status("no/slash")
    stranger = FileSystem(
        conf_dir=fs._settings.conf_dir, properties={"alluxio.security.login.username": "stranger"}
    )
    fs.set_attribute(f"{folder}/f", mode=0o600)
    with pytest.raises(PermissionError):
        stranger.read_bytes(f"{folder}/f")


def test_every_code_has_its_exception() -> None:
    names = {name for name in dir(errors) if name.endswith("Error")}
    used = set()
    for code, name, number in _native.CODES:
        kind = getattr(errors, name)
        assert issubclass(kind, alluxio.AlluxioError), code
        assert errno.errorcode[number], code
        used.add(name)
    assert len(_native.CODES) == 25
    assert used | {"AlluxioError"} == names, "a class that nothing raises, or the other way"


def test_a_cluster_is_named_in_three_ways(
    cluster: Cluster, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLUXIO_CONF_DIR", str(cluster.conf_dir))
    properties = {"alluxio.master.hostname": "127.0.0.1", "alluxio.master.rpc.port": str(cluster.port)}
    for named in (FileSystem(), FileSystem(conf_dir=cluster.conf_dir)):
        assert named.exists(folder)
    monkeypatch.setenv("ALLUXIO_CONF_DIR", "/nowhere")
    for named in (FileSystem(cluster.url), FileSystem(properties=properties)):
        assert named.exists(folder)
    assert FileSystem(cluster.url).exists(f"{cluster.url}{folder}")
    with pytest.raises(ValueError, match="not host:port"):
        FileSystem("alluxio://no-port/")
    with pytest.raises(ValueError, match="alluxio.user.file.writetype.default"):
        FileSystem(cluster.url, properties={"alluxio.user.file.writetype.defualt": "THROUGH"})


def test_clients_of_one_cluster_share_their_threads(cluster: Cluster) -> None:
    first, second = cluster.client(), cluster.client()
    assert first.native() is second.native() and first == second
    copied = pickle.loads(pickle.dumps(first))
    assert copied == first and copied.native() is first.native()
    other = cluster.client(**{"alluxio.user.file.writetype.default": "THROUGH"})
    assert other.native() is not first.native() and other != first


def test_threads_wait_at_the_same_time(fs: FileSystem, folder: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                fs.write_bytes(f"{folder}/{number}-{turn}", bytes([number]) * 1000)
                assert fs.read_bytes(f"{folder}/{number}-{turn}") == bytes([number]) * 1000
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(fs.list(folder)) == 160
