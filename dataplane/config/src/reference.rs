//! The reference of all keys, as Markdown.

use crate::spec::KeySpec;
use crate::{client, general, master, security, ufs, worker};
use std::fmt::Write;

/// Chapters in reading order.
fn chapters() -> [(&'static str, &'static [KeySpec]); 6] {
    [
        ("General", general::KEYS),
        ("Security", security::KEYS),
        ("Master", master::KEYS),
        ("Worker", worker::KEYS),
        ("Client", client::KEYS),
        ("Under stores (also mount options)", ufs::KEYS),
    ]
}

/// The whole page.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Configuration keys\n\nGenerated; do not edit. Values come from, in this order and the \
         last one wins: defaults, `alluxio-site.properties`, the environment (`ALLUXIO_…`, the key \
         in upper case with `_`), `-Dkey=value`.\n",
    );
    for (title, keys) in chapters() {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n## {title}\n\n| key | type | default | meaning |\n|-|-|-|-|\n");
        for key in keys {
            out.push_str(&row(key));
        }
    }
    out
}

fn row(key: &KeySpec) -> String {
    let default = key.default.map(|default| format!("`{default}`")).unwrap_or_default();
    let mut notes = key.doc.trim().replace("\n", " ").replace("  ", " ");
    if let crate::Kind::Enum(names) | crate::Kind::Class { names, .. } = key.kind {
        let _ = write!(notes, " One of {}.", names.join(", "));
    }
    if !key.aliases.is_empty() {
        let _ = write!(notes, " Also `{}`.", key.aliases.join("`, `"));
    }
    if key.credential {
        notes.push_str(" Never printed.");
    }
    format!(
        "| `{}` | {} | {default} | {} |\n",
        key.name,
        key.kind.name(),
        notes.replace('|', "\\|")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_row_with_its_words() {
        let page = markdown();
        for (_, keys) in chapters() {
            for key in keys {
                let row = format!("| `{}` |", key.name);
                assert_eq!(page.matches(&row).count(), 1, "{}", key.name);
            }
        }
        let row = "| `alluxio.user.file.readtype.default` | enum | `CACHE_PROMOTE` | What a read \
                   leaves behind. One of NO_CACHE, CACHE, CACHE_PROMOTE. |";
        assert!(page.contains(row), "{page}");
    }
}
