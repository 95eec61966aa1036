//! The controller on a registry in memory.

use super::{Controller, ControllerParts};
use crate::CsiError;
use crate::attributes::Words;
use crate::metrics::CsiMetrics;
use crate::proto::csi::volume_capability::access_mode::Mode;
use crate::proto::csi::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use crate::proto::csi::*;
use crate::registry::{Owner, Record, Registry};
use crate::volume_id::VolumeId;
use alluxio_telemetry::Metrics;
use alluxio_types::{AlluxioPath, Code, Coded};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Directories that somebody made, each with its owner; and records.
#[derive(Default)]
struct Memory {
    records: Mutex<BTreeMap<VolumeId, Record>>,
    directories: Mutex<BTreeMap<String, Owner>>,
    bounds: Mutex<BTreeMap<String, u64>>,
}

impl Memory {
    fn bound_of(&self, path: &str) -> Option<u64> {
        self.bounds.lock().unwrap().get(path).copied()
    }

    fn directory(&self, path: &str) -> Owner {
        self.directories.lock().unwrap().get(path).cloned().unwrap_or(Owner::Missing)
    }
}

#[async_trait::async_trait]
impl Registry for Memory {
    async fn get(&self, id: &VolumeId) -> Result<Option<Record>, CsiError> {
        Ok(self.records.lock().unwrap().get(id).cloned())
    }

    async fn put(&self, id: &VolumeId, record: &Record) -> Result<(), CsiError> {
        self.records.lock().unwrap().insert(id.clone(), record.clone());
        Ok(())
    }

    async fn remove(&self, id: &VolumeId) -> Result<(), CsiError> {
        self.records.lock().unwrap().remove(id);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<(VolumeId, Record)>, CsiError> {
        Ok(self.records.lock().unwrap().clone().into_iter().collect())
    }

    async fn owner(&self, path: &AlluxioPath) -> Result<Owner, CsiError> {
        Ok(self.directory(path.as_str()))
    }

    async fn make(&self, path: &AlluxioPath, id: &VolumeId) -> Result<(), CsiError> {
        let owner = Owner::Volume(id.to_string());
        self.directories.lock().unwrap().insert(path.as_str().to_owned(), owner);
        Ok(())
    }

    async fn bound(&self, path: &AlluxioPath, bytes: u64) -> Result<(), CsiError> {
        self.bounds.lock().unwrap().insert(path.as_str().to_owned(), bytes);
        Ok(())
    }

    async fn release(&self, path: &AlluxioPath) -> Result<(), CsiError> {
        self.directories.lock().unwrap().insert(path.as_str().to_owned(), Owner::Used);
        Ok(())
    }

    async fn delete(&self, path: &AlluxioPath) -> Result<(), CsiError> {
        self.directories.lock().unwrap().remove(path.as_str());
        Ok(())
    }

    async fn rename(&self, from: &AlluxioPath, to: &AlluxioPath) -> Result<(), CsiError> {
        let mut directories = self.directories.lock().unwrap();
        let owner = directories.remove(from.as_str()).unwrap();
        directories.insert(to.as_str().to_owned(), owner);
        Ok(())
    }
}

fn controller() -> (Controller, Arc<Memory>) {
    let memory = Arc::new(Memory::default());
    let parts = ControllerParts {
        cluster: "test".into(),
        registry: memory.clone(),
        check_options: Arc::new(|words| match words.iter().find(|word| word.contains("bad")) {
            Some(word) => Err(format!("{word} is no option")),
            None => Ok(()),
        }),
    };
    (Controller::new(parts, CsiMetrics::register(&Metrics::new("csi")).unwrap()), memory)
}

fn capability() -> VolumeCapability {
    VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume::default())),
        access_mode: Some(AccessMode { mode: Mode::MultiNodeMultiWriter.into() }),
    }
}

fn request(name: &str, bytes: i64, parameters: &[(&str, &str)]) -> CreateVolumeRequest {
    let parameters = parameters.iter().map(|(key, value)| ((*key).into(), (*value).into()));
    CreateVolumeRequest {
        name: name.into(),
        capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
        volume_capabilities: vec![capability()],
        parameters: parameters.collect(),
        ..Default::default()
    }
}

