//! Permission bits on the command line: octal or symbolic.

use crate::error::CliError;
use alluxio_types::Mode;

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeChange {
    /// These bits, whatever they were.
    Absolute(Mode),
    /// Bits set, added and removed one after the other.
    Symbolic(Vec<Clause>),
}

/// One `u+rw` of a symbolic change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Classes it is about, as shifts of the three bits.
    classes: Vec<u16>,
    /// `+`, `-` or `=`.
    operator: char,
    /// Union of 4, 2, 1.
    bits: u16,
    /// `X`: execute for directories and for what somebody may execute already.
    execute_if_sensible: bool,
}

/// Reads `755`, `0644`, `u+x`, `go-w,a=r`, `a+X`.
///
/// **Errors**: `BadArgument` for everything else.
pub fn parse(text: &str) -> Result<ModeChange, CliError> {
    let bad = || CliError::BadArgument {
        what: "mode",
        value: text.to_owned(),
        expected: "octal bits like 755, or changes like u+x,go-w".to_owned(),
    };
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let bits = u16::from_str_radix(text, 8).map_err(|_| bad())?;
        return if bits <= 0o777 { Ok(ModeChange::Absolute(Mode(bits))) } else { Err(bad()) };
    }
    let clauses: Option<Vec<Vec<Clause>>> = text.split(',').map(clauses).collect();
    Ok(ModeChange::Symbolic(clauses.ok_or_else(bad)?.concat()))
}

/// `ug+rw-x` is two clauses about the same classes.
fn clauses(text: &str) -> Option<Vec<Clause>> {
    let at = text.find(['+', '-', '='])?;
    let (who, mut rest) = text.split_at(at);
    let mut classes = Vec::new();
    for letter in who.chars() {
        match letter {
            'u' => classes.push(6),
            'g' => classes.push(3),
            'o' => classes.push(0),
            'a' => classes.extend([6, 3, 0]),
            _ => return None,
        }
    }
    if who.is_empty() {
        classes.extend([6, 3, 0]);
    }
    let mut out = Vec::new();
    while let Some(operator) = rest.chars().next() {
        let after = &rest[1..];
        let end = after.find(['+', '-', '=']).unwrap_or(after.len());
        let mut clause =
            Clause { classes: classes.clone(), operator, bits: 0, execute_if_sensible: false };
        for letter in after[..end].chars() {
            match letter {
                'r' => clause.bits |= 4,
                'w' => clause.bits |= 2,
                'x' => clause.bits |= 1,
                'X' => clause.execute_if_sensible = true,
                _ => return None,
            }
        }
        out.push(clause);
        rest = &after[end..];
    }
    Some(out)
}

impl ModeChange {
    /// The bits after the change.
    pub fn apply(&self, before: Mode, is_directory: bool) -> Mode {
        match self {
            ModeChange::Absolute(mode) => *mode,
            ModeChange::Symbolic(clauses) => {
                Mode(clauses.iter().fold(before.0, |mode, clause| clause.apply(mode, is_directory)))
            }
        }
    }

    /// Whether the bits depend on those that were there.
    pub fn is_relative(&self) -> bool {
        matches!(self, ModeChange::Symbolic(_))
    }
}

impl Clause {
    fn apply(&self, mode: u16, is_directory: bool) -> u16 {
        let mut bits = self.bits;
        if self.execute_if_sensible && (is_directory || mode & 0o111 != 0) {
            bits |= 1;
        }
        self.classes.iter().fold(mode, |mode, shift| match self.operator {
            '+' => mode | bits << shift,
            '-' => mode & !(bits << shift),
            _ => mode & !(7 << shift) | bits << shift,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_those_of_chmod() {
        for (text, before, directory, want) in [
            ("755", 0o644, false, 0o755),
            ("0600", 0o777, false, 0o600),
            ("u+x", 0o644, false, 0o744),
            ("go-w,u=rx", 0o666, false, 0o544),
            ("a=r", 0o777, true, 0o444),
            ("+x", 0o600, false, 0o711),
            ("a+X", 0o600, false, 0o600),
            ("a+X", 0o700, false, 0o711),
            ("a+X", 0o600, true, 0o711),
            ("ug+r-w", 0o222, false, 0o442),
            ("o=", 0o777, false, 0o770),
        ] {
            let got = parse(text).unwrap().apply(Mode(before), directory);
            assert_eq!(got, Mode(want), "{text} of {before:o}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "888", "1777", "u", "z+x", "u+y", "7x"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(&format!("{text:?}")), "{message}");
        }
    }
}
