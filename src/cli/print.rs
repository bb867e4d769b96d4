//! Printing for people and pipes. Unlike std's macros, these do not panic where the reader is gone.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Writes to standard output. A reader that has seen enough (`| head`) ends the command; an output that fails, with an
/// error.
pub(super) fn out(text: Arguments<'_>) {
    if let Err(error) = anstream::stdout().write_fmt(text) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        err(format_args!("error: cannot write to standard output: {error}\n"));
        std::process::exit(1);
    }
}

/// Writes to standard error; where that fails, there is nobody to tell.
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
