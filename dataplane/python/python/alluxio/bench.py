"""Reads a cached file without a copy, in Python and in Rust by turns: ``python -m alluxio.bench``.

Both use every byte in the same way, in one process, through the same client. Prints one JSON object;
``ratio`` is Python's rate by that of Rust.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

from alluxio import FileSystem, ReadFile, _native

#: Bytes that are written at a time to make the file.
_CHUNK = 8 << 20


def _python(file: ReadFile) -> int:
    total = 0
    for view in file.views():
        total ^= _native.consume(view)
    return total


def _python_copy(file: ReadFile, buffer: bytearray) -> int:
    file.seek(0)
    total = 0
    while count := file.readinto(buffer):
        total ^= _native.consume(memoryview(buffer)[:count])
    return total


def _rate(size: int, work: Callable[[], int], expected: int | None) -> tuple[float, int]:
    begun = time.perf_counter()
    sum_of_all = work()
    spent = time.perf_counter() - begun
    if expected is not None and sum_of_all != expected:
        raise SystemExit("the two did not read the same bytes")
    return size / spent, sum_of_all


def measure(fs: FileSystem, path: str, rounds: int) -> dict[str, object]:
    """Rates of both, the best of ``rounds`` turns each."""
    with fs.open_read(path) as file:
        rust_file = file._raw.native()
        buffer = bytearray(_CHUNK)
        # The first round opens the blocks and maps them; it does not count.
        expected = rust_file.consume(64 << 20)
        _python(file)
        rust, python, copied = [], [], []
        for _ in range(rounds):
            rust.append(_rate(file.size, lambda: rust_file.consume(64 << 20), expected)[0])
            python.append(_rate(file.size, lambda: _python(file), expected)[0])
            copied.append(_rate(file.size, lambda: _python_copy(file, buffer), expected)[0])
        return {
            "name": "python zero-copy read",
            "bytes": file.size,
            "rounds": rounds,
            "rust_bytes_per_second": round(max(rust)),
            "python_bytes_per_second": round(max(python)),
            "python_copy_bytes_per_second": round(max(copied)),
            "ratio": round(max(python) / max(rust), 3),
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m alluxio.bench", description=__doc__)
    parser.add_argument("--masters", help="host:port,...; else as configured")
    parser.add_argument("--conf-dir", help="folder of alluxio-site.properties")
    parser.add_argument("--path", help="a file that is there; else one is made, and removed")
    parser.add_argument("--size", type=int, default=256 << 20, help="bytes of the file that is made")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    fs = FileSystem(options.masters, conf_dir=options.conf_dir)
    path = options.path or f"/alluxio-python-bench-{os.getpid()}"
    if options.path is None:
        with fs.open_write(path, write_type="MUST_CACHE", length=options.size, block_size=64 << 20) as file:
            for at in range(0, options.size, _CHUNK):
                file.write(os.urandom(min(_CHUNK, options.size - at)))
    try:
        print(json.dumps(measure(fs, path, options.rounds)))
    finally:
        if options.path is None:
            fs.delete(path)


if __name__ == "__main__":
    main()
