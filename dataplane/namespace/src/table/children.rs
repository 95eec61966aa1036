//! The names of one directory in order: positions of records, sorted by name.
//!
//! A small directory is one sorted vector. A large one is a sequence of sorted vectors of at most
//! [`RUN_MAX`], so that an insert moves at most 2 KiB and a listing is a scan.

use allocator_api2::vec::Vec as TableVec;
use alluxio_host::TableMemory;

/// Longest run.
const RUN_MAX: usize = 512;
/// Two neighbours that fit in this many are joined.
const RUN_JOIN: usize = RUN_MAX / 2;

type Run = TableVec<u32, TableMemory>;

/// The ordered index. `name` arguments map a position to its name.
pub(crate) enum Children {
    Small(Run),
    Large { runs: Vec<Run>, len: u64 },
}

impl Children {
    pub(crate) fn new(memory: TableMemory) -> Self {
        Children::Small(Run::new_in(memory))
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Children::Small(run) => run.len() as u64,
            Children::Large { len, .. } => *len,
        }
    }

    /// Adds `slot`, whose name is `name` and not in here yet.
    pub(crate) fn insert<'a>(&mut self, slot: u32, name: &[u8], of: impl Fn(u32) -> &'a [u8]) {
        if let Children::Small(run) = self {
            if run.len() < RUN_MAX {
                insert_sorted(run, slot, name, &of);
                return;
            }
            let memory = run.allocator().clone();
            let mut first = std::mem::replace(run, Run::new_in(memory));
            first.shrink_to_fit();
            *self = Children::Large { len: first.len() as u64, runs: vec![first] };
        }
        let Children::Large { runs, len } = self else { return };
        *len += 1;
        let mut at = run_of(runs, name, &of);
        if runs[at].len() == RUN_MAX {
            let cut = cut_of(&runs[at], name, &of);
            let mut tail = Run::with_capacity_in(RUN_MAX, runs[at].allocator().clone());
            tail.extend(runs[at].drain(cut..));
            if tail.first().is_none_or(|&first| of(first) <= name) {
                at += 1;
                runs.insert(at, tail);
            } else {
                runs.insert(at + 1, tail);
            }
        }
        insert_sorted(&mut runs[at], slot, name, &of);
    }

    /// Takes `name` out.
    pub(crate) fn remove<'a>(&mut self, name: &[u8], of: impl Fn(u32) -> &'a [u8]) {
        match self {
            Children::Small(run) => {
                remove_sorted(run, name, &of);
                if run.is_empty() {
                    *run = Run::new_in(run.allocator().clone());
                }
            }
            Children::Large { runs, len } => {
                let at = run_of(runs, name, &of);
                remove_sorted(&mut runs[at], name, &of);
                *len -= 1;
                if at + 1 < runs.len() && runs[at].len() + runs[at + 1].len() <= RUN_JOIN {
                    let next = runs.remove(at + 1);
                    runs[at].extend(next);
                } else if runs[at].is_empty() {
                    runs.remove(at);
                }
                if runs.len() == 1
                    && let Some(last) = runs.pop()
                {
                    *self = Children::Small(last);
                }
            }
        }
    }

    /// The positions whose names come after `name` (all for `None`), in order.
    pub(crate) fn after<'s, 'a: 's>(
        &'s self,
        name: Option<&[u8]>,
        of: impl Fn(u32) -> &'a [u8],
    ) -> impl Iterator<Item = u32> + 's {
        let runs: &[Run] = match self {
            Children::Small(run) => std::slice::from_ref(run),
            Children::Large { runs, .. } => runs,
        };
        let (at, within) = match name {
            None => (0, 0),
            Some(name) => {
                let at = run_of(runs, name, &of);
                (at, runs[at].partition_point(|&slot| of(slot) <= name))
            }
        };
        let first = runs.get(at).map_or(&[][..], |run| &run[within..]);
        first.iter().chain(runs.iter().skip(at + 1).flatten()).copied()
    }

    /// Sorts everything again after [`Children::push_unsorted`].
    pub(crate) fn sort<'a>(&mut self, of: impl Fn(u32) -> &'a [u8]) {
        let Children::Small(all) = self else { return };
        all.sort_by(|&a, &b| of(a).cmp(of(b)));
        if all.len() > RUN_MAX {
            let len = all.len() as u64;
            let copy = |run: &[u32]| {
                let mut copy = Run::with_capacity_in(run.len(), all.allocator().clone());
                copy.extend_from_slice(run);
                copy
            };
            *self = Children::Large { runs: all.chunks(RUN_MAX).map(copy).collect(), len };
        } else {
            all.shrink_to_fit();
        }
    }

    /// Adds `slot` at the end, for a restore; [`Children::sort`] must follow.
    pub(crate) fn push_unsorted(&mut self, slot: u32) {
        match self {
            Children::Small(all) => all.push(slot),
            Children::Large { .. } => unreachable!("a restore sorts once, at its end"),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Children::Small(run) => run.capacity() * size_of::<u32>(),
            Children::Large { runs, .. } => {
                runs.capacity() * size_of::<Run>()
                    + runs.iter().map(|run| run.capacity() * size_of::<u32>()).sum::<usize>()
            }
        }
    }
}

