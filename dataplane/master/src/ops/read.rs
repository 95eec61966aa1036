//! Status and listings.

use crate::core::{Call, Core};
use crate::error::MasterError;
use crate::sync::Freshness;
use alluxio_namespace::{Child, Common, Request};
use alluxio_types::{Access, AlluxioPath, FileStatus};
use tokio::sync::mpsc;

/// Names of one page of a listing: about 200 kB of statuses, and a fraction of a millisecond of
/// one shard's lock.
const PAGE: usize = 1000;

/// What to list.
pub(crate) struct List {
    pub(crate) path: AlluxioPath,
    pub(crate) freshness: Freshness,
    pub(crate) recursive: bool,
    pub(crate) without_blocks: bool,
    pub(crate) start_after: Option<String>,
    /// `None` for all.
    pub(crate) limit: Option<u64>,
}

/// Part of a listing, ready to be sent.
#[derive(Default)]
pub(crate) struct ListPage<E> {
    pub(crate) entries: E,
    pub(crate) common: Option<Common>,
}

/// A page on its way, and the directories in it.
#[derive(Default)]
struct Taken<E> {
    entries: E,
    below: Vec<String>,
}

impl Core {
    /// The status of one path.
    pub(crate) async fn get_status(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
        without_blocks: bool,
        call: &Call,
    ) -> Result<FileStatus, MasterError> {
        let must_ask = freshness.sync_interval.is_some();
        // The fast path: what is known and need not be fresh costs one read of the tree.
        if !must_ask && let Ok(seen) = self.namespace.status(path, &self.context(call)) {
            let mut status = self.release_for(Ok(seen), call).await?;
            self.dress(&mut status, without_blocks);
            return Ok(status);
        }
        self.refresh(path, freshness, call).await?;
        let read = self.namespace.status(path, &self.context(call));
        let mut status = self.release_for(read, call).await?;
        self.dress(&mut status, without_blocks);
        Ok(status)
    }

    /// Notes that a file is about to be read: checks the right, moves the access time.
    pub(crate) async fn note_read(
        &self,
        path: &AlluxioPath,
        status: &FileStatus,
        call: &Call,
    ) -> Result<(), MasterError> {
        let allowed = self.namespace.check_access(path, Access::READ, &self.context(call));
        self.release(allowed).await?;
        if let Some(precision) = self.config.access_time_precision
            && call.now.since(status.accessed) > precision
        {
            self.writer.change_if_idle(Request::RecordAccess(vec![status.id]), &call.who);
        }
        Ok(())
    }

    /// Lists a directory (or names a file) page by page, until nobody takes the pages any more. The
    /// statuses go out abridged, as what `put` makes of them.
    pub(crate) async fn list_status<E: Default>(
        &self,
        list: List,
        call: &Call,
        pages: &mpsc::Sender<Result<ListPage<E>, MasterError>>,
        put: impl Fn(FileStatus, &mut E) + Sync,
    ) -> Result<(), MasterError> {
        self.refresh(&list.path, list.freshness, call).await?;
        let mut left = list.limit.unwrap_or(u64::MAX);
        let mut after = list.start_after;
        let mut to_visit = vec![list.path.clone()];
        while let Some(directory) = to_visit.pop() {
            self.refresh_children(&directory, list.freshness, call).await?;
            let mut below = Vec::new();
            loop {
                let limit = PAGE.min(usize::try_from(left).unwrap_or(PAGE));
                if limit == 0 {
                    return Ok(());
                }
                let context = self.context(call);
                let take = |taken: &mut Taken<E>, child: Child<'_>| {
                    let mut status = child.into_abridged();
                    if list.recursive && status.is_directory() {
                        taken.below.push(status.name.clone());
                    }
                    self.dress(&mut status, list.without_blocks);
                    put(status, &mut taken.entries);
                };
                let after_name = after.as_deref();
                let page = self.namespace.list_into(&directory, after_name, limit, &context, take);
                let page = match self.release(page).await {
                    Ok(page) => page,
                    // Deleted while we walked: what is gone is not listed.
                    Err(MasterError::Refused(refusal))
                        if directory != list.path
                            && alluxio_types::Coded::code(&refusal)
                                == alluxio_types::Code::NotFound =>
                    {
                        break;
                    }
                    Err(error) => return Err(error),
                };
                left -= page.count as u64;
                let (Taken { entries, below: names }, common) = (page.entries, page.common);
                for name in names {
                    below.push(directory.join(&name)?);
                }
                if pages.send(Ok(ListPage { entries, common })).await.is_err() {
                    return Ok(());
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            after = None;
            // Depth first, in order of name.
            to_visit.extend(below.into_iter().rev());
        }
        Ok(())
    }
}
