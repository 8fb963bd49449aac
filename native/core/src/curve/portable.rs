//! The points of `curve25519-dalek`: any CPU, and the yardstick that the vector path is tested against.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;

use super::hash::Expander;
use super::{CHUNK, CurveError, ENCODED_BYTES};
use crate::{pool, stop};

/// After the first product the halves of the points are kept: doubling and encoding many points together needs one
/// inversion a chunk, where encoding the points themselves takes an inverse square root each.
#[derive(Clone)]
pub struct Points {
    points: Vec<RistrettoPoint>,
    halved: bool,
}

impl Points {
    pub fn hash<T: AsRef<[u8]> + Sync>(items: &[T], expander: &Expander) -> Self {
        let map = |item: &T| {
            stop::check();
            RistrettoPoint::from_uniform_bytes(&expander.uniform(item.as_ref()))
        };
        let points = pool::chunks(items, CHUNK, 1, |_, chunk| chunk.iter().map(map).collect::<Vec<_>>()).concat();
        Self { points, halved: false }
    }

    pub fn decode(encodings: &[[u8; ENCODED_BYTES]]) -> Result<Self, CurveError> {
        let decode = |(at, encoding): (usize, &[u8; ENCODED_BYTES])| {
            stop::check();
            let point = CompressedRistretto(*encoding).decompress();
            point.filter(|p| *p != RistrettoPoint::identity()).ok_or(CurveError::Encoding(at))
        };
        let decoded = pool::chunks(encodings, CHUNK, 1, |number, chunk| {
            (number * CHUNK..).zip(chunk).map(decode).collect::<Result<Vec<_>, _>>()
        });
        Ok(Self { points: decoded.into_iter().collect::<Result<Vec<_>, _>>()?.concat(), halved: false })
    }

    pub fn encode(&self) -> Vec<[u8; ENCODED_BYTES]> {
        let encode = |_: usize, chunk: &[RistrettoPoint]| -> Vec<[u8; ENCODED_BYTES]> {
            stop::check();
            if self.halved {
                RistrettoPoint::double_and_compress_batch(chunk).into_iter().map(|c| c.to_bytes()).collect()
            } else {
                chunk.iter().map(|p| p.compress().to_bytes()).collect()
            }
        };
        pool::chunks(&self.points, CHUNK, 1, encode).concat()
    }

    pub fn mul(&self, scalar: &Scalar) -> Self {
        let factor = zeroize::Zeroizing::new(if self.halved { *scalar } else { scalar.div_by_2() });
        let mul = |point: &RistrettoPoint| {
            stop::check();
            point * *factor
        };
        let points =
            pool::chunks(&self.points, CHUNK, 1, |_, chunk| chunk.iter().map(mul).collect::<Vec<_>>()).concat();
        Self { points, halved: true }
    }

    /// `rows` are in range: checked by the caller.
    pub fn take(&self, rows: &[usize]) -> Self {
        Self { points: rows.iter().map(|r| self.points[*r]).collect(), halved: self.halved }
    }

    pub fn len(&self) -> usize {
        self.points.len()
    }
}
