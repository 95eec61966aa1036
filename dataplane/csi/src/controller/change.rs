//! Volumes come, go and grow.

use super::{Controller, NAME_BYTES_MAX, Sizes, volume};
use crate::CsiError;
use crate::attributes::{ClassParameters, OnDelete, VolumeAttributes};
use crate::capability::accesses;
use crate::node::required;
use crate::proto::csi::{
    ControllerExpandVolumeRequest, ControllerExpandVolumeResponse, CreateVolumeRequest,
    CreateVolumeResponse, DeleteVolumeRequest, DeleteVolumeResponse,
};
use crate::registry::{Owner, Record};
use crate::volume_id::VolumeId;
use alluxio_types::AlluxioPath;

/// Most archives of one directory: each costs a call to find the next free name.
const ARCHIVES_MAX: u32 = 1000;

impl Controller {
    /// Makes a volume, or finds it. The record is written first, so that whatever is left half done is known and can
    /// be deleted.
    pub(super) async fn create(
        &self,
        request: CreateVolumeRequest,
    ) -> Result<CreateVolumeResponse, CsiError> {
        let name = required("name", request.name)?;
        if name.len() > NAME_BYTES_MAX {
            return Err(CsiError::invalid("name", format!("longer than {NAME_BYTES_MAX} bytes")));
        }
        let accesses = accesses(&request.volume_capabilities)?;
        if request.volume_content_source.is_some() {
            return Err(CsiError::invalid("volume_content_source", "volumes begin empty"));
        }
        if let Some(key) = request.mutable_parameters.keys().next() {
            return Err(CsiError::invalid(key, "volumes have no parameters that change"));
        }
        let sizes = Sizes::read(request.capacity_range.as_ref())?;
        let class = ClassParameters::read(&name, &request.parameters)?;
        let attributes = VolumeAttributes::read(&class.context)?;
        for access in &accesses {
            let spec = attributes.session(&access.mount_flags, false);
            let checked = (self.parts.check_options)(&spec.options);
            checked.map_err(|why| CsiError::invalid("options of the mount", why))?;
        }
        let wanted = Record {
            path: class.path.as_str().to_owned(),
            capacity_bytes: sizes.chosen(),
            on_delete: class.on_delete.name().to_owned(),
            context: class.context,
            name,
        };
        let id = VolumeId::of(&self.parts.cluster, &wanted.name);
        let _held = self.lock(&id)?;
        let record = match self.parts.registry.get(&id).await? {
            Some(there) => found(there, &wanted, sizes)?,
            None => {
                self.check_free(&class.path, &id).await?;
                self.parts.registry.put(&id, &wanted).await?;
                wanted
            }
        };
        self.parts.registry.make(&class.path, &id).await?;
        // Nobody can write before there is an answer.
        self.parts.registry.bound(&class.path, record.capacity_bytes).await?;
        Ok(CreateVolumeResponse { volume: Some(volume(&id, &record)) })
    }

    /// What somebody keeps in a directory must not become a volume, and be deleted with it.
    async fn check_free(&self, path: &AlluxioPath, id: &VolumeId) -> Result<(), CsiError> {
        let why = match self.parts.registry.owner(path).await? {
            Owner::Missing | Owner::Empty => return Ok(()),
            Owner::Volume(owner) if owner == id.as_str() => return Ok(()),
            Owner::Volume(owner) => {
                format!("is volume {owner}; pathPattern must tell volumes apart")
            }
            Owner::Used => "exists already and is no volume".to_owned(),
        };
        Err(CsiError::Directory { path: path.as_str().to_owned(), why })
    }

    /// Deletes a volume. The record goes last, so that a call that was cut off can be repeated.
    pub(super) async fn delete(
        &self,
        request: DeleteVolumeRequest,
    ) -> Result<DeleteVolumeResponse, CsiError> {
        let text = required("volume_id", request.volume_id)?;
        // None of ours: it is not there, as was wished.
        let Some(id) = VolumeId::parse(&text) else { return Ok(DeleteVolumeResponse {}) };
        let _held = self.lock(&id)?;
        let registry = &self.parts.registry;
        if let Some(record) = registry.get(&id).await? {
            let path = AlluxioPath::parse(&record.path)?;
            // Done already, or never made, or somebody else's by now.
            if registry.owner(&path).await? == Owner::Volume(text) {
                match record.on_delete() {
                    OnDelete::Delete => registry.delete(&path).await?,
                    OnDelete::Retain => registry.release(&path).await?,
                    OnDelete::Archive => {
                        let archive = self.archive(&path).await?;
                        registry.rename(&path, &archive).await?;
                        registry.release(&archive).await?;
                    }
                }
            }
            registry.remove(&id).await?;
        }
        Ok(DeleteVolumeResponse {})
    }

    /// Where a directory goes that is archived: beside its old place, at the first name that is free, since
    /// volumes may come and go under one name. A call that is repeated finds the directory gone, and needs none.
    async fn archive(&self, path: &AlluxioPath) -> Result<AlluxioPath, CsiError> {
        let parent = path.parent().unwrap_or_else(AlluxioPath::root);
        for number in 1..=ARCHIVES_MAX {
            let archive = parent.join(&format!("archived-{}-{number}", path.name()))?;
            if self.parts.registry.owner(&archive).await? == Owner::Missing {
                return Ok(archive);
            }
        }
        let why = format!("was archived {ARCHIVES_MAX} times; remove some of {parent}/archived-…");
        Err(CsiError::Directory { path: path.as_str().to_owned(), why })
    }

    /// Makes a volume larger. Nodes have nothing to do: the size is the quota of its directory, which the master
    /// keeps.
    pub(super) async fn expand(
        &self,
        request: ControllerExpandVolumeRequest,
    ) -> Result<ControllerExpandVolumeResponse, CsiError> {
        let text = required("volume_id", request.volume_id)?;
        if request.capacity_range.is_none() {
            return Err(CsiError::Missing { field: "capacity_range" });
        }
        let sizes = Sizes::read(request.capacity_range.as_ref())?;
        let (id, _) = self.known(&text).await?;
        let _held = self.lock(&id)?;
        let (id, mut record) = self.known(&text).await?;
        if !sizes.allow(record.capacity_bytes) {
            let chosen = sizes.chosen();
            if record.capacity_bytes == 0 || chosen < record.capacity_bytes {
                let why = format!("{id} has {} bytes, it only grows", record.capacity_bytes);
                return Err(CsiError::Capacity { why });
            }
            record.capacity_bytes = chosen;
            self.parts.registry.put(&id, &record).await?;
        }
        // Also when the record says so already: the call that wrote it may have been cut off.
        let path = AlluxioPath::parse(&record.path)?;
        self.parts.registry.bound(&path, record.capacity_bytes).await?;
        Ok(ControllerExpandVolumeResponse {
            capacity_bytes: volume(&id, &record).capacity_bytes,
            node_expansion_required: false,
        })
    }
}

/// The volume that is there already, if it is what is asked for. **Errors**: `Exists`.
fn found(there: Record, wanted: &Record, sizes: Sizes) -> Result<Record, CsiError> {
    let what = format!("volume {}", there.name);
    if !sizes.allow(there.capacity_bytes) {
        let why = format!("with {} bytes", there.capacity_bytes);
        return Err(CsiError::Exists { what, why });
    }
    let same = (&there.path, &there.on_delete, &there.context)
        == (&wanted.path, &wanted.on_delete, &wanted.context);
    if !same {
        return Err(CsiError::Exists { what, why: "with other parameters".into() });
    }
    Ok(there)
}
