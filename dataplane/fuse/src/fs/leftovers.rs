//! Names that stood for open files of a mount, and that nobody needs any more.

use super::list::HIDDEN_PREFIX;
use super::nodes::Way;
use super::record::KeptNode;
use super::{AlluxioFs, Core};
use alluxio_client::DeleteOptions;
use std::time::Duration;

/// How long the kernel may take to forget a file that nobody has open. It is told at once.
const FORGOTTEN_WITHIN: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Core {
    /// Waits a little until a directory has no files any more that a process before us had open and that may
    /// be open no longer. Returns whether there were some, and they are gone.
    pub(super) async fn leftovers_go(&self, parent: u64, name: &str) -> bool {
        let directory = self.nodes().child(parent, name);
        let Some(directory) = directory.filter(|number| self.nodes().hides(*number)) else {
            return false;
        };
        let mut waited = Duration::ZERO;
        while waited < FORGOTTEN_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
            if !self.nodes().hides(directory) {
                // The name itself goes a moment later.
                tokio::time::sleep(2 * LOOK_EVERY).await;
                return true;
            }
        }
        false
    }
}

impl AlluxioFs {
    /// Deletes what the open files of an earlier mount were called; its programs have lost them.
    pub fn forsake(&self, nodes: Vec<KeptNode>) {
        let core = self.core.clone();
        self.core.runtime.spawn(async move {
            for kept in nodes {
                let Ok(path) = core.own.path_of(kept.inode).await else { continue };
                if path.name().starts_with(HIDDEN_PREFIX)
                    && let Err(error) = core.own.delete(&path, &DeleteOptions::default()).await
                {
                    tracing::warn!(%path, %error, "a file that was unlinked while it was open stays");
                }
            }
        });
    }

    /// The mount is gone for good: nothing has a file open. Ends when all that was written is a version of its
    /// file.
    ///
    /// **Cancel safety**: what was not done yet is left.
    pub async fn close(&self) {
        let hidden = self.core.nodes().hidden();
        for number in hidden {
            self.core.nodes().abandon(number);
            self.core.drop_hidden(number).await;
        }
        while self.core.nodes().are_written() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl super::nodes::Nodes {
    /// Whether a directory has open files without a name, as far as we know.
    fn hides(&self, directory: u64) -> bool {
        self.hidden()
            .iter()
            .any(|number| self.get(*number).is_some_and(|at| at.parent == directory))
    }

    /// Nobody has the node open any more.
    fn abandon(&mut self, number: u64) {
        if let Some(node) = self.get_mut(number) {
            node.way = Way::Closed;
            node.forget_before();
        }
    }
}
