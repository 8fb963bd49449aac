//! One modular inverse at a time (crypto-bigint's safegcd); vectors share one through `Ring::invert`.

use crypto_bigint::{BoxedUint, NonZero, Odd};
use zeroize::Zeroizing;

use super::limbs;

fn boxed(x: &[u64]) -> Option<Zeroizing<BoxedUint>> {
    let bytes = Zeroizing::new(limbs::to_le_bytes(x, 8 * x.len()));
    BoxedUint::from_le_slice(&bytes, 64 * x.len() as u32).ok().map(Zeroizing::new)
}

fn unboxed(x: BoxedUint, len: usize) -> Zeroizing<Vec<u64>> {
    let x = Zeroizing::new(x);
    Zeroizing::new(limbs::from_le_bytes(&Zeroizing::new(x.to_le_bytes().to_vec()), len))
}

/// a^-1 modulo any secret m; a may be wider than m.  Constant time.
pub fn secret(a: &[u64], m: &[u64]) -> Option<Zeroizing<Vec<u64>>> {
    let (a, modulus) = (boxed(a)?, boxed(m)?);
    let modulus = Option::<NonZero<BoxedUint>>::from(NonZero::new((*modulus).clone()))?;
    let reduced = Zeroizing::new(a.rem(&modulus));
    Option::<BoxedUint>::from(reduced.invert_mod(&modulus)).map(|x| unboxed(x, m.len()))
}

/// a^-1 modulo an odd public m, a < m of the same length.  Variable time.
pub fn public(a: &[u64], m: &[u64]) -> Option<Zeroizing<Vec<u64>>> {
    let (a, modulus) = (boxed(a)?, boxed(m)?);
    let modulus = Option::<Odd<BoxedUint>>::from(Odd::new((*modulus).clone()))?;
    Option::<BoxedUint>::from(a.invert_odd_mod_vartime(&modulus)).map(|x| unboxed(x, m.len()))
}
