//! The shared libraries of programs that are not static.

use crate::error::{Error, Result};
use crate::layer::Layer;
use std::path::Path;
use std::process::Command;

/// The files of this machine that a program needs to start, as `ldd` tells; none for a static program.
///
/// **Errors**: when one is missing here.
fn paths(list: &str) -> Result<Vec<&str>> {
    if let Some(line) = list.lines().find(|line| line.contains("not found")) {
        return Err(Error::Library { line: line.trim().to_owned() });
    }
    // `name => /path (address)`, or `/path (address)`; the kernel's own has no path.
    let words =
        list.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(words.collect())
}

impl Layer {
    /// Copies the shared libraries of `program`, a file of this machine, to where it looks for them.
    ///
    /// **Errors**: when one is missing, or `ldd` is.
    pub fn libraries(&mut self, program: &Path) -> Result<&mut Layer> {
        let output = Command::new("ldd").arg(program).output();
        let output =
            output.map_err(|source| Error::Source { path: Path::new("ldd").to_owned(), source })?;
        let list = String::from_utf8_lossy(&output.stdout);
        for path in paths(&list)? {
            self.copy(path, 0o755, Path::new(path))?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let list = "\tlinux-vdso.so.1 (0x00007f40ea88f000)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f40e701e000)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f40ea891000)\n";
        assert_eq!(
            paths(list).unwrap(),
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
        assert_eq!(paths("\tstatically linked\n").unwrap(), Vec::<&str>::new());
        assert!(paths("\tlibz.so => not found\n").is_err());
    }
}
