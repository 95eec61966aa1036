//! Parts of a history that can be searched apart: what happens below one top-level directory has no
//! effect on what happens below another, unless a call touches both (or the root).

use crate::operation::Operation;
use std::collections::BTreeMap;

/// The history in parts, each in its order.
pub(crate) fn parts(history: &[Operation]) -> Vec<Vec<&Operation>> {
    let mut groups = Groups::default();
    for operation in history {
        let mut first = None;
        for path in operation.call.paths() {
            let group = groups.of(top(path));
            match first {
                None => first = Some(group),
                Some(other) => groups.join(other, group),
            }
        }
    }
    if groups.by_name.contains_key("") {
        // A call on the root itself sees every name.
        let all: Vec<usize> = groups.by_name.values().copied().collect();
        all.windows(2).for_each(|pair| groups.join(pair[0], pair[1]));
    }
    let mut parts: BTreeMap<usize, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        let Some(path) = operation.call.paths().next() else { continue };
        let group = groups.of(top(path));
        parts.entry(groups.find(group)).or_default().push(operation);
    }
    parts.into_values().collect()
}

/// The first name of a path; empty for the root.
fn top(path: &str) -> &str {
    path.split('/').find(|name| !name.is_empty()).unwrap_or_default()
}

/// Disjoint sets of top-level names.
#[derive(Default)]
struct Groups<'a> {
    by_name: BTreeMap<&'a str, usize>,
    parent: Vec<usize>,
}

impl<'a> Groups<'a> {
    fn of(&mut self, name: &'a str) -> usize {
        *self.by_name.entry(name).or_insert_with(|| {
            self.parent.push(self.parent.len());
            self.parent.len() - 1
        })
    }

    fn find(&self, mut group: usize) -> usize {
        while self.parent[group] != group {
            group = self.parent[group];
        }
        group
    }

    fn join(&mut self, one: usize, two: usize) {
        let (one, two) = (self.find(one), self.find(two));
        self.parent[one] = two;
    }
}
