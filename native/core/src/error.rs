//! What can go wrong in the core.  No variant carries a value: errors travel into logs.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// An argument is wrong (shape, width, range): the caller's mistake.
    Argument(&'static str),
    /// Bytes or integers from outside that are no valid object.
    Invalid(&'static str),
    /// A plaintext beyond its head-room.
    Overflow(&'static str),
    /// A computation contradicted itself (a fault in the machine); its result was withheld.
    Fault(&'static str),
}

pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Error::Argument(m) | Error::Invalid(m) | Error::Overflow(m) | Error::Fault(m)) = self;
        f.write_str(m)
    }
}

impl std::error::Error for Error {}

pub(crate) fn require(ok: bool, what: &'static str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::Argument(what)) }
}
