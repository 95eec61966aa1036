"""Facts about files, as the master tells them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes of a file, and who has them cached."""

    #: Position of the first byte in the file.
    offset: int
    #: Length in bytes.
    length: int
    #: Hosts of the workers that have a copy.
    hosts: tuple[str, ...]
    #: Tiers that the copies lie in, in the order of the hosts.
    tiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileStatus:
    """All that is known of a file or directory."""

    path: str
    #: Last component of the path; empty for the root.
    name: str
    #: Number of the inode: another one for each version of the bytes.
    file_id: int
    is_directory: bool
    #: Bytes of a file; number of entries of a directory.
    length: int
    block_size: int
    #: Whether a file is complete and can be read.
    completed: bool
    #: ``NOT_PERSISTED``, ``TO_BE_PERSISTED``, ``PERSISTED`` (in the under store) or ``LOST``.
    persistence: str
    owner: str
    group: str
    #: Permission bits.
    mode: int
    created_ms: int
    modified_ms: int
    accessed_ms: int
    pinned: bool
    #: Whether a store is mounted exactly here.
    mount_point: bool
    #: Where it is, or would be, in the under store.
    ufs_path: str
    #: Milliseconds that it lives after its creation; ``None`` for ever.
    ttl_ms: int | None
    ttl_action: str
    replication_min: int
    #: Most cached copies; ``None`` for no limit.
    replication_max: int | None
    #: Share of the bytes that are cached, 0 to 100.
    cached_percent: int
    #: Empty for directories and in listings.
    blocks: tuple[Block, ...]

    @property
    def created(self) -> datetime:
        """When the inode was made."""
        return _utc(self.created_ms)

    @property
    def modified(self) -> datetime:
        """When the bytes last changed."""
        return _utc(self.modified_ms)

    @property
    def accessed(self) -> datetime:
        """When it was last opened, as precisely as the master keeps it."""
        return _utc(self.accessed_ms)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading did."""

    #: Files that were looked at.
    files: int
    #: Blocks that were not cached before.
    blocks: int
    #: Bytes of these.
    bytes: int


@dataclass(frozen=True, slots=True)
class Freed:
    """What freeing did."""

    files: int
    #: Cached copies that workers drop.
    blocks: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A row of the mount table."""

    path: str
    uri: str
    #: Kind of store: ``local``, ``s3``, ….
    kind: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Capacity:
    """Room on all live workers."""

    capacity_bytes: int
    used_bytes: int


def status_of(row: tuple[object, ...]) -> FileStatus:
    """The status that the native client gave as a tuple."""
    *facts, blocks = row
    return FileStatus(*facts, tuple(Block(*block) for block in blocks))  # type: ignore[arg-type, attr-defined, call-arg]


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
