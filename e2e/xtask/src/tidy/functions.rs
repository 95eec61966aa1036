//! How long a function may get. Those that were longer when the rule came stand in a list that may
//! only shrink.
//!
//! Reads what rustfmt writes: a function ends at the first closing brace that is indented like its
//! first line.

use std::collections::BTreeMap;

/// Above it, a function should be looked at: counted, not refused.
const LINES_SOFT: usize = 40;
/// Above it, a function is refused unless the list has it.
const LINES_HARD: usize = 70;
/// The list, from the project's folder. One function a line: lines, file, name.
pub(super) const LIST: &str = ".ci/long-functions.txt";

/// All functions that were seen.
#[derive(Default)]
pub(super) struct Functions {
    /// By file and name. Functions of one name in one file share a place: the longest counts.
    long: BTreeMap<(String, String), usize>,
    over_soft: usize,
}

impl Functions {
    pub(super) fn add_file(&mut self, file: &str, text: &str) {
        for (name, lines) in lengths(text) {
            if lines > LINES_SOFT {
                self.over_soft += 1;
            }
            if lines > LINES_HARD {
                let longest = self.long.entry((file.to_owned(), name)).or_default();
                *longest = lines.max(*longest);
            }
        }
    }

    /// How many functions are longer than one would like.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} functions are longer than {LINES_SOFT} lines, {} of them than {LINES_HARD}",
            self.over_soft,
            self.long.len()
        )
    }

    /// Compares with the list, both ways: it may not grow, and what got shorter leaves it.
    pub(super) fn check(&self, list: &str, faults: &mut Vec<String>) {
        let mut listed = BTreeMap::new();
        for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [lines, file, name] if lines.parse::<usize>().is_ok() => {
                    let lines = lines.parse::<usize>().unwrap_or_default();
                    listed.insert((file.to_owned(), name.to_owned()), lines);
                }
                _ => faults.push(format!("{LIST}: not `LINES FILE FUNCTION`: {line}")),
            }
        }
        for ((file, name), lines) in &self.long {
            match listed.get(&(file.clone(), name.clone())) {
                None => faults.push(format!(
                    "{file}: `{name}` has {lines} lines; split it below {LINES_HARD}"
                )),
                Some(limit) if lines > limit => faults.push(format!(
                    "{file}: `{name}` grew to {lines} lines; it had {limit} and may only shrink"
                )),
                Some(limit) if lines < limit => faults.push(format!(
                    "{LIST}: {file} `{name}` has {lines} lines by now; write that instead of {limit}"
                )),
                Some(_) => {}
            }
        }
        for ((file, name), _) in listed.iter().filter(|(key, _)| !self.long.contains_key(*key)) {
            faults.push(format!("{LIST}: {file} `{name}` is short or gone; take its line out"));
        }
    }
}

/// Every function with a body, and its lines from `fn` to the closing brace.
fn lengths(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = declared(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| ["{", "}", ";"].iter().any(|end| line.trim_end().ends_with(end));
        let Some(head) = lines[start..].iter().position(ends) else { continue };
        if !lines[start + head].trim_end().ends_with('{') {
            continue;
        }
        let closes = |line: &&str| line.strip_prefix(indent) == Some("}");
        if let Some(body) = lines[start + head..].iter().position(closes) {
            found.push((name.to_owned(), head + body + 1));
        }
    }
    found
}

/// The name of the function that a line begins to declare.
fn declared(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        if let Some(named) = rest.strip_prefix("fn ") {
            return named.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next();
        }
        let (word, after) = rest.split_once(' ')?;
        let qualifier = matches!(word, "pub" | "const" | "async" | "unsafe" | "default" | "extern")
            || word.starts_with("pub(")
            || word.starts_with('"');
        if !qualifier {
            return None;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(lines: usize) -> String {
        format!(
            "    pub(super) async fn long(\n    ) -> u8\n    {{\n{}    }}\n",
            "\n".repeat(lines)
        )
    }

    #[test]
    fn a_function_is_as_long_as_from_its_first_line_to_its_brace() {
        let text = "fn one() {}\nfn two() {\n    {\n    }\n}\ntrait T {\n    fn none(&self);\n}\n";
        assert_eq!(lengths(text), [("two".to_owned(), 4)]);
        assert_eq!(lengths(&long(10)), [("long".to_owned(), 14)]);
    }

    #[test]
    fn a_long_function_is_refused_unless_listed_and_the_list_only_shrinks() {
        let mut functions = Functions::default();
        functions.add_file("a.rs", &long(100));
        let faults = |list: &str| {
            let mut faults = Vec::new();
            functions.check(list, &mut faults);
            faults
        };
        assert!(faults("")[0].contains("`long` has 104 lines; split it"));
        assert!(faults("90 a.rs long")[0].contains("may only shrink"));
        assert!(faults("110 a.rs long")[0].contains("write that instead"));
        assert_eq!(faults("# why\n104 a.rs long"), Vec::<String>::new());
        assert!(faults("104 a.rs long\n80 b.rs gone")[0].contains("take its line out"));
    }
}
