"""``alluxio://`` through fsspec."""

from __future__ import annotations

import pickle
from datetime import timezone
from pathlib import Path

import fsspec
import pytest
from conftest import Cluster

import alluxio.fsspec


@pytest.fixture
def spec(cluster: Cluster) -> alluxio.fsspec.AlluxioFileSystem:
    """The file system, found by its protocol."""
    found = fsspec.filesystem("alluxio", conf_dir=str(cluster.conf_dir))
    assert isinstance(found, alluxio.fsspec.AlluxioFileSystem)
    return found


def test_the_protocol_is_registered(cluster: Cluster, folder: str) -> None:
    with fsspec.open(f"{cluster.url}{folder}/f", "wb") as file:
        file.write(b"by url")
    with fsspec.open(f"{cluster.url}{folder}/f", "r") as file:
        assert file.read() == "by url"
    fs, path = fsspec.core.url_to_fs(f"{cluster.url}{folder}/f")
    assert path == f"{folder}/f" and fs.client.masters == f"127.0.0.1:{cluster.port}"
    assert fs.unstrip_protocol(path) == f"{cluster.url}{folder}/f"


def test_names(spec: alluxio.fsspec.AlluxioFileSystem, folder: str) -> None:
    spec.makedirs(f"{folder}/a/b", exist_ok=True)
    spec.pipe(f"{folder}/a/x", b"12345")
    spec.touch(f"{folder}/a/b/y")
    info = spec.info(f"{folder}/a/x")
    assert (info["name"], info["size"], info["type"]) == (f"{folder}/a/x", 5, "file")
    assert spec.info(f"alluxio://anywhere:1{folder}/a/")["type"] == "directory"
    assert spec.ls(f"{folder}/a", detail=False) == [f"{folder}/a/b", f"{folder}/a/x"]
    assert [entry["type"] for entry in spec.ls(f"{folder}/a")] == ["directory", "file"]
    assert spec.find(folder) == [f"{folder}/a/b/y", f"{folder}/a/x"]
    assert spec.find(folder, maxdepth=2) == [f"{folder}/a/x"]
    assert list(spec.find(f"{folder}/a", withdirs=True, detail=True)) == [
        f"{folder}/a",
        f"{folder}/a/b",
        f"{folder}/a/b/y",
        f"{folder}/a/x",
    ]
    assert spec.find(f"{folder}/a/x") == [f"{folder}/a/x"] and spec.find(f"{folder}/none") == []
    assert spec.glob(f"{folder}/*/x") == [f"{folder}/a/x"]
    assert [(root, dirs, files) for root, dirs, files in spec.walk(f"{folder}/a")] == [
        (f"{folder}/a", ["b"], ["x"]),
        (f"{folder}/a/b", [], ["y"]),
    ]
    assert spec.du(folder) == 5 and spec.isfile(f"{folder}/a/x") and spec.isdir(f"{folder}/a")
    with pytest.raises(FileNotFoundError):
        spec.info(f"{folder}/none")
    assert spec.created(f"{folder}/a/x").tzinfo == timezone.utc
    before = spec.modified(f"{folder}/a/x")
    spec.touch(f"{folder}/a/x", truncate=False)
    assert spec.modified(f"{folder}/a/x") > before and spec.cat(f"{folder}/a/x") == b"12345"
    key = spec.ukey(f"{folder}/a/x")
    spec.pipe(f"{folder}/a/x", b"54321")
    assert spec.ukey(f"{folder}/a/x") != key


def test_moving_and_removing(spec: alluxio.fsspec.AlluxioFileSystem, folder: str) -> None:
    spec.pipe({f"{folder}/a": b"a", f"{folder}/b": b"b", f"{folder}/d/e": b"e"})
    spec.mv(f"{folder}/a", f"{folder}/b")
    assert spec.cat(f"{folder}/b") == b"a" and not spec.exists(f"{folder}/a")
    spec.mv(f"{folder}/b", f"{folder}/d")
    assert spec.cat(f"{folder}/d/b") == b"a"
    spec.cp(f"{folder}/d", f"{folder}/copy", recursive=True)
    assert spec.cat(spec.find(f"{folder}/copy")) == {
        f"{folder}/copy/b": b"a",
        f"{folder}/copy/e": b"e",
    }
    with pytest.raises(OSError):
        spec.rm(f"{folder}/copy")
    spec.rm(f"{folder}/copy", recursive=True)
    spec.rm([f"{folder}/d/b", f"{folder}/d/e"])
    spec.rmdir(f"{folder}/d")
    assert spec.ls(folder) == []
    with pytest.raises(FileNotFoundError):
        spec.rm(f"{folder}/none")


