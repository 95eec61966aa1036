//! Names that stood for open files of a mount, and that nobody needs any more.

use super::AlluxioFs;
use super::list::HIDDEN_PREFIX;
use super::nodes::Way;
use super::record::KeptNode;
use alluxio_client::DeleteOptions;

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

    /// The mount is gone for good: nothing has a file open.
    pub async fn close(&self) {
        let hidden = self.core.nodes().hidden();
        for number in hidden {
            self.core.nodes().abandon(number);
            self.core.drop_hidden(number).await;
        }
    }
}

impl super::nodes::Nodes {
    /// Nobody has the node open any more.
    fn abandon(&mut self, number: u64) {
        if let Some(node) = self.get_mut(number) {
            node.way = Way::Closed;
            node.forget_before();
        }
    }
}
