//! The arithmetic of the project: Paillier vectors, plain integer vectors, ristretto255.  No Python in sight.

pub mod curve;
