//! Where a command writes: standard output for data, standard error for people.

use crate::error::CliError;
use serde_json::Value;
use std::fmt::Display;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard};

/// Output of one command. Cloning is cheap and shares it, so that parallel copies can report.
#[derive(Clone)]
pub struct Screen {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    err: Arc<Mutex<Box<dyn Write + Send>>>,
    /// Whether data is written as JSON, one object a line.
    pub json: bool,
    /// Whether somebody looks at standard error, so that progress may be drawn.
    pub terminal: bool,
}

impl Screen {
    /// Writes there.
    pub fn new(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        terminal: bool,
    ) -> Self {
        Screen {
            out: Arc::new(Mutex::new(Box::new(out))),
            err: Arc::new(Mutex::new(Box::new(err))),
            json: false,
            terminal,
        }
    }

    /// The streams of this process.
    pub fn process() -> Self {
        use std::io::{BufWriter, IsTerminal, stderr, stdout};
        // Data goes out in large pieces, also to a terminal: it is flushed at the end.
        Screen::new(BufWriter::with_capacity(64 << 10, stdout()), stderr(), stderr().is_terminal())
    }

    fn out(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.out.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// One line of data.
    ///
    /// **Errors**: [`CliError::Output`], likewise below.
    pub fn line(&self, text: impl Display) -> Result<(), CliError> {
        writeln!(self.out(), "{text}").map_err(CliError::Output)
    }

    /// Several lines of data.
    pub fn lines<T: Display>(&self, lines: impl IntoIterator<Item = T>) -> Result<(), CliError> {
        let mut out = self.out();
        lines.into_iter().try_for_each(|text| writeln!(out, "{text}")).map_err(CliError::Output)
    }

    /// Bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        self.out().write_all(bytes).map_err(CliError::Output)
    }

    /// One JSON object on a line of its own.
    pub fn value(&self, value: &Value) -> Result<(), CliError> {
        self.line(value)
    }

    /// The same fact for machines or for people, as the user asked.
    pub fn either(
        &self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if self.json { self.value(&json()) } else { self.line(text()) }
    }

    /// What was done, for people: `done` with the paths for machines.
    pub fn done(&self, text: impl Display, op: &str, path: &str) -> Result<(), CliError> {
        self.either(|| serde_json::json!({"op": op, "path": path}), || text.to_string())
    }

    /// A line for people, beside the data. Never fails: there is nowhere left to say so.
    pub fn note(&self, text: impl Display) {
        let mut err = self.err.lock().unwrap_or_else(|poison| poison.into_inner());
        let _ = writeln!(err, "{text}");
    }

    /// Brings everything out.
    pub fn flush(&self) -> Result<(), CliError> {
        self.out().flush().map_err(CliError::Output)
    }
}

/// Output that a test can look at.
#[cfg(test)]
pub(crate) mod capture {
    use super::*;

    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
        }
    }

    /// A screen, its standard output and its standard error.
    pub(crate) fn screen() -> (Screen, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        (Screen::new(out.clone(), err.clone(), false), out, err)
    }
}
