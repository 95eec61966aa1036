//! The command line as a library: parse → call → view.
//!
//! ```text
//! arguments ─► run ─► fs / admin / conf ─► alluxio_client ─► view ─► Screen, exit code
//! ```
//!
//! It must not know: how servers are started; and nothing is global: arguments, environment and output
//! streams come in with an [`Invocation`]. No code here ends the process; [`run`](run()) returns the
//! exit code.
//!
//! Reading order: [`run`](mod@run), [`connect`], [`target`] (path arguments), [`fs`], [`admin`], [`journal`],
//! [`conf`], [`view`] (pure), [`error`] (exit codes).

pub mod admin;
pub mod backup;
pub mod conf;
pub mod connect;
pub mod error;
pub mod fs;
pub mod journal;
pub mod missing;
mod read_journal;
pub mod run;
mod run_tests;
pub mod screen;
pub mod target;
mod usage;
pub mod view;

pub use error::CliError;
pub use run::{Invocation, run};
pub use screen::Screen;
