"""``alluxio://`` for fsspec, and so for pandas, pyarrow, dask, PyTorch, ….

    import fsspec, pandas

    fsspec.filesystem("alluxio", masters="master-1:19998").ls("/data")
    pandas.read_parquet("alluxio://master-1:19998/data/part-0.parquet")
    pandas.read_parquet("alluxio:///data/part-0.parquet")     # masters from alluxio-site.properties
"""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from fsspec.compression import compr
from fsspec.spec import AbstractFileSystem
from fsspec.utils import infer_compression

from alluxio.errors import NotFoundError
from alluxio.files import PackedWriteFile, ReadFile, TextWriteFile, WriteFile
from alluxio.filesystem import SCHEME, FileSystem, split_url
from alluxio.types import FileStatus

#: Bytes that a copy holds at a time.
_COPY_BYTES = 8 << 20


class AlluxioFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The file system of one cluster.

    ``masters`` (``host:port,host:port``), ``conf_dir`` and ``properties`` are those of
    :class:`alluxio.FileSystem`; without them the configuration says where the cluster is.
    """

    protocol = "alluxio"
    root_marker = "/"

    def __init__(
        self,
        masters: str | None = None,
        conf_dir: str | os.PathLike[str] | None = None,
        properties: Mapping[str, str] | None = None,
        **storage_options: Any,
    ) -> None:
        super().__init__(**storage_options)
        #: What does the work.
        self.client = FileSystem(masters, conf_dir=conf_dir, properties=properties)

    # --- names ---

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        plain = split_url(os.fspath(path))[1]
        if plain.startswith("alluxio:"):
            plain = plain.removeprefix("alluxio:")
        return "/" + plain.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        masters = split_url(path)[0]
        return {"masters": masters} if masters else {}

    def unstrip_protocol(self, name: str) -> str:
        return f"{SCHEME}{self.client.masters or ''}{self._strip_protocol(name)}"

    # --- what is there ---

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return _info(self.client.status(self._strip_protocol(path)))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        found = self.client.list(self._strip_protocol(path))
        return [_info(status) if detail else status.path for status in found]

    def exists(self, path: str, **_: Any) -> bool:
        return self.client.exists(self._strip_protocol(path))

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        if maxdepth is not None:
            return super().find(path, maxdepth, withdirs, detail, **options)
        plain = self._strip_protocol(path)
        try:
            # All of it by one call, in place of one for each directory.
            found = self.client.list(plain, recursive=True)
            if withdirs:
                own = self.client.status(plain)
                found += [own] if own.is_directory else []
        except NotFoundError:
            found = []
        kept = {s.path: _info(s) for s in found if withdirs or not s.is_directory}
        return dict(sorted(kept.items())) if detail else sorted(kept)

    def created(self, path: str) -> datetime:
        return self.client.status(self._strip_protocol(path)).created

    def modified(self, path: str) -> datetime:
        return self.client.status(self._strip_protocol(path)).modified

    def ukey(self, path: str) -> str:
        """Another one for each version of a file."""
        status = self.client.status(self._strip_protocol(path))
        return f"{status.file_id}-{status.length}"

    def checksum(self, path: str) -> int:
        return hash(self.ukey(path))

    # --- changes ---

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        self.client.mkdir(self._strip_protocol(path), parents=create_parents)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.client.mkdir(self._strip_protocol(path), parents=True, exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        self.client.delete(self._strip_protocol(path))

    def rm_file(self, path: str) -> None:
        self.client.delete(self._strip_protocol(path))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        if maxdepth is not None:
            super().rm(path, recursive, maxdepth)
            return
        for one in self.expand_path(path):
            self.client.delete(one, recursive=recursive)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        if maxdepth is not None or not (isinstance(path1, str) and isinstance(path2, str)):
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **options)
            return
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if path2.endswith("/") or self.isdir(target):
            target = posixpath.join(target, posixpath.basename(source))
        self.client.rename(source, target, replace=True)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.isdir(source):
            self.client.mkdir(target, parents=True, exist_ok=True)
            return
        with self.client.open_read(source) as reading:
            with self.client.open_write(target, length=reading.size) as writing:
                for view in reading.views():
                    writing.write(view)

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        plain = self._strip_protocol(path)
        if truncate or not self.client.exists(plain):
            self.client.write_bytes(plain, b"")
        else:
            self.client.set_attribute(plain, modified=datetime.now())

    # --- bytes ---

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        if "r" in mode or ("b" in mode and compression is None):
            return super().open(path, mode, block_size, cache_options, compression, **options)
        # An exception in the middle must leave no half of a text, or of what is compressed, either.
        text = [options.pop(key, None) for key in ("encoding", "errors", "newline")]
        binary_mode = mode.replace("t", "").replace("b", "") + "b"
        plain = super().open(path, binary_mode, block_size, cache_options, **options)
        name = infer_compression(path) if compression == "infer" else compression
        file = PackedWriteFile(plain, compr[name]) if name else plain
        return file if "b" in mode else TextWriteFile(file, *text)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> ReadFile | WriteFile:
        if mode == "rb":
            # What is in order is streamed, what is here is read in place: fsspec's caches would only copy.
            for key in ("cache_type", "size"):
                options.pop(key, None)
            return self.client.open_read(path, **options)
        if mode not in ("wb", "xb"):
            raise NotImplementedError(f"mode {mode!r}: files are read (rb) or written anew (wb, xb)")
        overwrite = mode == "wb"
        if block_size is not None:
            options["block_size"] = block_size
        return self.client.open_write(path, overwrite=overwrite, autocommit=autocommit, **options)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        with self.client.open_read(self._strip_protocol(path)) as file:
            first, last = _range(start, end, file.size)
            return file.read_at(first, last - first)

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        if not isinstance(starts, Iterable):
            starts = [starts] * len(paths)
        if not isinstance(ends, Iterable):
            ends = [ends] * len(paths)
        found: list[Any] = []
        files: dict[str, ReadFile] = {}
        try:
            for path, start, end in zip(paths, starts, ends, strict=True):
                try:
                    # Each file is opened once, whatever many ranges of it are wanted.
                    plain = self._strip_protocol(path)
                    if plain not in files:
                        files[plain] = self.client.open_read(plain)
                    first, last = _range(start, end, files[plain].size)
                    found.append(files[plain].read_at(first, last - first))
                except OSError as error:
                    if on_error != "return":
                        raise
                    found.append(error)
        finally:
            for file in files.values():
                file.close()
        return found

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **options: Any) -> None:
        overwrite = mode != "create"
        self.client.write_bytes(self._strip_protocol(path), value, overwrite=overwrite, **options)

    def put_file(self, lpath: str, rpath: str, callback: Any = None, **options: Any) -> None:
        plain = self._strip_protocol(rpath)
        if os.path.isdir(lpath):
            self.client.mkdir(plain, parents=True, exist_ok=True)
            return
        options.pop("mode", None)
        size = os.path.getsize(lpath)
        if callback is not None:
            callback.set_size(size)
        with open(lpath, "rb") as local, self.client.open_write(plain, length=size) as file:
            shutil.copyfileobj(local, file, _COPY_BYTES)
        if callback is not None:
            callback.absolute_update(size)

    def get_file(self, rpath: str, lpath: Any, callback: Any = None, **_: Any) -> None:
        plain = self._strip_protocol(rpath)
        if not hasattr(lpath, "write") and self.isdir(plain):
            os.makedirs(lpath, exist_ok=True)
            return
        with self.client.open_read(plain) as file:
            if callback is not None:
                callback.set_size(file.size)
            if hasattr(lpath, "write"):
                _copy(file, lpath, callback)
                return
            os.makedirs(os.path.dirname(lpath) or ".", exist_ok=True)
            with open(lpath, "wb") as local:
                _copy(file, local, callback)


def _copy(file: ReadFile, to: Any, callback: Any) -> None:
    for view in file.views():
        to.write(view)
        if callback is not None:
            callback.relative_update(len(view))


def _range(start: int | None, end: int | None, size: int) -> tuple[int, int]:
    """First byte and the one after the last, of limits as slices have them."""
    first, last, _ = slice(start, end).indices(size)
    return first, max(first, last)


def _info(status: FileStatus) -> dict[str, Any]:
    return {
        "name": status.path,
        "size": 0 if status.is_directory else status.length,
        "type": "directory" if status.is_directory else "file",
        "created": status.created_ms / 1000,
        "mtime": status.modified_ms / 1000,
        "mode": status.mode,
        "owner": status.owner,
        "group": status.group,
        "file_id": status.file_id,
        "persistence": status.persistence,
        "cached_percent": status.cached_percent,
    }
