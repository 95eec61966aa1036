"""Alluxio for Python.

    import alluxio

    fs = alluxio.FileSystem("alluxio://master-1:19998")
    with fs.open("/data/part-0.parquet") as file:
        view = file.view()            # memoryview; no copy where a worker on this host has the bytes

With fsspec, pandas, pyarrow and PyTorch, ``alluxio://`` URLs work once this package is installed.
"""

from alluxio import errors
from alluxio._native import __version__
from alluxio.errors import AlluxioError
from alluxio.files import ReadFile, WriteFile
from alluxio.filesystem import FileSystem
from alluxio.types import Block, Capacity, FileStatus, Freed, Loaded, Mount

__all__ = [
    "AlluxioError",
    "Block",
    "Capacity",
    "FileStatus",
    "FileSystem",
    "Freed",
    "Loaded",
    "Mount",
    "ReadFile",
    "WriteFile",
    "__version__",
    "errors",
]
