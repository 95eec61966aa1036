//! The customs house: protobuf messages, their generated code, and the translation to and from
//! [`alluxio_types`]. Nobody else names a protobuf field.
//!
//! It must not know: sockets, retries, what a role does with a message.
//!
//! Reading order: [`v1`] (generated), [`convert`], [`status`].

pub mod convert;
pub mod status;

/// Generated code, nested as the packages are, because it refers to its siblings by position.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated; the .proto files are documented"
)]
mod generated {
    pub mod agent {
        pub mod v1 {
            tonic::include_proto!("alluxio.agent.v1");
        }
    }
    pub mod block {
        pub mod v1 {
            tonic::include_proto!("alluxio.block.v1");
        }
    }
    pub mod common {
        pub mod v1 {
            tonic::include_proto!("alluxio.common.v1");
        }
    }
    pub mod fs {
        pub mod v1 {
            tonic::include_proto!("alluxio.fs.v1");
        }
    }
    pub mod journal {
        pub mod v1 {
            tonic::include_proto!("alluxio.journal.v1");
        }
    }
    pub mod meta {
        pub mod v1 {
            tonic::include_proto!("alluxio.meta.v1");
        }
    }
    pub mod worker {
        pub mod v1 {
            tonic::include_proto!("alluxio.worker.v1");
        }
    }
}

/// Messages and services, one module per `.proto` package.
pub mod v1 {
    pub use crate::generated::agent::v1 as agent;
    pub use crate::generated::block::v1 as block;
    pub use crate::generated::common::v1 as common;
    pub use crate::generated::fs::v1 as fs;
    pub use crate::generated::journal::v1 as journal;
    pub use crate::generated::meta::v1 as meta;
    pub use crate::generated::worker::v1 as worker;
}
