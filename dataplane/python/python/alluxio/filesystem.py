"""The file system: names, attributes, opening files."""

from __future__ import annotations

import io
import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Literal, overload

from alluxio._native import Client
from alluxio.errors import NotFoundError
from alluxio.files import ReadFile, TextWriteFile, WriteFile
from alluxio.types import Capacity, FileStatus, Freed, Loaded, Mount, status_of

SCHEME = "alluxio://"

#: A path in the namespace: ``/data/x``, ``alluxio://host:19998/data/x``, or a ``PurePosixPath``.
Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Settings:
    """Which cluster, and how."""

    masters: str | None
    conf_dir: str | None
    properties: tuple[tuple[str, str], ...]


# One client for each cluster and process: connections and threads are shared by all who use it.
_clients: weakref.WeakValueDictionary[Settings, Client] = weakref.WeakValueDictionary()
_clients_lock = threading.Lock()


def _connect(settings: Settings) -> Client:
    with _clients_lock:
        client = _clients.get(settings)
        if client is None:
            client = Client(list(settings.properties), settings.masters, settings.conf_dir)
            _clients[settings] = client
        return client


def _after_fork() -> None:
    """The parent's clients are no use here, and its lock may be held by a thread that is not here."""
    global _clients, _clients_lock
    _clients = weakref.WeakValueDictionary()
    _clients_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def split_url(url: str) -> tuple[str | None, str]:
    """Masters and path of ``alluxio://host:port,host:port/path``; no masters for a plain path."""
    if not url.startswith(SCHEME):
        return None, url
    authority, _, path = url[len(SCHEME) :].partition("/")
    return authority or None, "/" + path


def path_of(path: Path) -> str:
    """The plain path."""
    return split_url(os.fspath(path))[1]


