//! `readJournal`: an offline dump of journal and checkpoints, damaged ones too.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use crate::view::entry;
use alluxio_host::Host;
use alluxio_journal::JournalError;
use alluxio_journal::folder::{Finding, salvage};
use alluxio_types::{Coded, JournalSeq};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Everything was dumped that is sound, and something was not.
const EXIT_DAMAGED: u8 = 2;

/// `readJournal [-start N] [-end N] [-inputDir DIR] [-outputDir DIR] [--json]`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReadJournal {
    /// Whose journal; there is one for the whole namespace
    #[arg(long, default_value = "FileSystemMaster", value_parser = ["FileSystemMaster"])]
    master: String,
    /// First entry to show
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    start: u64,
    /// Last entry to show; the end of the journal when not given
    #[arg(long, value_name = "SEQUENCE")]
    end: Option<u64>,
    /// Folder of the journal; alluxio.master.journal.folder when not given
    #[arg(long = "inputDir", value_name = "DIR")]
    input_dir: Option<PathBuf>,
    /// Folder for the dump, made new; journal_dump-TIME when not given. With --json and without this,
    /// the dump goes to standard output
    #[arg(long = "outputDir", value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

impl ReadJournal {
    /// Dumps. Exit code 0: all is sound; 2: something is damaged, what is sound was dumped; 255: nothing
    /// could be read.
    pub(crate) fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let input = match &self.input_dir {
            Some(dir) => dir.clone(),
            None => configured(session)?,
        };
        let output = match (&self.output_dir, screen.json) {
            (None, true) => Output::Screen(screen.clone()),
            (dir, json) => Output::Folder(Box::new(OutputFolder::create(dir.clone(), json)?)),
        };
        let end = JournalSeq(self.end.unwrap_or(u64::MAX));
        let mut dump = Dump {
            screen,
            output,
            range: (JournalSeq(self.start), end),
            counts: Counts::default(),
        };
        let mut failure = None;
        let result = salvage(&Host::real(), &input, &mut |finding| match dump.take(finding) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        });
        failure.map_or(Ok(()), Err)?;
        if let Err(error) = result {
            dump.output.discard();
            return Err(cannot(&error));
        }
        dump.finish(&input)
    }
}

fn cannot(error: &JournalError) -> CliError {
    CliError::Cluster { code: error.code(), message: error.to_string() }
}

/// The configured folder, when it is one of this machine.
fn configured(session: &Session) -> Result<PathBuf, CliError> {
    const KEY: &str = "alluxio.master.journal.folder";
    let folder = session.config().get(KEY).map(|setting| setting.shown().to_owned());
    let folder = folder.unwrap_or_default();
    let local = folder.strip_prefix("file://").unwrap_or(&folder);
    if local.contains("://") || local.is_empty() {
        return Err(CliError::Refused {
            message: format!(
                "{KEY} is {folder:?}: only journals in folders of this machine can be dumped \
                 (-inputDir names another one); what a master has of this one is in its backups \
                 (alluxio fsadmin backup)"
            ),
        });
    }
    Ok(PathBuf::from(local))
}

#[derive(Default)]
struct Counts {
    checkpoints: u64,
    items: u64,
    entries: u64,
    damages: u64,
}

struct Dump<'a> {
    screen: &'a Screen,
    output: Output,
    range: (JournalSeq, JournalSeq),
    counts: Counts,
}

impl Dump<'_> {
    fn take(&mut self, finding: Finding<'_>) -> Result<(), CliError> {
        match finding {
            Finding::Facts(facts) => self.output.note(json!({
                "type": "Journal", "clusterId": facts.cluster_id, "createdMs": facts.created.0,
            })),
            Finding::Checkpoint { file, at, created } => {
                self.counts.checkpoints += 1;
                self.output.begin_checkpoint(file, at, created.map(|at| at.0))
            }
            Finding::Item(record) => {
                self.counts.items += 1;
                self.output.item(entry::item(record))
            }
            Finding::CheckpointEnd { records, state_hash } => self.output.item(json!({
                "type": "CheckpointEnd", "items": records,
                "stateHash": format!("{state_hash:016x}"),
            })),
            Finding::Segment { file, first } => self.output.note(json!({
                "type": "Segment", "file": file.display().to_string(), "first": first.0,
            })),
            Finding::Entry { offset, seq, term, entry: found } => {
                if seq < self.range.0 || seq > self.range.1 {
                    return Ok(());
                }
                match found {
                    Ok(found) => {
                        self.counts.entries += 1;
                        self.output.entry(json!({
                            "sequence": seq.0, "term": term.0, "offset": offset,
                            "entry": entry::entry(found),
                        }))
                    }
                    Err(error) => self
                        .damage(format!("entry {seq} at byte {offset} cannot be decoded: {error}")),
                }
            }
            Finding::Torn { file, offset, bytes } => {
                self.screen.note(format!(
                    "{} ends with {bytes} bytes of an unfinished write at byte {offset}; nothing \
                     acknowledged is in them",
                    file.display()
                ));
                self.output.note(json!({
                    "type": "Torn", "file": file.display().to_string(), "offset": offset,
                    "bytes": bytes,
                }))
            }
            Finding::Damaged(error) => self.damage(error.to_string()),
        }
    }

    fn damage(&mut self, text: String) -> Result<(), CliError> {
        self.counts.damages += 1;
        self.screen.note(&text);
        self.output.note(json!({"type": "Damage", "what": text}))
    }

    fn finish(self, input: &Path) -> Result<(), CliError> {
        let Counts { checkpoints, items, entries, damages } = self.counts;
        let place = self.output.finish()?;
        if let Some(place) = place {
            self.screen.either(
                || json!({"op": "readJournal", "input": input.display().to_string(),
                    "output": place.display().to_string(), "entries": entries,
                    "checkpoints": checkpoints, "items": items, "damages": damages}),
                || format!(
                    "Dumped {entries} entries and {checkpoints} checkpoints ({items} items) of {} \
                     to {}",
                    input.display(), place.display()
                ),
            )?;
        }
        if damages > 0 {
            self.screen.note(format!("{damages} damaged places, what is sound was dumped"));
            return Err(CliError::Code(EXIT_DAMAGED));
        }
        Ok(())
    }
}

