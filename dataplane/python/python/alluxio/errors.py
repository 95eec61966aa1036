"""What can go wrong. Each class is also the exception that Python has for it, where it has one."""

from __future__ import annotations


class AlluxioError(OSError):
    """A failure of an operation; of every kind that has no class of its own."""

    #: Alluxio's name for it, such as ``NOT_FOUND``.
    code: str = "INTERNAL"


class NotFoundError(AlluxioError, FileNotFoundError):
    """There is nothing at the path."""


class AlreadyExistsError(AlluxioError, FileExistsError):
    """There is something at the path already."""


class NotDirectoryError(AlluxioError, NotADirectoryError):
    """Something on the way is no directory."""


class IsDirectoryError(AlluxioError, IsADirectoryError):
    """A directory where a file is needed."""


class NotEmptyError(AlluxioError):
    """The directory is not empty."""


class PermissionDeniedError(AlluxioError, PermissionError):
    """The user may not do this."""


class ReadOnlyError(AlluxioError, PermissionError):
    """The mount is read-only."""


class InvalidArgumentError(AlluxioError, ValueError):
    """The arguments make no sense, whatever the state is."""


class FailedPreconditionError(AlluxioError):
    """The state does not allow it now."""


class IncompleteError(AlluxioError):
    """The file is still being written."""


class StaleError(AlluxioError):
    """The file changed in the under store while it was read; open it again."""


class NoSpaceError(AlluxioError):
    """No worker has room."""


class QuotaExceededError(NoSpaceError):
    """The quota of a directory does not allow it."""


class UnavailableError(AlluxioError, ConnectionError):
    """No master, or no copy of the bytes, can be reached now."""


class TimedOutError(AlluxioError, TimeoutError):
    """It took too long."""


class CancelledError(AlluxioError):
    """The call was given up."""


class AbortedError(AlluxioError):
    """Somebody else's change came first; try again."""


class DataLossError(AlluxioError):
    """Bytes are lost, or fail their checksum."""


class UnsupportedError(AlluxioError, NotImplementedError):
    """Known, and not built."""
