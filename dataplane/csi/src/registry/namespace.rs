//! The registry in the namespace itself: its journal is what outlives everybody. The record of a volume is an
//! extended attribute of a directory in a folder of our own, which the UFS never has; a volume's own directory carries
//! the volume's id, so that nothing else is ever deleted.

use super::{Owner, Record, Registry};
use crate::CsiError;
use crate::volume_id::VolumeId;
use alluxio_client::{
    ClientError, CreateDirectoryOptions, DeleteOptions, FileSystem, GetStatusOptions,
    ListStatusOptions, SetAttributeOptions, SetQuotaOptions,
};
use alluxio_types::{
    AlluxioPath, Code, Coded, FileStatus, Mode, WriteType, XattrStrategy, XattrUpdate, Xattrs,
};

/// Folder of the records, one directory each.
const FOLDER: &str = "/.alluxio/volumes";
/// Attribute with a record.
const RECORD: &str = "user.alluxio.csi.record";
/// Attribute with the id of the volume that a directory is.
const MARK: &str = "user.alluxio.csi.volume";
/// Records are the driver's.
const RECORD_MODE: Mode = Mode(0o700);
/// Users of pods are not those of the cluster, and who may have a volume is Kubernetes' matter.
const VOLUME_MODE: Mode = Mode(0o777);

/// See the module.
pub struct NamespaceRegistry {
    client: FileSystem,
}

impl NamespaceRegistry {
    /// Through that client, whose user has to be a superuser of the cluster: it makes directories for everybody.
    pub fn new(client: FileSystem) -> Self {
        NamespaceRegistry { client }
    }

    async fn status(&self, path: &AlluxioPath) -> Result<Option<FileStatus>, CsiError> {
        let options = GetStatusOptions { without_blocks: true, ..GetStatusOptions::default() };
        found(self.client.get_status(path, &options).await)
    }

    async fn set(
        &self,
        path: &AlluxioPath,
        name: &str,
        value: &[u8],
        strategy: XattrStrategy,
    ) -> Result<(), CsiError> {
        let mut values = Xattrs::default();
        values.set(name, Some(value));
        let xattr = Some(XattrUpdate { values, strategy });
        let changes = SetAttributeOptions { xattr, ..SetAttributeOptions::default() };
        self.client.set_attribute(path, &changes).await?;
        Ok(())
    }

    async fn make_directory(
        &self,
        path: &AlluxioPath,
        mode: Mode,
        write_type: Option<WriteType>,
    ) -> Result<(), CsiError> {
        let options = CreateDirectoryOptions {
            recursive: true,
            allow_exists: true,
            mode: Some(mode),
            write_type,
        };
        self.client.create_directory(path, &options).await?;
        Ok(())
    }
}

/// What is not there is no error.
fn found<T>(outcome: Result<T, ClientError>) -> Result<Option<T>, CsiError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn folder() -> Result<AlluxioPath, CsiError> {
    Ok(AlluxioPath::parse(FOLDER)?)
}

fn place(id: &VolumeId) -> Result<AlluxioPath, CsiError> {
    Ok(folder()?.join(id.as_str())?)
}

/// The record that a directory carries; none when its maker was cut off.
fn record(id: &VolumeId, status: &FileStatus) -> Result<Option<Record>, CsiError> {
    let Some(text) = status.xattr.get(RECORD) else { return Ok(None) };
    let read = serde_json::from_slice(text);
    read.map(Some)
        .map_err(|error| CsiError::BadRecord { id: id.to_string(), why: error.to_string() })
}

#[async_trait::async_trait]
impl Registry for NamespaceRegistry {
    async fn get(&self, id: &VolumeId) -> Result<Option<Record>, CsiError> {
        match self.status(&place(id)?).await? {
            Some(status) => record(id, &status),
            None => Ok(None),
        }
    }

    async fn put(&self, id: &VolumeId, record: &Record) -> Result<(), CsiError> {
        let place = place(id)?;
        let text = serde_json::to_vec(record)
            .map_err(|error| CsiError::BadRecord { id: id.to_string(), why: error.to_string() })?;
        self.make_directory(&place, RECORD_MODE, Some(WriteType::MustCache)).await?;
        self.set(&place, RECORD, &text, XattrStrategy::UnionReplace).await
    }

    async fn remove(&self, id: &VolumeId) -> Result<(), CsiError> {
        self.delete(&place(id)?).await
    }

    async fn list(&self) -> Result<Vec<(VolumeId, Record)>, CsiError> {
        let listed = self.client.list_status(&folder()?, &ListStatusOptions::default()).await;
        let mut records = Vec::new();
        for status in found(listed)?.unwrap_or_default() {
            let Some(id) = VolumeId::parse(&status.name) else { continue };
            if let Some(record) = record(&id, &status)? {
                records.push((id, record));
            }
        }
        records.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(records)
    }

    async fn owner(&self, path: &AlluxioPath) -> Result<Owner, CsiError> {
        let Some(status) = self.status(path).await? else { return Ok(Owner::Missing) };
        if let Some(mark) = status.xattr.get(MARK) {
            return Ok(Owner::Volume(String::from_utf8_lossy(mark).into_owned()));
        }
        if !status.is_directory() {
            return Ok(Owner::Used);
        }
        let mut listing = self.client.iterate_status(path, &ListStatusOptions::default()).await?;
        Ok(if listing.next().await?.is_none() { Owner::Empty } else { Owner::Used })
    }

    async fn make(&self, path: &AlluxioPath, id: &VolumeId) -> Result<(), CsiError> {
        self.make_directory(path, VOLUME_MODE, None).await?;
        self.set(path, MARK, id.as_str().as_bytes(), XattrStrategy::UnionReplace).await
    }

    async fn bound(&self, path: &AlluxioPath, bytes: u64) -> Result<(), CsiError> {
        let bytes = Some(Some(bytes).filter(|bytes| *bytes > 0));
        Ok(self.client.set_quota(path, &SetQuotaOptions { bytes, inodes: None }).await?)
    }

    async fn release(&self, path: &AlluxioPath) -> Result<(), CsiError> {
        self.bound(path, 0).await?;
        self.set(path, MARK, b"", XattrStrategy::DeleteKeys).await
    }

    async fn delete(&self, path: &AlluxioPath) -> Result<(), CsiError> {
        let options = DeleteOptions { recursive: true, ..DeleteOptions::default() };
        found(self.client.delete(path, &options).await).map(|_| ())
    }

    async fn rename(&self, from: &AlluxioPath, to: &AlluxioPath) -> Result<(), CsiError> {
        Ok(self.client.rename(from, to).await?)
    }
}