async fn create(
    controller: &Controller,
    name: &str,
    bytes: i64,
    parameters: &[(&str, &str)],
) -> Result<Volume, Code> {
    let created = controller.create(request(name, bytes, parameters)).await;
    created.map(|answer| answer.volume.unwrap()).map_err(|error| error.code())
}

async fn delete(controller: &Controller, id: &str) {
    let request = DeleteVolumeRequest { volume_id: id.into(), ..Default::default() };
    controller.delete(request).await.unwrap();
}

#[tokio::test]
async fn a_name_is_one_volume() {
    let (controller, memory) = controller();
    let class = [("path", "/volumes"), ("fuse.attr_timeout", "1")];
    let volume = create(&controller, "a", 100, &class).await.unwrap();
    assert_eq!(create(&controller, "a", 100, &class).await.unwrap(), volume);
    // Larger is not what was asked for, smaller than what there is is.
    assert_eq!(create(&controller, "a", 50, &class).await.unwrap(), volume);
    assert_eq!(create(&controller, "a", 200, &class).await, Err(Code::AlreadyExists));
    assert_eq!(create(&controller, "a", 100, &[]).await, Err(Code::AlreadyExists));
    let context: Words = [("fuse.attr_timeout", "1"), ("path", "/volumes/a")]
        .map(|(k, v)| (k.into(), v.into()))
        .into();
    assert_eq!(volume.volume_context, context);
    assert_eq!(memory.bound_of("/volumes/a"), Some(100));
    assert_eq!(memory.directory("/volumes/a"), Owner::Volume(volume.volume_id.clone()));
    for _ in 0..2 {
        delete(&controller, &volume.volume_id).await;
        assert_eq!(memory.directory("/volumes/a"), Owner::Missing);
    }
    delete(&controller, "never-heard-of").await;
}

#[tokio::test]
async fn what_somebody_keeps_never_becomes_a_volume() {
    let (controller, memory) = controller();
    memory.directories.lock().unwrap().insert("/mine".into(), Owner::Used);
    memory.directories.lock().unwrap().insert("/empty".into(), Owner::Empty);
    let pattern = |pattern| [("pathPattern", pattern)];
    let refused = create(&controller, "a", 1, &pattern("mine")).await;
    assert_eq!(refused, Err(Code::FailedPrecondition));
    assert!(memory.records.lock().unwrap().is_empty(), "a refusal leaves no record");
    create(&controller, "b", 1, &pattern("empty")).await.unwrap();
    let second = create(&controller, "c", 1, &pattern("empty")).await;
    assert_eq!(second, Err(Code::FailedPrecondition), "it is b's");
}

#[tokio::test]
async fn a_directory_ends_as_its_class_says() {
    let (controller, memory) = controller();
    for (name, on_delete) in [("r", "Retain"), ("a", "Archive"), ("a", "Archive")] {
        let volume = create(&controller, name, 1, &[("onDelete", on_delete)]).await.unwrap();
        delete(&controller, &volume.volume_id).await;
    }
    let directories = memory.directories.lock().unwrap().clone();
    let paths: Vec<&str> = directories.keys().map(String::as_str).collect();
    assert_eq!(paths, ["/archived-a-1", "/archived-a-2", "/r"]);
    assert!(directories.values().all(|owner| *owner == Owner::Used));
    assert!(memory.records.lock().unwrap().is_empty());
}

