//! The archive: a tar of an OCI image layout.

use crate::config::{Arch, Config};
use crate::error::Result;
use crate::layer::{Compression, Layer};
use flate2::GzBuilder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image for one machine type.
#[derive(Debug, Clone)]
pub struct Image {
    /// For whom.
    pub arch: Arch,
    /// Its files.
    pub layer: Layer,
    /// How it starts.
    pub config: Config,
}

/// Writes one archive that holds `images` (one for each machine type) under the name `reference`,
/// such as `localhost/alluxio:dev`. Returns the digest by which registries and runtimes know it.
///
/// **Errors**: when a file can't be read, or the archive can't be written.
pub fn write(
    images: &[Image],
    reference: &str,
    compression: Compression,
    out: impl Write,
) -> Result<String> {
    let mut blobs = Blobs::default();
    let mut manifests = Vec::new();
    for image in images {
        manifests.push(manifest(&mut blobs, image, compression)?);
    }
    let mut top = match manifests.len() {
        1 => manifests.remove(0),
        _ => {
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
            blobs.add_json(INDEX, &index)?
        }
    };
    let digest = top["digest"].as_str().unwrap_or_default().to_owned();
    let tag = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    top["annotations"] = json!({
        // The one is what containerd imports it as, the other what podman and skopeo look for.
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": tag,
    });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [top] });
    blobs.pack(&index, out)?;
    Ok(digest)
}

fn manifest(blobs: &mut Blobs, image: &Image, compression: Compression) -> Result<Value> {
    let (layer, contents) = blobs.add_layer(&image.layer, compression)?;
    let config = blobs.add_json(CONFIG, &image.config.json(image.arch, &contents))?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": image.config.labels,
    });
    let mut entry = blobs.add_json(MANIFEST, &manifest)?;
    entry["platform"] = json!({ "architecture": image.arch.name(), "os": "linux" });
    Ok(entry)
}

/// What the archive will hold, by digest. Layers wait in files without names: they are large.
#[derive(Default)]
struct Blobs {
    of: BTreeMap<String, Blob>,
}

enum Blob {
    Text(Vec<u8>),
    File(File, u64),
}

impl Blobs {
    fn add_json(&mut self, kind: &str, value: &Value) -> Result<Value> {
        let text = value.to_string().into_bytes();
        let digest = hex(&Sha256::digest(&text));
        let entry = descriptor(kind, &digest, text.len() as u64);
        self.of.insert(digest, Blob::Text(text));
        Ok(entry)
    }

    /// Its descriptor, and the digest of the layer before it was compressed.
    fn add_layer(&mut self, layer: &Layer, compression: Compression) -> Result<(Value, String)> {
        let mut stored = Hashing::new(BufWriter::new(tempfile::tempfile()?));
        let (contents, kind) = match compression {
            Compression::None => {
                layer.write(&mut stored)?;
                (stored.digest(), LAYER.to_owned())
            }
            Compression::Gzip => {
                // No time and no name in its head: they would make the bytes differ.
                let gzip = GzBuilder::new().write(&mut stored, flate2::Compression::default());
                let mut plain = Hashing::new(gzip);
                layer.write(&mut plain)?;
                let contents = plain.digest();
                plain.inner.finish()?;
                (contents, format!("{LAYER}+gzip"))
            }
        };
        let (digest, length) = (stored.digest(), stored.length);
        let file = stored.inner.into_inner().map_err(|error| error.into_error())?;
        self.of.insert(digest.clone(), Blob::File(file, length));
        Ok((descriptor(&kind, &digest, length), format!("sha256:{contents}")))
    }