/// Where a full run is cut before `name` comes in. A name after all others starts a run of its own:
/// names often come in order, and their runs should be full. Otherwise in the middle.
fn cut_of<'a>(run: &[u32], name: &[u8], of: &impl Fn(u32) -> &'a [u8]) -> usize {
    match run.last() {
        Some(&last) if of(last) < name => run.len(),
        _ => run.len() / 2,
    }
}

/// The run that holds, or would hold, `name`.
fn run_of<'a>(runs: &[Run], name: &[u8], of: &impl Fn(u32) -> &'a [u8]) -> usize {
    // Runs of a large directory are never empty.
    runs.partition_point(|run| run.first().is_some_and(|&slot| of(slot) <= name)).saturating_sub(1)
}

fn insert_sorted<'a>(run: &mut Run, slot: u32, name: &[u8], of: &impl Fn(u32) -> &'a [u8]) {
    let at = match run.last() {
        Some(&last) if of(last) < name => run.len(),
        _ => run.partition_point(|&other| of(other) < name),
    };
    if run.len() == run.capacity() && run.len() < RUN_MAX {
        // Small directories are many: grow by a half, not to the double.
        run.reserve_exact((run.len() / 2).max(1));
    }
    run.insert(at, slot);
}

fn remove_sorted<'a>(run: &mut Run, name: &[u8], of: &impl Fn(u32) -> &'a [u8]) {
    let at = run
        .binary_search_by(|&slot| of(slot).cmp(name))
        .expect("a name that is removed is in its directory's index");
    run.remove(at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn order_and_cursor_agree_with_a_set(
            ops in prop::collection::vec((any::<bool>(), 0u32..1500), 1..4000),
        ) {
            let names: Vec<Vec<u8>> = (0..1500).map(|i| format!("n{i}").into_bytes()).collect();
            let of = |slot: u32| names[slot as usize].as_slice();
            let (mut index, mut model) = (Children::new(TableMemory::heap()), BTreeSet::new());
            for (add, slot) in ops {
                let name = of(slot);
                if model.contains(name) {
                    if !add {
                        index.remove(name, of);
                        model.remove(name);
                    }
                } else {
                    index.insert(slot, name, of);
                    model.insert(name);
                }
            }
            prop_assert_eq!(index.len(), model.len() as u64);
            let all: Vec<&[u8]> = index.after(None, of).map(of).collect();
            prop_assert_eq!(&all, &model.iter().copied().collect::<Vec<_>>());
            let from = b"n5".as_slice();
            let tail: Vec<&[u8]> = index.after(Some(from), of).map(of).collect();
            let want: Vec<&[u8]> = model.iter().copied().filter(|name| *name > from).collect();
            prop_assert_eq!(tail, want);
        }
    }

    #[test]
    fn names_that_come_in_order_fill_their_runs() {
        let names: Vec<Vec<u8>> = (0..10_000).map(|i| format!("{i:08}").into_bytes()).collect();
        let of = |slot: u32| names[slot as usize].as_slice();
        let mut index = Children::new(TableMemory::heap());
        for slot in 0..10_000 {
            index.insert(slot, of(slot), of);
        }
        assert!(index.memory_bytes() < 10_000 * 5, "{}", index.memory_bytes());
    }
}
