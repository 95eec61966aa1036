//! A progress bar on a terminal, and nothing anywhere else.

use crate::screen::Screen;
use indicatif::{ProgressBar, ProgressStyle};

/// Progress in bytes. Cloning is cheap and shares it.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar for so many bytes, if somebody can see it.
    pub(crate) fn bytes(screen: &Screen, total: u64) -> Self {
        if !screen.terminal || screen.json {
            return Progress { bar: None };
        }
        let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Progress { bar: Some(ProgressBar::new(total).with_style(style)) }
    }

    /// So many bytes more.
    pub(crate) fn add(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// Writes something without the bar getting in the way.
    pub(crate) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
