"""Reading and writing."""

from __future__ import annotations

import gc
import io
import os
import pickle
import signal
import threading
import time

import numpy
import pytest
from conftest import Cluster

from alluxio import FileSystem, errors

MIB = 1 << 20


@pytest.fixture
def data() -> bytes:
    """Two blocks and a half."""
    return os.urandom(MIB * 5 // 2)


@pytest.fixture
def path(fs: FileSystem, folder: str, data: bytes) -> str:
    """A file of it."""
    fs.write_bytes(f"{folder}/f", data)
    return f"{folder}/f"


def test_a_file_reads_as_pythons_do(fs: FileSystem, path: str, data: bytes) -> None:
    model = io.BytesIO(data)
    with fs.open(path) as file:
        assert isinstance(file, io.BufferedReader) and file.size == len(data) and file.path == path
        random = numpy.random.default_rng(5)
        for _ in range(300):
            match random.integers(4):
                case 0:
                    to = int(random.integers(len(data) + 10))
                    assert file.seek(to) == model.seek(to)
                case 1:
                    by = int(random.integers(-min(model.tell(), 5000), 5000))
                    assert file.seek(by, os.SEEK_CUR) == model.seek(by, os.SEEK_CUR)
                case 2:
                    count = int(random.choice([1, 10, 5000, 100_000, 2_000_000]))
                    assert file.read(count) == model.read(count)
                case 3:
                    buffer, expected = bytearray(3000), bytearray(3000)
                    assert file.readinto(buffer) == model.readinto(expected)
                    assert buffer == expected
            assert file.tell() == model.tell()
        assert file.seek(-7, os.SEEK_END) == len(data) - 7
        assert file.read() == data[-7:] and file.read() == b"" and file.read(5) == b""
        assert file.seek(0) == 0 and file.read() == data
        with pytest.raises(ValueError):
            file.seek(-1)
    with pytest.raises(ValueError):
        file.read()


def test_text_is_lines(fs: FileSystem, folder: str) -> None:
    with fs.open(f"{folder}/t", "w", encoding="utf-8") as text:
        text.write("grün\n")
        text.writelines(f"{number}\n" for number in range(1000))
    with fs.open(f"{folder}/t", "r", encoding="utf-8") as text:
        lines = list(text)
    assert lines[0] == "grün\n" and lines[1:] == [f"{number}\n" for number in range(1000)]


def test_a_buffer_of_any_kind_is_filled_and_written(fs: FileSystem, folder: str) -> None:
    numbers = numpy.arange(300_000, dtype=numpy.float32)
    fs.write_bytes(f"{folder}/n", numbers)
    with fs.open(f"{folder}/n") as file:
        found = numpy.zeros(300_000, dtype=numpy.float32)
        assert file.readinto(found) == numbers.nbytes
        assert (found == numbers).all()
        with pytest.raises((TypeError, BufferError)):
            file.readinto(b"cannot be written")
        with pytest.raises((TypeError, BufferError)):
            file.raw.readinto(found[::2])


def test_a_view_is_the_block_itself(cluster: Cluster, fs: FileSystem, path: str, data: bytes) -> None:
    with fs.open(path) as file:
        view = file.view(100, 5000)
        assert view.readonly and view == data[100:5100]
        again = file.view(100, 5000)
        across = file.view(MIB - 10, 20)
        pieces = list(file.views())
        file.seek(17)
        assert file.read_view(10) == data[17:27] and file.tell() == 27
        assert file.read_buffer() == data[27:] and file.tell() == len(data)
    # One mapping of one block, at the same address: nothing was copied. A range in two blocks is.
    address = numpy.frombuffer(view, dtype=numpy.uint8).ctypes.data
    assert numpy.frombuffer(again, dtype=numpy.uint8).ctypes.data == address
    assert numpy.frombuffer(pieces[0], dtype=numpy.uint8).ctypes.data + 100 == address
    assert maps_of(cluster, address), "the address lies in a file of the worker's tier"
    assert across == data[MIB - 10 : MIB + 10]
    assert [len(piece) for piece in pieces] == [MIB, MIB, MIB // 2] and b"".join(pieces) == data
    # Views outlive the file, its name and its cached copy.
    fs.delete(path)
    assert view == data[100:5100] and b"".join(pieces) == data
    assert not fs.exists(path)


def maps_of(cluster: Cluster, address: int) -> bool:
    """Whether the mapping at an address is of a file in a worker's tier."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            start, end = (int(limit, 16) for limit in line.split()[0].split("-"))
            if start <= address < end:
                return str(cluster.folder / "tier-1") in line
    return False


def test_a_view_holds_its_lease_until_it_is_released(
    cluster: Cluster, fs: FileSystem, path: str, data: bytes
) -> None:
    file = fs.open(path)
    view = file.view(0, 10)
    array = numpy.frombuffer(file.view(20, 400), dtype=numpy.uint8)
    file.close()
    del file
    address = array.ctypes.data
    view.release()
    gc.collect()
    assert maps_of(cluster, address) and array.tobytes() == data[20:420]
    del array
    gc.collect()
    assert not maps_of(cluster, address), "the last view is gone, and with it the mapping"


def test_empty_files_and_ends(fs: FileSystem, folder: str) -> None:
    fs.write_bytes(f"{folder}/empty", b"")
    with fs.open(f"{folder}/empty") as file:
        assert file.read() == b"" and file.view() == b"" and list(file.views()) == []
        assert file.read_at(5, 10) == b""
        with pytest.raises(ValueError):
            file.view(-1)


def test_a_file_appears_whole_or_not_at_all(fs: FileSystem, folder: str) -> None:
    path = f"{folder}/f"
    with fs.open(path, "wb") as file:
        file.write(b"first")
        with pytest.raises(errors.IncompleteError):
            fs.open(path)
        assert file.tell() == 5
    assert fs.read_bytes(path) == b"first"
    for mode in ("wb", "w"):
        with pytest.raises(KeyError):
            with fs.open(f"{folder}/{mode}", mode) as file:
                file.write(b"half" if mode == "wb" else "half")
                raise KeyError
        assert not fs.exists(f"{folder}/{mode}")
    forgotten = fs.open(f"{folder}/forgotten", "wb")
    forgotten.write(b"never closed")
    with pytest.warns(ResourceWarning):
        del forgotten
        gc.collect()
    assert not fs.exists(f"{folder}/forgotten")
    held = fs.open_write(f"{folder}/held", autocommit=False)
    held.write(b"later")
    held.close()
    with pytest.raises(errors.IncompleteError):
        fs.open(f"{folder}/held")
    held.commit()
    assert fs.read_bytes(f"{folder}/held") == b"later"


def test_modes_that_are_none(fs: FileSystem, folder: str) -> None:
    for mode in ("a", "ab", "r+", "rw", "", "rbt"):
        with pytest.raises(ValueError):
            fs.open(f"{folder}/f", mode)
    with pytest.raises(ValueError, match="MUST_CACHE"):
        fs.open(f"{folder}/f", "wb", write_type="WISHFUL")


def test_threads_share_a_file(fs: FileSystem, path: str, data: bytes) -> None:
    failures: list[BaseException] = []
    with fs.open(path) as file:

        def work(seed: int) -> None:
            random = numpy.random.default_rng(seed)
            try:
                for _ in range(200):
                    at, count = (int(random.integers(limit)) for limit in (len(data), 50_000))
                    assert file.read_at(at, count) == data[at : at + count]
                    assert file.view(at, count) == data[at : at + count]
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


def test_an_open_file_is_pickled_with_its_position(fs: FileSystem, path: str, data: bytes) -> None:
    with fs.open(path) as file:
        file.seek(1000)
        with pickle.loads(pickle.dumps(file)) as copied:
            assert copied.tell() == 1000 and copied.read(10) == data[1000:1010]


def test_a_call_that_waits_can_be_interrupted(own_cluster: Cluster) -> None:
    """Nobody answers: without signals the call would last for its minute."""
    fs = own_cluster.client()
    own_cluster.servers["conf"].kill()
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fs.status("/")
    assert time.monotonic() - begun < 30
    timer.join()
