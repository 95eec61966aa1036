//! Rules that several kinds have.

use kube::core::Rule;

/// Names of other objects are made of the name of this one, with endings; they have to fit.
pub(crate) fn name() -> Rule {
    Rule::new("self.metadata.name.size() <= 40")
        .message("metadata.name must have at most 40 characters")
}

/// Paths inside of a Dataset: absolute, without `.` and `..`, without a `/` at the end.
pub(crate) const CLEAN_PATH: &str = "self == '/' || (self.startsWith('/') && !self.endsWith('/') && !self.contains('//') \
     && !self.matches('/[.][.]?(/|$)'))";

/// What is said otherwise.
pub(crate) const CLEAN_PATH_MESSAGE: &str =
    "must be an absolute path without '//', '.' and '..', and without '/' at its end";
