//! Completion: scripts for shells that call `kubectl-alluxio`, and what kubectl asks for when it completes
//! `kubectl alluxio`.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use clap_complete::Shell;
use std::io::Write;

/// Whom completion is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Shell(Shell),
    /// kubectl runs a program `kubectl_complete-alluxio` on the PATH.
    Kubectl,
}

impl ValueEnum for For {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            For::Shell(Shell::Bash),
            For::Shell(Shell::Zsh),
            For::Shell(Shell::Fish),
            For::Shell(Shell::Elvish),
            For::Shell(Shell::PowerShell),
            For::Kubectl,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            For::Shell(shell) => shell.to_possible_value(),
            For::Kubectl => Some(PossibleValue::new("kubectl")),
        }
    }
}

/// Writes the script.
///
/// **Errors**: those of `out`.
pub(crate) fn script(
    whom: For,
    command: &mut clap::Command,
    out: &mut impl Write,
) -> std::io::Result<()> {
    match whom {
        For::Shell(shell) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, command, "kubectl-alluxio", &mut text);
            out.write_all(&text)
        }
        For::Kubectl => out.write_all(b"#!/bin/sh\nexec kubectl-alluxio __complete \"$@\"\n"),
    }
}

/// kubectl adds no files of the folder.
const NO_FILES: u8 = 4;

/// Writes what the last word may become, one a line, and what kubectl should do with them.
///
/// **Errors**: those of `out`.
pub(crate) fn complete(
    command: &clap::Command,
    words: &[String],
    out: &mut impl Write,
) -> std::io::Result<()> {
    let (last, before) =
        words.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
    let inner = before.iter().find_map(|word| command.find_subcommand(word));
    let mut all: Vec<(String, String)> = Vec::new();
    if inner.is_none() {
        let commands = command.get_subcommands().filter(|one| !one.is_hide_set());
        all.extend(commands.map(|one| (one.get_name().to_owned(), text(one.get_about()))));
    }
    for argument in inner.unwrap_or(command).get_arguments() {
        if let Some(long) = argument.get_long() {
            all.push((format!("--{long}"), text(argument.get_help())));
        } else if argument.is_positional() {
            let values = argument.get_possible_values().into_iter();
            all.extend(values.map(|value| (value.get_name().to_owned(), String::new())));
        }
    }
    for (word, about) in all.iter().filter(|(word, _)| word.starts_with(last)) {
        writeln!(out, "{word}\t{about}")?;
    }
    writeln!(out, ":{NO_FILES}")
}

fn text(styled: Option<&clap::builder::StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn completed(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut out = Vec::new();
        complete(&crate::Plugin::command(), &words, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn commands_options_and_values_are_completed_as_kubectl_wants_them() {
        assert_eq!(completed(&["s"]), ["status", ":4"]);
        assert_eq!(completed(&["top", "--on"]), ["--once", ":4"]);
        assert_eq!(completed(&["completion", "ku"]), ["kubectl", ":4"]);
        assert!(!completed(&[""]).contains(&"__complete".to_owned()));
    }
}
