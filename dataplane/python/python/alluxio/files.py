"""Open files, as Python's own: buffered, seekable, usable wherever a binary file is."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from alluxio._native import Reader, Writer

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from alluxio.filesystem import FileSystem

#: Bytes that a file reads ahead and gathers for small calls. Larger calls go past it. A block of this host
#: is read in about 2 µs for this much; reading in order from elsewhere is a stream whatever the size.
BUFFER_BYTES = 64 * 1024


class _RawReader(io.RawIOBase):
    """Reads at its position; opens the file anew in the child of a fork."""

    mode = "rb"

    def __init__(self, fs: FileSystem, path: str, reader: Reader) -> None:
        self.fs = fs
        self.name = path
        self._reader: Reader | None = reader
        self._process = os.getpid()
        self._at = 0

    def native(self) -> Reader:
        if self._reader is None:
            raise ValueError("I/O operation on closed file")
        if self._process != os.getpid():
            self._reader = self.fs.native().open_again(self._reader)
            self._process = os.getpid()
        return self._reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        count = self.native().read_into(buffer, self._at)
        self._at += count
        return count

    def readall(self) -> bytes:
        reader = self.native()
        data = reader.read_at(self._at, max(reader.length() - self._at, 0))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.native().length()}
        if base[whence] + offset < 0:
            raise ValueError(f"position {base[whence] + offset} is before the start of the file")
        self._at = base[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        # In the child of a fork this leaves the parent's reader alone.
        self._reader = None
        super().close()


class ReadFile(io.BufferedReader):
    """A file that is read: a binary file of Python, and more.

    All bytes belong to one version of the file. If a worker fails, reading goes on elsewhere. Views, and
    reading at positions, may be done by many threads at once.
    """

    def __init__(self, fs: FileSystem, path: str, reader: Reader) -> None:
        self._raw = _RawReader(fs, path, reader)
        super().__init__(self._raw, BUFFER_BYTES)

    @property
    def path(self) -> str:
        """Its path when it was opened."""
        return self._raw.name

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self._raw.native().length()

    def view(self, offset: int = 0, length: int | None = None) -> memoryview:
        """Bytes from ``offset`` on, all in one piece: where they lie in one block of a worker on this host,
        that block itself, without a copy; else copied.

        The block stays cached until the last view of it, and of what is made of it (``numpy.frombuffer``), is
        gone. Views outlive the file, and can only be read.
        """
        return memoryview(self._raw.native().view(*self._range(offset, length)))

    def views(self, offset: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """The same bytes in pieces that never need a copy for being in two blocks: one for each block of this
        host, of up to 1 MiB from elsewhere."""
        at, left = self._range(offset, length)
        while left > 0:
            piece = memoryview(self._raw.native().piece(at, left))
            if not piece:
                return
            yield piece
            at, left = at + len(piece), left - len(piece)

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes from a position; fewer only at the end of the file. The file's own position stays."""
        return self._raw.native().read_at(*self._range(offset, length))

    def read_view(self, length: int | None = -1, /) -> memoryview:
        """Like :meth:`read`, as a :meth:`view`: bytes from the file's position on, which moves."""
        at = self.tell()
        view = self.view(at, None if length is None or length < 0 else length)
        self.seek(at + len(view))
        return view

    # Where pyarrow finds this, it takes bytes without a copy.
    read_buffer = read_view

    def _range(self, offset: int, length: int | None) -> tuple[int, int]:
        if offset < 0 or (length is not None and length < 0):
            raise ValueError(f"there is nothing at {offset}, {length}")
        left = max(self.size - offset, 0)
        return offset, left if length is None else min(length, left)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._raw.fs, self.path, self.tell())

    def __reduce_ex__(self, protocol: Any, /) -> tuple[Any, ...]:
        return self.__reduce__()


def _reopen(fs: FileSystem, path: str, position: int) -> ReadFile:
    file = fs.open_read(path)
    file.seek(position)
    return file


class _RawWriter(io.RawIOBase):
    """Hands bytes on; gives the file up when it is closed before it is finished."""

    mode = "wb"

    def __init__(self, path: str, writer: Writer) -> None:
        self.name = path
        self.process = os.getpid()
        #: Whether the file waits for its commit after it was closed.
        self.held = False
        self._writer: Writer | None = writer
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        if self._writer is None:
            raise ValueError("I/O operation on closed file")
        count = self._writer.write(data)
        self._at += count
        return count

    def tell(self) -> int:
        return self._at

    def finish(self) -> None:
        """Makes the file complete."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def discard(self) -> None:
        """Gives it up."""
        writer, self._writer = self._writer, None
        # The child of a fork has no say in its parent's files.
        if writer is not None and self.process == os.getpid():
            writer.cancel()

    def close(self) -> None:
        if not self.held:
            self.discard()
        super().close()


class WriteFile(io.BufferedWriter):
    """A file that is written, from its start to its end.

    It appears whole when it is closed, and not before. When its ``with`` block ends by an exception, or it is
    forgotten without being closed, it never appears.
    """

    def __init__(self, path: str, writer: Writer, autocommit: bool = True) -> None:
        self._raw = _RawWriter(path, writer)
        self._autocommit = autocommit
        super().__init__(self._raw, BUFFER_BYTES)

    @property
    def path(self) -> str:
        """Where it will be."""
        return self._raw.name

    def close(self) -> None:
        """Makes the file complete; raises if that fails."""
        if self.closed:
            return
        try:
            self.flush()
            if self._autocommit:
                self._raw.finish()
            self._raw.held = not self._autocommit
        finally:
            super().close()

    def commit(self) -> None:
        """Makes a file complete that was opened without ``autocommit``, and closed."""
        self._raw.finish()

    def discard(self) -> None:
        """Gives the file up: nothing of it stays."""
        self._raw.discard()
        self._raw.held = False
        self._raw.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        if self.closed:
            return
        if self._raw.process == os.getpid():
            warnings.warn(f"{self.path} was not closed, and is given up", ResourceWarning, stacklevel=2)
        self.discard()


class _RawPacker(io.RawIOBase):
    """Compresses into a file, which it closes."""

    def __init__(self, file: WriteFile, packer: Callable[..., Any]) -> None:
        self._file = file
        self._packer = packer(file, mode="w")

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        self._packer.write(data)
        return memoryview(data).nbytes

    def close(self) -> None:
        if not self.closed:
            try:
                if not self._file.closed:
                    self._packer.close()
                    self._file.close()
            finally:
                super().close()


class PackedWriteFile(io.BufferedWriter):
    """A :class:`WriteFile` behind a compressor, one of ``fsspec.compression``."""

    def __init__(self, file: WriteFile, packer: Callable[..., Any]) -> None:
        self._file = file
        super().__init__(_RawPacker(file, packer), BUFFER_BYTES)

    def discard(self) -> None:
        """Gives the file up."""
        self._file.discard()
        self.raw.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class TextWriteFile(io.TextIOWrapper):
    """A :class:`WriteFile` for text."""

    def __init__(
        self,
        file: WriteFile | PackedWriteFile,
        encoding: str | None,
        errors: str | None,
        newline: str | None,
    ) -> None:
        self._file = file
        super().__init__(file, encoding, errors, newline)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.discard()
