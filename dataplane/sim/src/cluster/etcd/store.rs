//! What an etcd keeps: keys with their revisions, leases, and the history that watches tell.
//!
//! Of etcd's rules those that the election and the journal build on: every change has a revision of its
//! own; a transaction is one change; a key's create revision names its life; a lease takes its keys along;
//! history before a compaction is gone.

use super::pb;
use super::pb::compare::{CompareResult, TargetUnion};
use super::pb::range_request::SortOrder;
use super::pb::request_op::Request;
use super::pb::response_op::Response;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use tokio::sync::watch;
use tonic::Status;

pub(super) type Key = Vec<u8>;

/// All that survives a crash.
pub(super) struct Store {
    revision: i64,
    compacted: i64,
    keys: BTreeMap<Key, pb::KeyValue>,
    leases: BTreeMap<i64, Lease>,
    next_lease: i64,
    history: Vec<pb::Event>,
    /// How often history was compacted.
    pub(super) compactions: u64,
    /// Tells watches of new revisions.
    news: watch::Sender<i64>,
}

struct Lease {
    ttl: i64,
    /// Milliseconds until it ends.
    left_ms: u64,
    keys: BTreeSet<Key>,
}

/// A range as etcd writes it: one key, all from a key on (`\0`), or up to an end.
pub(super) fn bounds(key: &[u8], end: &[u8]) -> (Bound<Key>, Bound<Key>) {
    let upper = match end {
        [] => Bound::Included(key.to_vec()),
        [0] => Bound::Unbounded,
        end => Bound::Excluded(end.to_vec()),
    };
    (Bound::Included(key.to_vec()), upper)
}

impl Store {
    pub(super) fn new() -> Self {
        Store {
            revision: 1,
            compacted: 0,
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            next_lease: 1,
            history: Vec::new(),
            compactions: 0,
            news: watch::Sender::new(1),
        }
    }

    pub(super) fn header(&self) -> Option<pb::ResponseHeader> {
        Some(pb::ResponseHeader { revision: self.revision, ..Default::default() })
    }

    pub(super) fn news(&self) -> watch::Receiver<i64> {
        self.news.subscribe()
    }

    fn found(&self, key: &[u8], end: &[u8]) -> Vec<&pb::KeyValue> {
        let (from, to) = bounds(key, end);
        if matches!((&from, &to), (Bound::Included(from), Bound::Excluded(to)) if from > to) {
            return Vec::new();
        }
        self.keys.range((from, to)).map(|(_, kv)| kv).collect()
    }

    pub(super) fn range(&self, request: &pb::RangeRequest) -> pb::RangeResponse {
        let mut found = self.found(&request.key, &request.range_end);
        let count = found.len() as i64;
        if request.sort_order() == SortOrder::Descend {
            found.reverse();
        }
        if request.limit > 0 {
            found.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        }
        let more = (found.len() as i64) < count;
        let kvs = found.into_iter().cloned().collect();
        pb::RangeResponse { header: self.header(), kvs, more, count }
    }

    fn holds(&self, compare: &pb::Compare) -> bool {
        let kv = self.keys.get(&compare.key);
        let number = |of: fn(&pb::KeyValue) -> i64, wanted: &i64| kv.map_or(0, of).cmp(wanted);
        let order = match &compare.target_union {
            Some(TargetUnion::Version(wanted)) => number(|kv| kv.version, wanted),
            Some(TargetUnion::CreateRevision(wanted)) => number(|kv| kv.create_revision, wanted),
            Some(TargetUnion::ModRevision(wanted)) => number(|kv| kv.mod_revision, wanted),
            Some(TargetUnion::Lease(wanted)) => number(|kv| kv.lease, wanted),
            // The value of a key that is not there equals nothing.
            Some(TargetUnion::Value(wanted)) => match kv {
                Some(kv) => kv.value.cmp(wanted),
                None => return false,
            },
            None => return false,
        };
        match compare.result() {
            CompareResult::Equal => order.is_eq(),
            CompareResult::Greater => order.is_gt(),
            CompareResult::Less => order.is_lt(),
            CompareResult::NotEqual => order.is_ne(),
        }
    }

    /// Carries out several operations as one change.
    pub(super) fn txn(&mut self, request: &pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        let chosen = if succeeded { &request.success } else { &request.failure };
        for operation in chosen {
            if let Some(Request::RequestPut(put)) = &operation.request {
                self.check_lease(put.lease)?;
            }
        }
        let revision = self.revision + 1;
        let mut responses = Vec::new();
        for operation in chosen {
            let response = operation.request.as_ref().map(|request| match request {
                Request::RequestRange(range) => Response::ResponseRange(self.range(range)),
                Request::RequestPut(put) => Response::ResponsePut(self.put_at(revision, put)),
                Request::RequestDeleteRange(delete) => {
                    Response::ResponseDeleteRange(self.delete_at(revision, delete))
                }
            });
            responses.push(pb::ResponseOp { response });
        }
        self.publish();
        Ok(pb::TxnResponse { header: self.header(), succeeded, responses })
    }

    pub(super) fn put(&mut self, request: &pb::PutRequest) -> Result<pb::PutResponse, Status> {
        self.check_lease(request.lease)?;
        let response = self.put_at(self.revision + 1, request);
        self.publish();
        Ok(response)
    }

    pub(super) fn delete(&mut self, request: &pb::DeleteRangeRequest) -> pb::DeleteRangeResponse {
        let response = self.delete_at(self.revision + 1, request);
        self.publish();
        response
    }

    fn check_lease(&self, lease: i64) -> Result<(), Status> {
        if lease != 0 && !self.leases.contains_key(&lease) {
            return Err(no_lease());
        }
        Ok(())
    }

