//! ristretto255 (RFC 9496) in vectors: hash to the group, multiply by one secret scalar, encode, compare by tag.
//!
//! The group has prime order, so that every valid encoding but the identity's generates it: a point that a peer sent is
//! either refused when it is decoded, or safe to multiply by a secret.  Decoding and hashing are the only ways in, hence
//! no `PointVec` holds a point off the group.

mod hash;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod portable;

use curve25519_dalek::scalar::Scalar;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use crate::bigint::ring;

pub use hash::TAG_BYTES;

/// Bytes of a point's and of a scalar's canonical encoding.
pub const ENCODED_BYTES: usize = 32;

/// Points that one task of the thread pool takes at a time: small enough to balance, large enough to share an inversion.
const CHUNK: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurveError {
    /// The bytes are not a whole number of encodings.
    Length,
    /// The encoding at this position is non-canonical, off the group, or the identity.
    Encoding(usize),
    /// Not the canonical encoding of a scalar in [1, l).
    Scalar,
    /// A row number that the vector does not have.
    Row,
    /// RFC 9380 section 3.1: a domain separation tag must not be empty.
    Domain,
    /// No such arithmetic, or not on this machine.
    Backend,
}

impl std::fmt::Display for CurveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length => write!(f, "the bytes are not a whole number of {ENCODED_BYTES}-byte encodings"),
            Self::Encoding(at) => write!(f, "no valid ristretto255 point at position {at}"),
            Self::Scalar => write!(f, "not a canonical, non-zero scalar of {ENCODED_BYTES} bytes"),
            Self::Row => write!(f, "a row number is out of range"),
            Self::Domain => write!(f, "the domain separation tag is empty"),
            Self::Backend => write!(f, "no such backend on this machine"),
        }
    }
}

impl std::error::Error for CurveError {}

/// Which arithmetic makes a vector; its results are made by the same one.
#[derive(Clone, Copy)]
pub enum Backend {
    Serial,
    #[cfg(target_arch = "x86_64")]
    Ifma(ifma::Ifma),
}

impl Backend {
    /// The fastest that this machine can run.
    pub fn detect() -> Self {
        Self::ifma().unwrap_or(Self::Serial)
    }

    /// By name; refused where the machine cannot run it.
    pub fn named(name: &str) -> Result<Self, CurveError> {
        match name {
            "serial" => Ok(Self::Serial),
            "avx2" if ring::Backend::named(name).is_ok() => Ok(Self::Serial), // no arithmetic of its own for points
            "ifma" => Self::ifma().ok_or(CurveError::Backend),
            _ => Err(CurveError::Backend),
        }
    }

    fn ifma() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return ifma::Ifma::detect().map(Self::Ifma);
        #[cfg(not(target_arch = "x86_64"))]
        None
    }
}

/// A vector of ristretto255 points.
#[derive(Clone)]
pub struct PointVec(Points);

#[derive(Clone)]
enum Points {
    Serial(portable::Points),
    #[cfg(target_arch = "x86_64")]
    Ifma(ifma::Points),
}

/// Evaluates the expression on the points of either kind.
macro_rules! on {
    ($vec:expr, $points:ident => $body:expr) => {
        match &$vec.0 {
            Points::Serial($points) => $body,
            #[cfg(target_arch = "x86_64")]
            Points::Ifma($points) => $body,
        }
    };
}

impl From<portable::Points> for PointVec {
    fn from(points: portable::Points) -> Self {
        Self(Points::Serial(points))
    }
}

#[cfg(target_arch = "x86_64")]
impl From<ifma::Points> for PointVec {
    fn from(points: ifma::Points) -> Self {
        Self(Points::Ifma(points))
    }
}

impl PointVec {
    /// ristretto255_XMD:SHA-512_R255MAP_RO_ of RFC 9380, appendix B, with `domain` as the domain separation tag.
    pub fn hash_to_group<T: AsRef<[u8]> + Sync>(
        backend: Backend,
        items: &[T],
        domain: &[u8],
    ) -> Result<Self, CurveError> {
        let expander = hash::Expander::new(domain).ok_or(CurveError::Domain)?;
        Ok(match backend {
            Backend::Serial => portable::Points::hash(items, &expander).into(),
            #[cfg(target_arch = "x86_64")]
            Backend::Ifma(cpu) => ifma::Points::hash(cpu, items, &expander).into(),
        })
    }

    /// Refuses whatever is not a sequence of canonical encodings of points other than the identity.
    pub fn from_bytes(backend: Backend, data: &[u8]) -> Result<Self, CurveError> {
        let (encodings, rest) = data.as_chunks::<ENCODED_BYTES>();
        if !rest.is_empty() {
            return Err(CurveError::Length);
        }
        match backend {
            Backend::Serial => portable::Points::decode(encodings).map(Self::from),
            #[cfg(target_arch = "x86_64")]
            Backend::Ifma(cpu) => ifma::Points::decode(cpu, encodings).map(Self::from),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode().into_flattened()
    }

    pub fn len(&self) -> usize {
        on!(self, points => points.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every point times one secret scalar (little-endian, canonical, non-zero), in constant time.
    pub fn mul(&self, scalar: &[u8]) -> Result<Self, CurveError> {
        let scalar = parse_scalar(scalar)?;
        Ok(on!(self, points => points.mul(&scalar).into()))
    }

    /// `TAG_BYTES` a point, from a hash of its encoding.
    pub fn tags(&self) -> Vec<u8> {
        hash::tags(&self.encode()).into_flattened()
    }

    /// The points at `rows`, in that order, repetitions allowed.
    pub fn take(&self, rows: &[i64]) -> Result<Self, CurveError> {
        let len = self.len();
        let index = |row: &i64| usize::try_from(*row).ok().filter(|i| *i < len);
        let rows: Option<Vec<usize>> = rows.iter().map(index).collect();
        let rows = rows.ok_or(CurveError::Row)?;
        Ok(on!(self, points => points.take(&rows).into()))
    }

    fn encode(&self) -> Vec<[u8; ENCODED_BYTES]> {
        on!(self, points => points.encode())
    }
}

/// A uniform non-zero scalar: 64 bytes of ChaCha20 under `seed`, reduced modulo the group's order.
pub fn random_scalar(seed: &[u8; 32]) -> Zeroizing<[u8; ENCODED_BYTES]> {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    let mut wide = Zeroizing::new([0u8; 64]);
    loop {
        rng.fill_bytes(wide.as_mut());
        let scalar = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide));
        if *scalar != Scalar::ZERO {
            return Zeroizing::new(scalar.to_bytes());
        }
    }
}

fn parse_scalar(bytes: &[u8]) -> Result<Zeroizing<Scalar>, CurveError> {
    let mut bytes: [u8; ENCODED_BYTES] = bytes.try_into().map_err(|_| CurveError::Scalar)?;
    let scalar = Option::<Scalar>::from(Scalar::from_canonical_bytes(bytes));
    bytes.zeroize();
    match scalar.map(Zeroizing::new) {
        Some(scalar) if *scalar != Scalar::ZERO => Ok(scalar),
        _ => Err(CurveError::Scalar),
    }
}

#[cfg(test)]
mod tests;