def test_ranges(spec: alluxio.fsspec.AlluxioFileSystem, folder: str) -> None:
    data = bytes(range(256)) * 8192
    spec.pipe(f"{folder}/f", data)
    assert spec.cat_file(f"{folder}/f", 10, 20) == data[10:20]
    assert spec.cat_file(f"{folder}/f", -5) == data[-5:]
    assert spec.head(f"{folder}/f", 3) == data[:3] and spec.tail(f"{folder}/f", 3) == data[-3:]
    found = spec.cat_ranges([f"{folder}/f"] * 3, [0, 1 << 20, 5], [10, (1 << 20) + 7, None])
    assert found == [data[:10], data[1 << 20 : (1 << 20) + 7], data[5:]]
    mixed = spec.cat_ranges([f"{folder}/f", f"{folder}/none"], 0, 4)
    assert mixed[0] == data[:4] and isinstance(mixed[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        spec.cat_ranges([f"{folder}/none"], 0, 4, on_error="raise")


def test_to_and_from_local_files(
    spec: alluxio.fsspec.AlluxioFileSystem, folder: str, tmp_path: Path
) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/a").write_bytes(b"a" * 3_000_000)
    (tmp_path / "in/sub/b").write_bytes(b"b")
    spec.put(f"{tmp_path}/in", f"{folder}/up", recursive=True)
    assert spec.du(f"{folder}/up") == 3_000_001
    spec.get(f"{folder}/up", f"{tmp_path}/out", recursive=True)
    assert (tmp_path / "out/a").read_bytes() == b"a" * 3_000_000
    assert (tmp_path / "out/sub/b").read_bytes() == b"b"


def test_a_transaction_is_all_or_nothing(
    spec: alluxio.fsspec.AlluxioFileSystem, folder: str
) -> None:
    with spec.transaction:
        for name in "ab":
            with spec.open(f"{folder}/{name}", "wb") as file:
                file.write(name.encode())
    assert spec.cat(f"{folder}/a") == b"a" and spec.cat(f"{folder}/b") == b"b"
    with pytest.raises(KeyError), spec.transaction:
        with spec.open(f"{folder}/c", "wb") as file:
            file.write(b"c")
        raise KeyError
    assert not spec.exists(f"{folder}/c")
    with pytest.raises(KeyError), spec.open(f"{folder}/t", "w") as text:
        text.write("half")
        raise KeyError
    assert not spec.exists(f"{folder}/t")


def test_modes(spec: alluxio.fsspec.AlluxioFileSystem, folder: str) -> None:
    with spec.open(f"{folder}/z", "wt", compression="gzip") as text:
        text.write("packed")
    with spec.open(f"{folder}/z", "rt", compression="gzip") as text:
        assert text.read() == "packed"
    for mode in ("wt", "wb"):
        with pytest.raises(KeyError), spec.open(f"{folder}/y.gz", mode, compression="infer") as file:
            file.write("half" if mode == "wt" else b"half")
            raise KeyError
        assert not spec.exists(f"{folder}/y.gz")
    with pytest.raises(FileExistsError):
        spec.open(f"{folder}/z", "xb")
    with pytest.raises(NotImplementedError):
        spec.open(f"{folder}/z", "ab")


def test_it_is_pickled_as_its_settings(
    spec: alluxio.fsspec.AlluxioFileSystem, folder: str
) -> None:
    spec.pipe(f"{folder}/f", b"x")
    copied = pickle.loads(pickle.dumps(spec))
    assert copied.cat(f"{folder}/f") == b"x" and copied.client == spec.client
