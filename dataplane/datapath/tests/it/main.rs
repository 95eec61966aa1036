//! The data protocol over real sockets, against a worker in miniature.

mod abuse;
mod golden;
mod reading;
mod support;
mod writing;
