//! Command lines that we do not understand, in our words.

use crate::error::CliError;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What to do with a command line that was not a command.
pub(crate) enum Verdict {
    /// The user asked for this text.
    Show(String),
    /// The user made a mistake.
    Fail(CliError),
}

/// Reads the verdict of the parser.
pub(crate) fn verdict(error: &clap::Error, root: &clap::Command, arguments: &[String]) -> Verdict {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Verdict::Show(error.render().to_string())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            let message = error.render().to_string().trim_end().to_owned();
            Verdict::Fail(CliError::Usage { message })
        }
        _ => Verdict::Fail(CliError::Usage { message: explain(error, root, arguments) }),
    }
}

/// One line that names the mistake, and the usage below.
fn explain(error: &clap::Error, root: &clap::Command, arguments: &[String]) -> String {
    let (names, command) = walk(root, arguments);
    let name = names.last().copied().unwrap_or("alluxio");
    let first = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let wrong = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let hint = suggestion(error, ContextKind::SuggestedSubcommand);
            let list = std::iter::once("alluxio").chain(names.iter().copied());
            let list = list.collect::<Vec<_>>().join(" ");
            return format!(
                "{wrong} is an unknown command.{hint}\nSee '{list} help' for all commands."
            );
        }
        ErrorKind::MissingRequiredArgument => missing(error, name, command),
        ErrorKind::UnknownArgument => {
            let wrong = context(error, ContextKind::InvalidArg).unwrap_or_default();
            if wrong.starts_with('-') {
                let hint = suggestion(error, ContextKind::SuggestedArg);
                format!("{name} has no option {wrong}.{hint}")
            } else {
                let takes = command.get_positionals().count();
                format!("Command {name} takes {takes} arguments, {wrong:?} is one too many")
            }
        }
        _ => {
            let text = error.render().to_string();
            let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage"));
            let kept: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
            format!("{name}: {}", kept.join(" ").trim_start_matches("error: "))
        }
    };
    let usage = command.clone().bin_name(full_name(&names)).render_usage().to_string();
    format!("{first}\n{usage}")
}

fn full_name(names: &[&str]) -> String {
    std::iter::once("alluxio").chain(names.iter().copied()).collect::<Vec<_>>().join(" ")
}

/// The innermost command that the words lead to, and the words.
fn walk<'a>(root: &'a clap::Command, arguments: &[String]) -> (Vec<&'a str>, &'a clap::Command) {
    let (mut names, mut command) = (Vec::new(), root);
    for word in arguments.iter().filter(|word| !word.starts_with('-')) {
        match command.find_subcommand(word) {
            Some(inner) => {
                names.push(inner.get_name());
                command = inner;
            }
            None => break,
        }
    }
    (names, command)
}

fn missing(error: &clap::Error, name: &str, command: &clap::Command) -> String {
    let Some(ContextValue::Strings(absent)) = error.get(ContextKind::InvalidArg) else {
        return format!("{name}: an argument is missing");
    };
    if absent.iter().any(|word| word.starts_with(['-']) || word.starts_with("<-")) {
        return format!("{name} needs exactly one of {}", absent.join(", "));
    }
    let wanted = command.get_positionals().filter(|arg| arg.is_required_set()).count();
    let given = wanted.saturating_sub(absent.len());
    let takes_more = command
        .get_positionals()
        .any(|arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1));
    let (verb, at_least) = if takes_more { ("requires", "at least ") } else { ("takes", "") };
    format!("Command {name} {verb} {at_least}{wanted} arguments, not {given}")
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn suggestion(error: &clap::Error, kind: ContextKind) -> String {
    let found = match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    found.map(|text| format!(" Did you mean {text}?")).unwrap_or_default()
}
