//! The arithmetic of the project: Paillier vectors, plain integer vectors, ristretto255, distributed point functions.  No Python in sight.

pub mod bigint;
pub mod curve;
pub mod dpf;
pub mod error;
pub mod look_up;
pub mod paillier;
pub mod plain;
pub mod pool;
pub mod random;
pub mod ring128;
pub mod stop;

pub use error::{Error, Result};
