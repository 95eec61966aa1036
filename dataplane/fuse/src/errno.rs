//! How outcomes look to a system call: the one table of this edge.

use alluxio_types::{Code, Coded};
use std::fmt;

/// An error number of Linux, positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

impl Errno {
    /// Not permitted.
    pub const PERM: Errno = Errno(libc::EPERM);
    /// No such file or directory.
    pub const NOENT: Errno = Errno(libc::ENOENT);
    /// Interrupted.
    pub const INTR: Errno = Errno(libc::EINTR);
    /// Input or output error.
    pub const IO: Errno = Errno(libc::EIO);
    /// Bad handle.
    pub const BADF: Errno = Errno(libc::EBADF);
    /// Try again.
    pub const AGAIN: Errno = Errno(libc::EAGAIN);
    /// Permission denied.
    pub const ACCES: Errno = Errno(libc::EACCES);
    /// Busy.
    pub const BUSY: Errno = Errno(libc::EBUSY);
    /// The name is taken.
    pub const EXIST: Errno = Errno(libc::EEXIST);
    /// Across devices.
    pub const XDEV: Errno = Errno(libc::EXDEV);
    /// Not a directory.
    pub const NOTDIR: Errno = Errno(libc::ENOTDIR);
    /// A directory.
    pub const ISDIR: Errno = Errno(libc::EISDIR);
    /// Makes no sense.
    pub const INVAL: Errno = Errno(libc::EINVAL);
    /// There is nothing there.
    pub const NXIO: Errno = Errno(libc::ENXIO);
    /// Too large a file.
    pub const FBIG: Errno = Errno(libc::EFBIG);
    /// No room.
    pub const NOSPC: Errno = Errno(libc::ENOSPC);
    /// Beyond a quota.
    pub const DQUOT: Errno = Errno(libc::EDQUOT);
    /// Read-only.
    pub const ROFS: Errno = Errno(libc::EROFS);
    /// Too long a name.
    pub const NAMETOOLONG: Errno = Errno(libc::ENAMETOOLONG);
    /// The kernel need not ask again.
    pub const NOSYS: Errno = Errno(libc::ENOSYS);
    /// The result does not fit.
    pub const RANGE: Errno = Errno(libc::ERANGE);
    /// Too long.
    pub const TOOBIG: Errno = Errno(libc::E2BIG);
    /// Not empty.
    pub const NOTEMPTY: Errno = Errno(libc::ENOTEMPTY);
    /// No such attribute, or no data.
    pub const NODATA: Errno = Errno(libc::ENODATA);
    /// Not supported.
    pub const NOTSUP: Errno = Errno(libc::EOPNOTSUPP);
    /// The server does not answer.
    pub const TIMEDOUT: Errno = Errno(libc::ETIMEDOUT);
    /// The file has changed: open it again.
    pub const STALE: Errno = Errno(libc::ESTALE);

    /// The number.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The number of a code. Exhaustive: a new code does not compile before it stands here.
    pub const fn of(code: Code) -> Errno {
        match code {
            Code::NotFound => Errno::NOENT,
            Code::AlreadyExists => Errno::EXIST,
            Code::NotADirectory => Errno::NOTDIR,
            Code::IsADirectory => Errno::ISDIR,
            Code::NotEmpty => Errno::NOTEMPTY,
            Code::InvalidArgument | Code::OutOfRange => Errno::INVAL,
            Code::PermissionDenied | Code::Unauthenticated => Errno::ACCES,
            // Across mounts, into itself, a mount point: a copy may work, a rename does not.
            Code::FailedPrecondition => Errno::PERM,
            Code::Incomplete | Code::Busy => Errno::BUSY,
            Code::AlreadyCompleted => Errno::EXIST,
            Code::ReadOnly => Errno::ROFS,
            Code::Stale => Errno::STALE,
            Code::ResourceExhausted => Errno::NOSPC,
            Code::QuotaExceeded => Errno::DQUOT,
            Code::DeadlineExceeded => Errno::TIMEDOUT,
            Code::Cancelled => Errno::INTR,
            Code::Aborted => Errno::AGAIN,
            Code::Unimplemented => Errno::NOTSUP,
            Code::Unavailable | Code::NotPrimary | Code::DataLoss | Code::Internal => Errno::IO,
        }
    }
}

impl Errno {
    /// Of one of our errors.
    pub fn of_error(error: &impl Coded) -> Errno {
        Errno::of(error.code())
    }

    /// Of a number that was kept; `None` for 0, which is none.
    pub(crate) fn of_number(number: i32) -> Option<Errno> {
        (number != 0).then_some(Errno(number))
    }

    /// Of a system call of ours.
    pub fn of_io(error: &std::io::Error) -> Errno {
        Errno(error.raw_os_error().filter(|number| *number > 0).unwrap_or(libc::EIO))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_number_that_no_program_mistakes_for_success() {
        for code in Code::ALL {
            let errno = Errno::of(code);
            assert!((1..134).contains(&errno.number()), "{code:?}: {errno:?}");
            // The kernel would stop asking for ever.
            assert_ne!(errno, Errno::NOSYS, "{code:?}");
        }
        assert_eq!(Errno::of(Code::NotFound), Errno::NOENT);
        assert_eq!(Errno::of(Code::ResourceExhausted), Errno::NOSPC);
        assert_eq!(Errno::of(Code::QuotaExceeded), Errno::DQUOT);
    }
}
