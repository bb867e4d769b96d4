//! Output macros that do not panic on a closed pipe, unlike those of std.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Writes to standard output. A closed pipe (`| head`) ends the command with success; any other write error is a
/// failure.
pub(super) fn out(text: Arguments<'_>) {
    if let Err(error) = anstream::stdout().write_fmt(text) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        err(format_args!("error: cannot write to standard output: {error}\n"));
        std::process::exit(1);
    }
}

/// Writes to standard error. A write error is ignored: it cannot be reported.
pub(super) fn err(text: Arguments<'_>) {
    let _ = anstream::stderr().write_fmt(text);
}

macro_rules! outln {
    ($($text:tt)*) => { $crate::cli::print::out(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::print::err(format_args!("{}\n", format_args!($($text)*))) };
}

pub(super) use {errln, outln};