#[tokio::test]
async fn wrong_requests_are_refused_with_the_right_code() {
    let (controller, _) = controller();
    let block =
        VolumeCapability { access_type: Some(AccessType::Block(BlockVolume {})), ..capability() };
    let good = || request("a", 1, &[]);
    let range = |least, most| Some(CapacityRange { required_bytes: least, limit_bytes: most });
    let source = Some(VolumeContentSource::default());
    for (wrong, code) in [
        (request("", 1, &[]), Code::InvalidArgument),
        (request(&"n".repeat(129), 1, &[]), Code::InvalidArgument),
        (request("a", 1, &[("nobody", "x")]), Code::InvalidArgument),
        (request("a", 1, &[("fuse.bad", "true")]), Code::InvalidArgument),
        (request("a", -1, &[]), Code::OutOfRange),
        (CreateVolumeRequest { volume_capabilities: vec![], ..good() }, Code::InvalidArgument),
        (CreateVolumeRequest { volume_capabilities: vec![block], ..good() }, Code::InvalidArgument),
        (CreateVolumeRequest { capacity_range: range(2, 1), ..good() }, Code::OutOfRange),
        (CreateVolumeRequest { volume_content_source: source, ..good() }, Code::InvalidArgument),
    ] {
        assert_eq!(controller.create(wrong).await.unwrap_err().code(), code);
    }
    create(&controller, &"n".repeat(128), 0, &[]).await.unwrap();
}

#[tokio::test]
async fn volumes_grow_and_never_shrink() {
    let (controller, _) = controller();
    let expand = |id: &str, bytes: i64| ControllerExpandVolumeRequest {
        volume_id: id.into(),
        capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
        ..Default::default()
    };
    let id = create(&controller, "a", 100, &[]).await.unwrap().volume_id;
    for (asked, gets) in [(200, 200), (200, 200), (50, 200)] {
        let answer = controller.expand(expand(&id, asked)).await.unwrap();
        assert_eq!((answer.capacity_bytes, answer.node_expansion_required), (gets, false));
    }
    let smaller = ControllerExpandVolumeRequest {
        capacity_range: Some(CapacityRange { required_bytes: 0, limit_bytes: 10 }),
        ..expand(&id, 0)
    };
    assert_eq!(controller.expand(smaller).await.unwrap_err().code(), Code::OutOfRange);
    let nobody = VolumeId::of("test", "nobody");
    let outcome = controller.expand(expand(nobody.as_str(), 1)).await;
    assert_eq!(outcome.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    let (controller, _) = controller();
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        ids.push(create(&controller, name, 1, &[]).await.unwrap().volume_id);
    }
    ids.sort();
    let page = async |most: i32, token: &str| {
        let request = ListVolumesRequest { max_entries: most, starting_token: token.into() };
        let answer = controller.list(request).await.map_err(|error| error.code())?;
        let ids: Vec<String> =
            answer.entries.into_iter().map(|entry| entry.volume.unwrap().volume_id).collect();
        Ok::<_, Code>((ids, answer.next_token))
    };
    let (first, token) = page(2, "").await.unwrap();
    // The volume that the token names goes: the list goes on behind it.
    delete(&controller, &token).await;
    let (second, token) = page(2, &token).await.unwrap();
    let (third, end) = page(2, &token).await.unwrap();
    assert_eq!([first, second, third].concat(), ids);
    assert_eq!(end, "");
    assert_eq!(page(0, "").await.unwrap().0.len(), 4);
    assert_eq!(page(0, "invalid-token").await, Err(Code::Aborted));
    assert_eq!(page(-1, "").await, Err(Code::InvalidArgument));
}

#[tokio::test]
async fn capabilities_are_confirmed_for_the_volume_that_is_meant() {
    let (controller, _) = controller();
    let volume = create(&controller, "a", 1, &[]).await.unwrap();
    let good = ValidateVolumeCapabilitiesRequest {
        volume_id: volume.volume_id.clone(),
        volume_context: volume.volume_context.clone(),
        volume_capabilities: vec![capability()],
        ..Default::default()
    };
    assert!(controller.validate(good.clone()).await.unwrap().confirmed.is_some());
    let other = [("path".to_owned(), "/other".to_owned())].into();
    let other = ValidateVolumeCapabilitiesRequest { volume_context: other, ..good.clone() };
    assert!(controller.validate(other).await.unwrap().confirmed.is_none());
    let nobody = ValidateVolumeCapabilitiesRequest { volume_id: "x".into(), ..good };
    assert_eq!(controller.validate(nobody).await.unwrap_err().code(), Code::NotFound);
    let request = ControllerGetVolumeRequest { volume_id: volume.volume_id.clone() };
    assert_eq!(controller.get(request).await.unwrap().volume, Some(volume));
}