    fn pack(self, index: &Value, out: impl Write) -> Result<()> {
        let mut tar = tar::Builder::new(BufWriter::new(out));
        // First, so that whoever reads the stream knows what comes.
        append(&mut tar, "oci-layout", &json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
        append(&mut tar, "index.json", &index.to_string())?;
        for (digest, blob) in self.of {
            let path = format!("blobs/sha256/{digest}");
            match blob {
                Blob::Text(text) => {
                    tar.append_data(&mut header(text.len() as u64), path, &text[..])?
                }
                Blob::File(mut file, length) => {
                    file.seek(SeekFrom::Start(0))?;
                    tar.append_data(&mut header(length), path, file.take(length))?;
                }
            }
        }
        tar.into_inner()?.flush()?;
        Ok(())
    }
}

fn append(tar: &mut tar::Builder<impl Write>, path: &str, text: &str) -> Result<()> {
    Ok(tar.append_data(&mut header(text.len() as u64), path, text.as_bytes())?)
}

fn header(length: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(length);
    header.set_mtime(0);
    header
}

fn descriptor(kind: &str, digest: &str, length: u64) -> Value {
    json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": length })
}

/// Hashes and counts what is written through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    length: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hash: Sha256::new(), length: 0 }
    }

    /// Of what was written so far.
    fn digest(&self) -> String {
        hex(&self.hash.clone().finalize())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(arch: Arch, text: &str) -> Image {
        let mut layer = Layer::new();
        layer.text("/etc/text", 0o644, text).unwrap();
        let labels = BTreeMap::from([("org.opencontainers.image.title".into(), "text".into())]);
        let config = Config { entrypoint: vec!["/a".into()], labels, ..Config::default() };
        Image { arch, layer, config }
    }

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        });
        entries.collect()
    }

    /// The blob that a descriptor names, having its size and digest.
    fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, entry: &Value) -> &'a [u8] {
        let digest = entry["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = &files[&format!("blobs/sha256/{digest}")];
        assert_eq!(hex(&Sha256::digest(bytes)), digest);
        assert_eq!(entry["size"], bytes.len());
        bytes
    }

    fn parse(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn every_descriptor_leads_to_its_blob() {
        for compression in [Compression::None, Compression::Gzip] {
            let mut out = Vec::new();
            let digest =
                write(&[image(Arch::Amd64, "x")], "localhost/a:t", compression, &mut out).unwrap();
            let packed = files(&out);
            let top = parse(&packed["index.json"])["manifests"][0].clone();
            assert_eq!(top["digest"], digest);
            assert_eq!(top["annotations"]["io.containerd.image.name"], "localhost/a:t");
            let manifest = parse(blob(&packed, &top));
            let config = parse(blob(&packed, &manifest["config"]));
            assert_eq!(config["config"]["Labels"]["org.opencontainers.image.title"], "text");
            let layer = blob(&packed, &manifest["layers"][0]);
            let mut plain = Vec::new();
            match compression {
                Compression::None => plain.extend_from_slice(layer),
                Compression::Gzip => {
                    flate2::read::GzDecoder::new(layer).read_to_end(&mut plain).unwrap();
                }
            }
            let contents = format!("sha256:{}", hex(&Sha256::digest(&plain)));
            assert_eq!(config["rootfs"]["diff_ids"][0], contents);
            assert_eq!(files(&plain)["etc/text"], b"x");
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_and_another_one_another_digest() {
        let make = |text: &str| {
            let mut out = Vec::new();
            let images = [image(Arch::Amd64, text), image(Arch::Arm64, text)];
            let digest = write(&images, "localhost/a:t", Compression::Gzip, &mut out).unwrap();
            (digest, out)
        };
        assert_eq!(make("x"), make("x"));
        assert_ne!(make("x").0, make("y").0);
    }

    #[test]
    fn images_of_several_machine_types_are_one_index() {
        let images = [image(Arch::Amd64, "x"), image(Arch::Arm64, "y")];
        let mut out = Vec::new();
        write(&images, "localhost/a:t", Compression::None, &mut out).unwrap();
        let packed = files(&out);
        let top = parse(&packed["index.json"])["manifests"][0].clone();
        assert_eq!(top["mediaType"], INDEX);
        let index = parse(blob(&packed, &top));
        let of = |n: usize| index["manifests"][n]["platform"]["architecture"].clone();
        assert_eq!([of(0), of(1)], ["amd64", "arm64"]);
    }
}
