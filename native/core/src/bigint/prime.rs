//! Primes: a sieve of small ones, Miller-Rabin, and the search for the primes of a key.

use std::sync::OnceLock;

use rand_core::Rng;
use zeroize::Zeroizing;

use super::limbs;
use super::mont::Mont;
use crate::random;
use crate::stop;

/// Every key is free of factors below this (and the proof of a well-formed modulus relies on it).
pub const SMALL: u64 = 1 << 16;

pub fn small_primes() -> &'static [u32] {
    static PRIMES: OnceLock<Vec<u32>> = OnceLock::new();
    PRIMES.get_or_init(|| {
        let mut composite = vec![false; SMALL as usize];
        let mut out = Vec::new();
        for i in 2..SMALL as usize {
            if !composite[i] {
                out.push(i as u32);
                (i * i..SMALL as usize).step_by(i).for_each(|j| composite[j] = true);
            }
        }
        out
    })
}

/// A prime below 2^16 that divides n (n itself, if it is such a prime).
pub fn small_factor(n: &[u64]) -> Option<u32> {
    small_primes().iter().copied().find(|&p| limbs::rem_small(n, p as u64) == 0)
}

/// Miller-Rabin with `rounds` random bases; n odd and above 3.
pub fn is_probable_prime(n: &[u64], rounds: usize, rng: &mut impl Rng) -> bool {
    let mont = Mont::new(n);
    let mut minus_one = Zeroizing::new(mont.modulus().to_vec());
    limbs::sub_assign(&mut minus_one, mont.one());
    let mut odd = Zeroizing::new(n.to_vec());
    odd[0] -= 1;
    let mut twos = 0;
    while limbs::bits(&odd, twos, 1) == 0 {
        twos += 1;
    }
    let shifted = shift_right(&odd, twos);
    (0..rounds).all(|_| {
        let mut base = Zeroizing::new(vec![0u64; n.len()]);
        loop {
            random::fill_bits(rng, &mut base, limbs::bit_length_vartime(n));
            if limbs::less(&base, n) && !limbs::is_zero(&base) {
                break;
            }
        }
        let mut x = mont.pow(&mont.enter(&base), &shifted);
        if limbs::equal(&x, mont.one()) || limbs::equal(&x, &minus_one) {
            return true;
        }
        for _ in 1..twos {
            x = mont.mul(&x, &x);
            if limbs::equal(&x, &minus_one) {
                return true;
            }
        }
        false
    })
}

pub fn shift_right(a: &[u64], count: usize) -> Zeroizing<Vec<u64>> {
    let (words, bits) = (count / 64, count % 64);
    let mut out = Zeroizing::new(vec![0u64; a.len()]);
    for i in 0..a.len().saturating_sub(words) {
        let high = a.get(i + words + 1).copied().unwrap_or(0);
        out[i] = a[i + words] >> bits | if bits == 0 { 0 } else { high << (64 - bits) };
    }
    out
}

/// Rounds of Miller-Rabin for a prime that goes into a key: an error below 2^-80 even for the worst composite.
const ROUNDS: usize = 40;

/// A prime of exactly `bits` bits (at least 32), 3 mod 4, its two top bits set, so that the product of two has exactly twice as many.
pub fn find(bits: usize, rng: &mut impl Rng) -> Zeroizing<Vec<u64>> {
    const WINDOW: usize = 4096; // candidates, four apart
    let len = bits.div_ceil(64);
    loop {
        let mut start = Zeroizing::new(vec![0u64; len]);
        random::fill_bits(rng, &mut start, bits);
        for bit in [bits - 1, bits - 2, 1, 0] {
            start[bit / 64] |= 1 << (bit % 64);
        }
        let mut composite = vec![false; WINDOW];
        for &p in &small_primes()[1..] {
            let p = p as u64;
            if bits <= 20 + p.ilog2() as usize {
                break; // a candidate may be such a prime itself
            }
            // start + 4 i = 0 (mod p)
            let quarter = if p % 4 == 1 { p - (p - 1) / 4 } else { (p + 1) / 4 }; // 4^-1
            let first = (p - limbs::rem_small(&start, p)) % p * quarter % p;
            (first as usize..WINDOW).step_by(p as usize).for_each(|i| composite[i] = true);
        }
        for i in (0..WINDOW).filter(|&i| !composite[i]) {
            stop::check();
            let mut candidate = start.clone();
            let carry = limbs::add_assign(&mut candidate, &[4 * i as u64]);
            if carry != 0 || limbs::bit_length_vartime(&candidate) != bits {
                break;
            }
            if is_probable_prime(&candidate, 1, rng) && is_probable_prime(&candidate, ROUNDS, rng) {
                return candidate;
            }
        }
    }
}
