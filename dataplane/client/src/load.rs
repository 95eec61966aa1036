//! Brings files into the cache from this client, one after the other (`fs load`).

use crate::error::ClientError;
use crate::fs::FileSystem;
use crate::options::{GetStatusOptions, ListStatusOptions, Loaded, OpenFileOptions};
use alluxio_types::{AlluxioPath, FileStatus, ReadType};

/// Bytes read at a time; they are thrown away.
const STEP_BYTES: usize = 1 << 20;

impl FileSystem {
    /// Brings a file, or all files below a directory, into the cache. With `local`, onto a worker
    /// of this host where there is one, even if other workers have them.
    ///
    /// **Errors**: the first failure ends it; what was loaded before stays loaded.
    pub async fn load(&self, path: &AlluxioPath, local: bool) -> Result<Loaded, ClientError> {
        let status = self.get_status(path, &GetStatusOptions::default()).await?;
        let mut loaded = Loaded::default();
        if !status.is_directory() {
            self.load_file(status, local, &mut loaded).await?;
            return Ok(loaded);
        }
        let options = ListStatusOptions { recursive: true, ..ListStatusOptions::default() };
        let mut listing = self.iterate_status(path, &options).await?;
        while let Some(status) = listing.next().await? {
            if !status.is_directory() && status.completed {
                self.load_file(status, local, &mut loaded).await?;
            }
        }
        Ok(loaded)
    }

    /// Reads the blocks that are missing to their end: the worker that serves them keeps them.
    async fn load_file(
        &self,
        mut status: FileStatus,
        local: bool,
        loaded: &mut Loaded,
    ) -> Result<(), ClientError> {
        loaded.files += 1;
        let here = self.inner.config.hostname.clone();
        if local {
            // Copies elsewhere do not count: without them the worker of this host is asked, and
            // fetches the block.
            for block in &mut status.blocks {
                block.locations.retain(|location| location.address.host == here);
            }
        }
        let missing: Vec<(u64, u64)> = status
            .blocks
            .iter()
            .filter(|block| block.locations.is_empty())
            .map(|block| (block.offset, block.length))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let options =
            OpenFileOptions { read_type: Some(ReadType::Cache), ..OpenFileOptions::default() };
        let mut reader = self.open_status(status, &options)?;
        let mut buffer = vec![0; STEP_BYTES];
        for (offset, length) in missing {
            reader.seek(std::io::SeekFrom::Start(offset))?;
            let mut done = 0;
            while done < length {
                let wanted = (length - done).min(STEP_BYTES as u64) as usize;
                match reader.read(&mut buffer[..wanted]).await? {
                    0 => break,
                    count => done += count as u64,
                }
            }
            loaded.blocks += 1;
            loaded.bytes += done;
        }
        Ok(())
    }
}
