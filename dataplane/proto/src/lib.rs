//! The customs house: protobuf messages, their generated code, and the translation to and from
//! [`alluxio_types`]. Nobody else names a protobuf field.
//!
//! It must not know: sockets, retries, what a role does with a message.
//!
//! Reading order: [`v1`] (generated), [`convert`], [`status`].

/// Generated code, one module per `.proto` package.
#[expect(missing_docs, clippy::all, reason = "generated; the .proto files are documented")]
pub mod v1 {
    /// Entries and checkpoints.
    pub mod journal {
        tonic::include_proto!("alluxio.journal.v1");
    }
}