/// Where the dump goes.
enum Output {
    Screen(Screen),
    Folder(Box<OutputFolder>),
}

struct OutputFolder {
    dir: PathBuf,
    json: bool,
    edits: Text,
    checkpoint: Option<Text>,
}

struct Text {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Text {
    fn create(path: PathBuf) -> Result<Self, CliError> {
        let file = File::create_new(&path).map_err(|error| CliError::local(&path, error))?;
        Ok(Text { path, file: BufWriter::new(file) })
    }

    fn line(&mut self, line: &str) -> Result<(), CliError> {
        let path = &self.path;
        writeln!(self.file, "{line}").map_err(|error| CliError::local(path, error))
    }

    fn finish(mut self) -> Result<(), CliError> {
        let path = &self.path;
        self.file.flush().map_err(|error| CliError::local(path, error))
    }
}

impl OutputFolder {
    fn create(dir: Option<PathBuf>, json: bool) -> Result<Self, CliError> {
        let dir = dir.unwrap_or_else(|| {
            let now = Host::real().clock.now();
            PathBuf::from(format!("journal_dump-{now}"))
        });
        let checkpoints = dir.join("checkpoints");
        fs::create_dir_all(&checkpoints).map_err(|error| CliError::local(&checkpoints, error))?;
        let edits = Text::create(dir.join(if json { "edits.json" } else { "edits.txt" }))?;
        Ok(OutputFolder { dir, json, edits, checkpoint: None })
    }

    fn end_checkpoint(&mut self) -> Result<(), CliError> {
        self.checkpoint.take().map_or(Ok(()), Text::finish)
    }
}

/// The lines of an object for people; a sequence stands in front.
fn text(value: &Value) -> Vec<String> {
    let Some(inner) = value.get("entry") else { return entry::lines(value) };
    let mut lines = entry::lines(inner);
    if let Some(first) = lines.first_mut() {
        *first = format!("{} term={} {first}", value["sequence"], value["term"]);
    }
    lines
}

impl Output {
    fn put(to: &mut Text, value: &Value, json: bool) -> Result<(), CliError> {
        match json {
            true => to.line(&value.to_string()),
            false => text(value).iter().try_for_each(|line| to.line(line)),
        }
    }

    /// Something about the journal as a whole, or its log.
    fn note(&mut self, value: Value) -> Result<(), CliError> {
        match self {
            Output::Screen(screen) => screen.value(&value),
            Output::Folder(folder) if folder.json => Self::put(&mut folder.edits, &value, true),
            Output::Folder(folder) => {
                text(&value).iter().try_for_each(|line| folder.edits.line(&format!("# {line}")))
            }
        }
    }

    fn entry(&mut self, value: Value) -> Result<(), CliError> {
        match self {
            Output::Screen(screen) => screen.value(&value),
            Output::Folder(folder) => Self::put(&mut folder.edits, &value, folder.json),
        }
    }

    fn begin_checkpoint(
        &mut self,
        file: &Path,
        at: JournalSeq,
        created_ms: Option<u64>,
    ) -> Result<(), CliError> {
        let value = json!({
            "type": "Checkpoint", "file": file.display().to_string(), "sequence": at.0,
            "createdMs": created_ms,
        });
        match self {
            Output::Screen(screen) => screen.value(&value),
            Output::Folder(folder) => {
                folder.end_checkpoint()?;
                let ending = if folder.json { "json" } else { "txt" };
                let name = format!("checkpoint-{at}.{ending}");
                let mut text = Text::create(folder.dir.join("checkpoints").join(name))?;
                Self::put(&mut text, &value, folder.json)?;
                folder.checkpoint = Some(text);
                Ok(())
            }
        }
    }

    fn item(&mut self, value: Value) -> Result<(), CliError> {
        match self {
            Output::Screen(screen) => screen.value(&value),
            Output::Folder(folder) => match &mut folder.checkpoint {
                Some(text) => Self::put(text, &value, folder.json),
                None => Ok(()),
            },
        }
    }

    /// The folder that was written, if one was.
    fn finish(self) -> Result<Option<PathBuf>, CliError> {
        match self {
            Output::Screen(_) => Ok(None),
            Output::Folder(mut folder) => {
                folder.end_checkpoint()?;
                folder.edits.finish()?;
                Ok(Some(folder.dir))
            }
        }
    }

    /// Removes what was made for a dump that came to nothing.
    fn discard(self) {
        if let Output::Folder(folder) = self {
            // Only what we made, and only while it is empty of anything else.
            let _ = fs::remove_file(&folder.edits.path);
            let _ = fs::remove_dir(folder.dir.join("checkpoints"));
            let _ = fs::remove_dir(&folder.dir);
        }
    }
}

#[cfg(test)]
#[path = "read_journal_tests.rs"]
mod tests;