class FileSystem:
    """A client of one cluster.

    ``url`` names the masters (``alluxio://host:port,host:port``). Without it they come from the
    configuration, as for every program of Alluxio: ``alluxio-site.properties`` (found through
    ``ALLUXIO_CONF_DIR``, ``~/.alluxio``, ``/etc/alluxio``; or in ``conf_dir``), environment variables, and
    ``properties``, which go before both.

    It may be used by many threads, can be pickled, and works on in the child of a fork. All methods raise
    :class:`alluxio.AlluxioError`, which is also the exception that Python has for it
    (``FileNotFoundError``, ``PermissionError``, …).
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        conf_dir: str | os.PathLike[str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        masters = None
        if url is not None:
            masters = split_url(url)[0] if url.startswith(SCHEME) else url
        pairs = sorted((str(key), _text(value)) for key, value in (properties or {}).items())
        self._use(Settings(masters, os.fspath(conf_dir) if conf_dir else None, tuple(pairs)))

    def _use(self, settings: Settings) -> None:
        self._settings = settings
        self._client = _connect(settings)
        self._process = os.getpid()

    def native(self) -> Client:
        """The client of this process."""
        if self._process != os.getpid():
            self._use(self._settings)
        return self._client

    def __reduce__(self) -> tuple[Any, ...]:
        return _with_settings, (self._settings,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileSystem) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash(self._settings)

    def __repr__(self) -> str:
        return f"FileSystem({(SCHEME + (self._settings.masters or ''))!r})"

    @property
    def masters(self) -> str | None:
        """The masters that were named; ``None`` when they are the configured ones."""
        return self._settings.masters

    @property
    def user(self) -> str:
        """In whose name it acts."""
        return self.native().identity()[0]

    def short_circuit_fallbacks(self) -> dict[str, int]:
        """How often workers of this host were reached over TCP, because their socket could not be used, by
        reason."""
        return self.native().short_circuit_fallbacks()

    # --- what is there ---

    def status(self, path: Path, *, sync_ms: int | None = None) -> FileStatus:
        """What is known of a path.

        ``sync_ms`` says how old the last look at the under store may be: 0 looks now, -1 never again;
        without it, as configured.
        """
        return status_of(self.native().status(path_of(path), sync_ms))

    def list(
        self, path: Path, *, recursive: bool = False, sync_ms: int | None = None
    ) -> list[FileStatus]:
        """What is in a directory, by name; of a file, itself."""
        return [status_of(row) for row in self.native().entries(path_of(path), recursive, sync_ms)]

    def exists(self, path: Path, *, sync_ms: int | None = None) -> bool:
        """Whether there is something at the path."""
        return self.native().exists(path_of(path), sync_ms)

    def is_file(self, path: Path) -> bool:
        """Whether there is a file at the path."""
        try:
            return not self.status(path).is_directory
        except NotFoundError:
            return False

    def is_dir(self, path: Path) -> bool:
        """Whether there is a directory at the path."""
        try:
            return self.status(path).is_directory
        except NotFoundError:
            return False

    # --- changes ---

    def mkdir(
        self,
        path: Path,
        *,
        parents: bool = False,
        exist_ok: bool = False,
        mode: int | None = None,
        write_type: str | None = None,
    ) -> None:
        """Makes a directory."""
        self.native().mkdir(path_of(path), parents, exist_ok, mode, write_type)

    def delete(self, path: Path, *, recursive: bool = False, alluxio_only: bool = False) -> int:
        """Removes a file or directory; returns how many names went. With ``alluxio_only`` the under store
        keeps its files."""
        return self.native().delete(path_of(path), recursive, alluxio_only)

    def rename(self, source: Path, destination: Path, *, replace: bool = False) -> None:
        """Gives it another name; with ``replace`` a file there goes in the same change."""
        self.native().rename(path_of(source), path_of(destination), replace)

    def set_attribute(
        self,
        path: Path,
        *,
        recursive: bool = False,
        owner: str | None = None,
        group: str | None = None,
        mode: int | None = None,
        pinned: bool | None = None,
        ttl_ms: int | None = None,
        ttl_action: str | None = None,
        replication_min: int | None = None,
        replication_max: int | None = None,
        accessed: datetime | None = None,
        modified: datetime | None = None,
    ) -> int:
        """Changes what is given; returns how many names changed. -1 is "for ever" for ``ttl_ms`` and "no
        limit" for ``replication_max``."""
        return self.native().set_attribute(
            path_of(path),
            recursive=recursive,
            owner=owner,
            group=group,
            mode=mode,
            pinned=pinned,
            ttl_ms=ttl_ms,
            ttl_action_name=ttl_action,
            replication_min=replication_min,
            replication_max_copies=replication_max,
            accessed_ms=_milliseconds(accessed),
            modified_ms=_milliseconds(modified),
        )

    # --- the cache and the under store ---

    def load(self, path: Path, *, local: bool = False) -> Loaded:
        """Brings a file, or all files below a directory, into the cache; with ``local``, of this host."""
        return Loaded(*self.native().load(path_of(path), local))

    def load_metadata(self, path: Path, *, recursive: bool = False) -> int:
        """Compares with the under store and takes over what changed; returns how many names did."""
        return self.native().load_metadata(path_of(path), recursive)

    def free(self, path: Path, *, recursive: bool = False, forced: bool = False) -> Freed:
        """Drops cached copies of what is in the under store; with ``forced``, of pinned files too."""
        return Freed(*self.native().free(path_of(path), recursive, forced))

    def persist(self, path: Path) -> int:
        """Writes what is only cached to the under store; returns how many files were written."""
        return self.native().persist(path_of(path))

    def mount(
        self,
        path: Path,
        uri: str,
        *,
        properties: Mapping[str, str] | None = None,
        read_only: bool = False,
        shared: bool = False,
    ) -> None:
        """Mounts an under store."""
        options = {key: _text(value) for key, value in (properties or {}).items()}
        self.native().mount(path_of(path), uri, options, read_only, shared)

    def unmount(self, path: Path) -> None:
        """Takes a mount away; the store keeps everything."""
        self.native().unmount(path_of(path))

    def mounts(self) -> Iterable[Mount]:
        """The mount table."""
        return [Mount(*row) for row in self.native().mounts()]

    def capacity(self) -> Capacity:
        """Room on all live workers together."""
        return Capacity(*self.native().capacity())

    # --- bytes ---

    @overload
    def open(self, path: Path, mode: Literal["rb"] = "rb", **options: Any) -> ReadFile: ...
    @overload
    def open(self, path: Path, mode: Literal["wb", "xb"], **options: Any) -> WriteFile: ...
    @overload
    def open(self, path: Path, mode: str, **options: Any) -> IO[Any]: ...

    def open(
        self,
        path: Path,
        mode: str = "rb",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **options: Any,
    ) -> Any:
        """Opens a file: ``rb`` and ``r`` to read, ``wb`` and ``w`` to replace, ``xb`` and ``x`` to make it.

        Options for reading are those of :meth:`open_read`, for writing of :meth:`open_write`. A file that is
        written appears when it is closed, whole; not at all when its ``with`` block ends by an exception.
        """
        kind = mode.replace("b", "").replace("t", "")
        if kind not in ("r", "w", "x") or ("b" in mode and "t" in mode):
            raise ValueError(f"mode {mode!r}: files are read (r), replaced (w) or made (x)")
        if kind == "r":
            reading = self.open_read(path, **options)
            if "b" in mode:
                return reading
            return io.TextIOWrapper(reading, encoding, errors, newline)
        writing = self.open_write(path, overwrite=kind == "w", **options)
        return writing if "b" in mode else TextWriteFile(writing, encoding, errors, newline)

    def open_read(
        self, path: Path, *, read_type: str | None = None, sync_ms: int | None = None
    ) -> ReadFile:
        """Opens a file to read. ``read_type`` is what that leaves in the cache: ``NO_CACHE``, ``CACHE``,
        ``CACHE_PROMOTE``."""
        plain = path_of(path)
        return ReadFile(self, plain, self.native().open(plain, read_type, sync_ms))

    def open_write(
        self,
        path: Path,
        *,
        overwrite: bool = True,
        parents: bool = True,
        write_type: str | None = None,
        block_size: int | None = None,
        mode: int | None = None,
        ttl_ms: int | None = None,
        ttl_action: str | None = None,
        replication_min: int | None = None,
        replication_max: int | None = None,
        length: int | None = None,
        autocommit: bool = True,
    ) -> WriteFile:
        """Makes a file. ``write_type``: ``MUST_CACHE``, ``CACHE_THROUGH``, ``THROUGH``; ``length`` is how
        long it will be, if that is known. Without ``autocommit`` the file waits for its ``commit()``."""
        plain = path_of(path)
        writer = self.native().create(
            plain,
            recursive=parents,
            overwrite=overwrite,
            mode=mode,
            block_size=block_size,
            write_type_name=write_type,
            ttl_ms=ttl_ms,
            ttl_action_name=ttl_action,
            replication_min=replication_min,
            replication_max_copies=replication_max,
            length_hint=length,
        )
        return WriteFile(plain, writer, autocommit)

    def read_bytes(self, path: Path) -> bytes:
        """All bytes of a file."""
        with self.open_read(path) as file:
            return file.read()

    def read_view(self, path: Path, offset: int = 0, length: int | None = None) -> memoryview:
        """Bytes of a file; see :meth:`ReadFile.view`."""
        with self.open_read(path) as file:
            return file.view(offset, length)

    def write_bytes(self, path: Path, data: Any, **options: Any) -> None:
        """Makes a file of these bytes, or replaces it. Options are those of :meth:`open_write`."""
        options.setdefault("length", memoryview(data).nbytes)
        with self.open_write(path, **options) as file:
            file.write(data)


def _with_settings(settings: Settings) -> FileSystem:
    fs = FileSystem.__new__(FileSystem)
    fs._use(settings)
    return fs


def _text(value: object) -> str:
    """A property as a site file has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _milliseconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp() * 1000)
