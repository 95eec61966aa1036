//! Hadoop's configuration files.

use crate::error::{Error, Result};
use crate::location::Location;
use crate::options::Options;
use std::collections::BTreeMap;

const OPTION: &str = "alluxio.underfs.hdfs.configuration";

/// The properties of all files that `alluxio.underfs.hdfs.configuration` names, separated by
/// colons; later ones win. Without the option, the client reads `HADOOP_CONF_DIR` by itself.
///
/// **Errors**: `InvalidOption` for a file that cannot be read or is not of that form.
pub(super) fn read(location: &Location, options: &Options) -> Result<BTreeMap<String, String>> {
    let mut properties = BTreeMap::new();
    let Some(paths) = options.get(OPTION) else { return Ok(properties) };
    for path in paths.split([':', ',']).map(str::trim).filter(|path| !path.is_empty()) {
        let invalid = |why: String| Error::InvalidOption {
            uri: location.as_str().to_owned(),
            name: OPTION.to_owned(),
            want: format!("{path}: {why}"),
        };
        let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
        properties.extend(parse(&text).map_err(invalid)?);
    }
    Ok(properties)
}

/// `<configuration><property><name>n</name><value>v</value></property>…`.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let document = roxmltree::Document::parse(text).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if !root.has_tag_name("configuration") {
        return Err("the outermost element is not <configuration>".to_owned());
    }
    let text_of = |property: roxmltree::Node<'_, '_>, name: &str| {
        let node = property.children().find(|node| node.has_tag_name(name))?;
        Some(node.text().unwrap_or_default().trim().to_owned())
    };
    let properties = root.children().filter(|node| node.has_tag_name("property"));
    Ok(properties
        .filter_map(|property| Some((text_of(property, "name")?, text_of(property, "value")?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_and_other_files_are_refused() {
        let text = "<?xml version=\"1.0\"?><configuration><property><name> dfs.a </name>\
                    <value>1</value><final>true</final></property><!-- c --></configuration>";
        let want = BTreeMap::from([("dfs.a".to_owned(), "1".to_owned())]);
        assert_eq!(parse(text), Ok(want));
        assert!(parse("<site/>").is_err());
        assert!(parse("dfs.a=1").is_err());
    }
}
