//! ristretto255 points.