    fn put_at(&mut self, revision: i64, put: &pb::PutRequest) -> pb::PutResponse {
        let old = self.keys.get(&put.key);
        let (created, version, before) = match old {
            Some(old) => (old.create_revision, old.version, old.lease),
            None => (revision, 0, 0),
        };
        if let Some(lease) = self.leases.get_mut(&before) {
            lease.keys.remove(&put.key);
        }
        if let Some(lease) = self.leases.get_mut(&put.lease) {
            lease.keys.insert(put.key.clone());
        }
        let kv = pb::KeyValue {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: created,
            mod_revision: revision,
            version: version + 1,
            lease: put.lease,
        };
        self.keys.insert(put.key.clone(), kv.clone());
        self.note(pb::event::EventType::Put, kv);
        pb::PutResponse { header: self.header() }
    }

    fn delete_at(
        &mut self,
        revision: i64,
        request: &pb::DeleteRangeRequest,
    ) -> pb::DeleteRangeResponse {
        let found = self.found(&request.key, &request.range_end);
        let gone: Vec<Key> = found.into_iter().map(|kv| kv.key.clone()).collect();
        for key in &gone {
            self.remove(revision, key);
        }
        pb::DeleteRangeResponse { header: self.header(), deleted: gone.len() as i64 }
    }

    fn remove(&mut self, revision: i64, key: &Key) {
        let Some(old) = self.keys.remove(key) else { return };
        if let Some(lease) = self.leases.get_mut(&old.lease) {
            lease.keys.remove(key);
        }
        let kv = pb::KeyValue { key: key.clone(), mod_revision: revision, ..Default::default() };
        self.note(pb::event::EventType::Delete, kv);
    }

    fn note(&mut self, kind: pb::event::EventType, kv: pb::KeyValue) {
        self.revision = kv.mod_revision;
        self.history.push(pb::Event { r#type: kind.into(), kv: Some(kv) });
    }

    fn publish(&self) {
        let revision = self.revision;
        self.news.send_if_modified(|known| std::mem::replace(known, revision) != revision);
    }

    pub(super) fn compact(&mut self, revision: i64) -> Result<pb::CompactionResponse, Status> {
        if revision <= self.compacted {
            return Err(compacted());
        }
        if revision > self.revision {
            let what = "etcdserver: mvcc: required revision is a future revision";
            return Err(Status::out_of_range(what));
        }
        self.compacted = revision;
        self.compactions += 1;
        self.history.retain(|event| revision_of(event) > revision);
        Ok(pb::CompactionResponse { header: self.header() })
    }

    /// Events of a range from `revision` on, by revision. **Errors**: the revision up to which history is
    /// gone.
    pub(super) fn events(
        &self,
        range: &(Bound<Key>, Bound<Key>),
        revision: i64,
    ) -> Result<Vec<pb::Event>, i64> {
        use std::ops::RangeBounds;
        if revision <= self.compacted {
            return Err(self.compacted);
        }
        let wanted = |event: &&pb::Event| {
            let in_range = event.kv.as_ref().is_some_and(|kv| range.contains(&kv.key));
            in_range && revision_of(event) >= revision
        };
        Ok(self.history.iter().filter(wanted).cloned().collect())
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    pub(super) fn grant(&mut self, wanted: &pb::LeaseGrantRequest) -> pb::LeaseGrantResponse {
        let id = if wanted.id == 0 { self.next_lease } else { wanted.id };
        self.next_lease = self.next_lease.max(id) + 1;
        let ttl = wanted.ttl.max(1);
        let left_ms = u64::try_from(ttl).unwrap_or_default() * 1000;
        self.leases.insert(id, Lease { ttl, left_ms, keys: BTreeSet::new() });
        pb::LeaseGrantResponse { header: self.header(), id, ttl, error: String::new() }
    }

    /// Prolongs a lease; 0 when it is over.
    pub(super) fn keep_alive(&mut self, id: i64) -> i64 {
        let Some(lease) = self.leases.get_mut(&id) else { return 0 };
        lease.left_ms = u64::try_from(lease.ttl).unwrap_or_default() * 1000;
        lease.ttl
    }

    pub(super) fn revoke(&mut self, id: i64) -> Result<pb::LeaseRevokeResponse, Status> {
        let lease = self.leases.remove(&id).ok_or_else(no_lease)?;
        let revision = self.revision + 1;
        for key in &lease.keys {
            self.remove(revision, key);
        }
        self.publish();
        Ok(pb::LeaseRevokeResponse { header: self.header() })
    }

    /// Lets time pass: leases that end take their keys along.
    pub(super) fn pass(&mut self, ms: u64) {
        let mut over = Vec::new();
        for (id, lease) in &mut self.leases {
            lease.left_ms = lease.left_ms.saturating_sub(ms);
            if lease.left_ms == 0 {
                over.push(*id);
            }
        }
        for id in over {
            // It was there a moment ago.
            let _ = self.revoke(id);
        }
    }

    /// Ends all leases on keys that end like this.
    pub(super) fn revoke_of(&mut self, suffix: &str) {
        let holds = |lease: &Lease| lease.keys.iter().any(|key| key.ends_with(suffix.as_bytes()));
        let held: Vec<i64> =
            self.leases.iter().filter(|(_, lease)| holds(lease)).map(|(id, _)| *id).collect();
        for id in held {
            let _ = self.revoke(id);
        }
    }
}

pub(super) fn revision_of(event: &pb::Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

fn no_lease() -> Status {
    Status::not_found("etcdserver: requested lease not found")
}

fn compacted() -> Status {
    Status::out_of_range("etcdserver: mvcc: required revision has been compacted")
}
