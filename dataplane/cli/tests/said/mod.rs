//! A command and what it said.

use alluxio_cli::{Invocation, Screen, run};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: u8,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Said {
    /// Standard output as text.
    pub(crate) fn text(self) -> String {
        String::from_utf8(self.out).unwrap()
    }
}

/// Runs a command of a user whose configuration is in `conf_dir`.
pub(crate) async fn say(arguments: Vec<String>, conf_dir: &Path) -> Said {
    let (out, err) = (Captured::default(), Captured::default());
    let code = run(Invocation {
        arguments,
        environment: vec![("ALLUXIO_CONF_DIR".into(), conf_dir.display().to_string())],
        screen: Screen::new(out.clone(), err.clone(), false),
        version: "0".into(),
        revision: String::new(),
        others: Vec::new(),
    })
    .await;
    let all = |captured: Captured| std::mem::take(&mut *captured.0.lock().unwrap());
    Said { code, out: all(out), err: String::from_utf8(all(err)).unwrap() }
}
