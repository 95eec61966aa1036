"""PyTorch's DataLoader, with workers that are forked and spawned."""

from __future__ import annotations

import numpy
import pytest
import torch
from conftest import Cluster
from torch.utils.data import DataLoader, Dataset

from alluxio import FileSystem

FILES, ROWS = 8, 4096


class Samples(Dataset[torch.Tensor]):
    """Rows of some files, each opened once, and shared with the workers as it is."""

    def __init__(self, fs: FileSystem, folder: str) -> None:
        self.files = [fs.open(status.path) for status in fs.list(folder)]

    def __len__(self) -> int:
        return FILES * ROWS

    def __getitem__(self, index: int) -> torch.Tensor:
        view = self.files[index // ROWS].view(index % ROWS * 512, 512)
        return torch.from_numpy(numpy.frombuffer(view, dtype=numpy.int64).copy())


def write(fs: FileSystem, folder: str, **options: str) -> int:
    """Makes the files; returns the sum of all numbers in them."""
    rows = numpy.arange(FILES * ROWS * 64, dtype=numpy.int64).reshape(FILES, ROWS * 64)
    for number, numbers in enumerate(rows):
        fs.write_bytes(f"{folder}/{number}", numbers, **options)
    return int(rows.sum())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_their_parent_opened(fs: FileSystem, folder: str, method: str) -> None:
    expected = write(fs, folder)
    samples = Samples(fs, folder)
    assert samples[5].shape == (64,)
    loader = DataLoader(
        samples, batch_size=512, shuffle=True, num_workers=2, multiprocessing_context=method, timeout=120
    )
    for _ in range(2):
        assert sum(int(batch.sum()) for batch in loader) == expected
    for file in samples.files:
        file.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_worker_that_dies_is_not_noticed(own_cluster: Cluster) -> None:
    """What the under store has is read on from another worker; then from one that came back."""
    own_cluster.start_worker(1)
    own_cluster.start_worker(2)
    fs = own_cluster.client()
    fs.mkdir("/set")
    expected = write(fs, "/set", write_type="CACHE_THROUGH")
    samples = Samples(fs, "/set")
    loader = DataLoader(
        samples, batch_size=64, num_workers=2, multiprocessing_context="fork", timeout=240
    )
    for victim in (1, 2):
        total = 0
        for number, batch in enumerate(loader):
            total += int(batch.sum())
            if number == 20:
                own_cluster.kill_worker(victim)
        assert total == expected
        # What the parent itself has open reads on, too.
        assert samples.files[0].read_at(8, 8) == numpy.int64(1).tobytes()
        own_cluster.start_worker(victim)
    for file in samples.files:
        file.close()
