//! Paillier (g = 1 + n) with the randomness of Damgard, Jurik and Nielsen, over vectors.

pub mod cipher;
mod cover;
mod fixed_base;
pub mod histogram;
mod joint;
pub mod matrix;
pub mod private;
pub mod proof;
pub mod public;
pub mod table;
#[cfg(test)]
mod tests;

pub use cipher::CipherVec;
pub use private::PrivateKey;
pub use public::PublicKey;

/// The least head-room, in bits, that an opened plaintext must leave below n.
pub const HEADROOM: usize = 41;

/// Keys up to this size are accepted (a limit on the work that a foreign n can cause).
pub const MAX_BITS: usize = 8192;
