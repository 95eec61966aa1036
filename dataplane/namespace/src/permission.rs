//! Who may do what: POSIX owner, group and other, with a superuser.

use crate::inode::Brief;
use crate::namespace::Namespace;
use crate::{Context, Error, Policy};
use alluxio_types::xattr::is_trusted;
use alluxio_types::{Access, AlluxioPath, FileStatus, Identity};

/// The checks for one caller. `None` inside means that nothing is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checker<'a> {
    who: Option<&'a Identity>,
    superuser: bool,
}

impl<'a> Checker<'a> {
    /// Everything is allowed: the master's own calls.
    pub(crate) const ALL: Checker<'static> = Checker { who: None, superuser: true };

    /// For the caller of `context`. The superuser is the owner of the root directory, and every
    /// member of the supergroup.
    pub(crate) fn new(namespace: &Namespace, context: &Context<'a>) -> Self {
        let Policy { permission_enabled, supergroup, .. } = context.policy;
        if !permission_enabled {
            return Checker { who: None, superuser: true };
        }
        let who = context.who;
        let owns_root =
            namespace.root().is_some_and(|root| namespace.perms.get(root.perm).owner == who.user);
        let superuser = owns_root || who.groups.iter().any(|group| group == supergroup);
        Checker { who: Some(who), superuser }
    }

    pub(crate) fn is_superuser(&self) -> bool {
        self.superuser
    }

    /// Whether the caller may do all of `access`.
    pub(crate) fn allows(&self, namespace: &Namespace, inode: &Brief, access: Access) -> bool {
        let Some(who) = self.who.filter(|_| !self.superuser) else { return true };
        let perm = namespace.perms.get(inode.perm);
        perm.mode.allows(access, who, &perm.owner, &perm.group)
    }

    /// Whether the caller owns it, or may act as if.
    pub(crate) fn owns(&self, namespace: &Namespace, inode: &Brief) -> bool {
        match self.who.filter(|_| !self.superuser) {
            None => true,
            Some(who) => namespace.perms.get(inode.perm).owner == who.user,
        }
    }

    /// Takes out of a status what only the superuser may see.
    pub(crate) fn hide(&self, status: &mut FileStatus) {
        if !self.superuser {
            status.xattr.retain(|name| !is_trusted(name));
        }
    }

    fn user(&self) -> String {
        self.who.map_or_else(String::new, |who| who.user.clone())
    }

    pub(crate) fn denied(&self, access: Access, path: &AlluxioPath) -> Error {
        Error::PermissionDenied { user: self.user(), access, path: path.clone() }
    }

    pub(crate) fn not_superuser(&self, what: &'static str, path: &AlluxioPath) -> Error {
        Error::NotSuperuser { user: self.user(), what, path: path.clone() }
    }

    pub(crate) fn not_owner(&self, what: &'static str, path: &AlluxioPath) -> Error {
        Error::NotOwner { user: self.user(), what, path: path.clone() }
    }
}
