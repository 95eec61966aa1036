//! What a container runtime is told of an image.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The machine types that images are made for, in the words of the image format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// The machine that this program runs on; `None` for one that no image is made for.
    pub fn of_this_machine() -> Option<Arch> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Arch::Amd64),
            "aarch64" => Some(Arch::Arm64),
            _ => None,
        }
    }

    /// Its name in images.
    pub fn name(self) -> &'static str {
        match self {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
        }
    }
}

/// How a container of the image starts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Config {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, which users replace.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// `uid:gid`; root when empty. In numbers, since `runAsNonRoot` is checked by numbers.
    pub user: String,
    /// The working directory; `/` when empty.
    pub folder: String,
    /// `org.opencontainers.image.…`.
    pub labels: BTreeMap<String, String>,
    /// When it was made, RFC 3339; left out when empty.
    pub created: String,
}

impl Config {
    /// The configuration's JSON for one machine type and one layer.
    pub(crate) fn json(&self, arch: Arch, layer_digest: &str) -> Value {
        let folder = if self.folder.is_empty() { "/" } else { &self.folder };
        let mut inner = json!({ "WorkingDir": folder });
        let mut put = |key: &str, value: Value| {
            inner[key] = value;
        };
        for (key, words) in
            [("Entrypoint", &self.entrypoint), ("Cmd", &self.command), ("Env", &self.environment)]
        {
            if !words.is_empty() {
                put(key, json!(words));
            }
        }
        if !self.user.is_empty() {
            put("User", json!(self.user));
        }
        if !self.labels.is_empty() {
            put("Labels", json!(self.labels));
        }
        let mut config = json!({
            "architecture": arch.name(),
            "os": "linux",
            "config": inner,
            "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
        });
        if !self.created.is_empty() {
            config["created"] = json!(self.created);
        }
        config
    }
}
