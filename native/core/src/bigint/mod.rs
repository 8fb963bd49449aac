//! Arithmetic modulo m^2, in batches.
//!
//! An element of Z/m^2 is kept as a pair (a, b) that stands for a + b m, each half in Montgomery form modulo m.  One product of pairs costs
//! five half-width products (a1 a2, its reduction, a1 b2 + a2 b1, its reduction) where one of full width costs eight: the quotient digits
//! of the first reduction are exactly what has to be carried into the second half.
//!
//!   a1 a2 + q m = u R                            (Montgomery's reduction of a1 a2, quotient q)
//!   a1 b2 + a2 b1 - q + q' m = v R               (the same for the second half)
//!   (a1 + b1 m)(a2 + b2 m) / R = u + v m         (mod m^2)
//!
//! The halves mean more than speed: a alone is the ciphertext modulo n, and the b of c^(p-1) is Paillier's L function.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod ifma;
pub mod inverse;
pub mod kernel;
pub mod limbs;
pub mod mont;
pub mod ops;
pub mod prime;
pub mod ring;
pub mod rows;
pub mod serial;
#[cfg(test)]
mod tests;
