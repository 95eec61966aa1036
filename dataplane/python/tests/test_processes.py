"""Forks and spawned processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from alluxio import FileSystem, ReadFile

DATA = bytes(range(256)) * 8192


def in_fork(work: Callable[[], Any]) -> None:
    """Runs ``work`` in a child and fails if it fails there, or hangs."""
    context = multiprocessing.get_context("fork")
    child = context.Process(target=work)
    child.start()
    child.join(120)
    code = child.exitcode
    if code is None:
        child.kill()
        child.join()
    assert code == 0


@pytest.fixture
def path(fs: FileSystem, folder: str) -> str:
    """A file of two blocks."""
    fs.write_bytes(f"{folder}/f", DATA)
    return f"{folder}/f"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_goes_on_with_everything(fs: FileSystem, folder: str, path: str) -> None:
    file = fs.open(path)
    assert file.read(5) == DATA[:5]
    view = file.view(1000, 500)

    def child() -> None:
        assert file.read(5) == DATA[5:10] and file.view(0, 7) == DATA[:7]
        assert view == DATA[1000:1500]
        assert fs.read_bytes(path) == DATA
        fs.write_bytes(f"{folder}/of-child", b"child")

    for _ in range(3):
        in_fork(child)
    # And the parent's connections and leases are as they were.
    assert file.read(5) == DATA[5:10] and fs.read_bytes(f"{folder}/of-child") == b"child"
    assert view == DATA[1000:1500]
    file.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forks_while_threads_read(fs: FileSystem, path: str) -> None:
    """Locks that other threads hold while the process forks are held for ever in the child."""
    stop = threading.Event()
    failures: list[BaseException] = []
    with fs.open(path) as file:

        def read() -> None:
            try:
                while not stop.is_set():
                    assert file.read_at(100, 5000) == DATA[100:5100]
                    assert fs.status(path).length == len(DATA)
            except BaseException as error:
                failures.append(error)

        def child() -> None:
            assert file.read_at(7, 100) == DATA[7:107]
            assert fs.read_bytes(path) == DATA

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                in_fork(child)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not failures


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_ends_nothing_of_its_parents(fs: FileSystem, folder: str) -> None:
    writing = fs.open(f"{folder}/w", "wb")
    writing.write(b"before")
    writing.flush()

    def child() -> None:
        with pytest.raises(RuntimeError, match="another process"):
            writing.write(b"x" * 100_000)
            writing.flush()
        writing.discard()

    in_fork(child)
    writing.write(b" after")
    writing.close()
    assert fs.read_bytes(f"{folder}/w") == b"before after"


def read_all(fs: FileSystem, file: ReadFile, path: str) -> tuple[int, bytes, bytes]:
    """What a spawned process does with what it was sent."""
    return os.getpid(), fs.read_bytes(path)[:10], file.read(10)


def test_a_spawned_process_gets_clients_and_files(fs: FileSystem, path: str) -> None:
    with fs.open(path) as file, multiprocessing.get_context("spawn").Pool(1) as pool:
        file.seek(20)
        process, start, rest = pool.apply(read_all, (fs, file, path))
    assert process != os.getpid() and start == DATA[:10] and rest == DATA[20:30]
