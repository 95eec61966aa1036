//! Fingerprints of objects, and back.

use alluxio_types::{Fingerprint, UnixMillis};
use opendal::Metadata;

/// What a store tells versions apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionBy {
    /// The entity tag; the time of the upload if an object has none.
    EntityTag,
    /// GCS: the generation, a number that every upload gets anew.
    Generation,
}

/// What a fingerprint says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) length: u64,
    pub(super) tag: Tag,
}

/// What to send along with a read, so that the store refuses another version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Without its quotes.
    Entity(String),
    Generation(String),
    /// Nothing to send: compare before and after.
    Modified,
}

impl VersionBy {
    /// The version that `metadata` describes. A listing and a status give the same text for the
    /// same version, which is why quotes are dropped: stores differ in where they put them.
    pub(super) fn fingerprint(self, metadata: &Metadata) -> Fingerprint {
        let length = metadata.content_length();
        let text = match (self, metadata.version(), entity_tag(metadata)) {
            (VersionBy::Generation, Some(generation), _) => {
                format!("object;len={length};gen={generation}")
            }
            (_, _, Some(tag)) => format!("object;len={length};etag={tag}"),
            _ => {
                let time = modified(metadata).unwrap_or_default();
                format!("object;len={length};mtime={time}")
            }
        };
        Fingerprint(text)
    }

    /// Whether `metadata`, as a listing or a finished upload tells it, is enough for a fingerprint
    /// that a later status repeats.
    pub(super) fn is_told(self, metadata: &Metadata) -> bool {
        match self {
            VersionBy::EntityTag => entity_tag(metadata).is_some(),
            VersionBy::Generation => metadata.version().is_some(),
        }
    }
}

/// Reads a fingerprint of [`VersionBy::fingerprint`]; `None` for any other text.
pub(super) fn parse(fingerprint: &Fingerprint) -> Option<Version> {
    let rest = fingerprint.0.strip_prefix("object;len=")?;
    let (length, tag) = rest.split_once(';')?;
    let length = length.parse().ok()?;
    let tag = match tag.split_once('=')? {
        ("etag", tag) => Tag::Entity(tag.to_owned()),
        ("gen", generation) => Tag::Generation(generation.to_owned()),
        ("mtime", _) => Tag::Modified,
        _ => return None,
    };
    Some(Version { length, tag })
}

/// When the object was written, to the second: listings of some stores tell milliseconds where
/// their status does not.
pub(super) fn modified(metadata: &Metadata) -> Option<UnixMillis> {
    let seconds = metadata.last_modified()?.into_inner().as_second();
    Some(UnixMillis(u64::try_from(seconds).unwrap_or(0) * 1000))
}

/// The entity tag without quotes. A weak one does not promise equal bytes and counts as none.
fn entity_tag(metadata: &Metadata) -> Option<&str> {
    let tag = metadata.etag()?;
    let tag = tag.trim_matches('"');
    (!tag.is_empty() && !tag.starts_with("W/")).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opendal::MetadataBuilder;

    fn metadata(etag: &str, version: &str) -> Metadata {
        let mut builder = MetadataBuilder::file(7);
        if !etag.is_empty() {
            builder.etag(etag);
        }
        if !version.is_empty() {
            builder.version(version);
        }
        builder.build()
    }

    #[test]
    fn quotes_make_no_difference_and_the_text_leads_back() {
        let quoted = VersionBy::EntityTag.fingerprint(&metadata("\"a;b\"", ""));
        assert_eq!(quoted, VersionBy::EntityTag.fingerprint(&metadata("a;b", "")));
        let want = Version { length: 7, tag: Tag::Entity("a;b".into()) };
        assert_eq!(parse(&quoted), Some(want));
    }

    #[test]
    fn a_generation_counts_only_where_it_names_the_version() {
        let both = metadata("\"e\"", "99");
        assert_eq!(VersionBy::EntityTag.fingerprint(&both).0, "object;len=7;etag=e");
        assert_eq!(VersionBy::Generation.fingerprint(&both).0, "object;len=7;gen=99");
        assert!(!VersionBy::Generation.is_told(&metadata("e", "")));
    }

    #[test]
    fn a_weak_tag_is_no_tag() {
        let weak = metadata("W/\"e\"", "");
        assert!(!VersionBy::EntityTag.is_told(&weak));
        assert_eq!(parse(&VersionBy::EntityTag.fingerprint(&weak)).unwrap().tag, Tag::Modified);
    }

    #[test]
    fn other_texts_are_no_version() {
        for text in ["", "dir", "posix;len=1;mtime=2", "object;len=x;etag=y", "object;len=1"] {
            assert_eq!(parse(&Fingerprint(text.into())), None, "{text}");
        }
    }
}
