//! n = p q with exactly two primes, both 3 modulo 4, gcd(n, phi(n)) = 1 and gcd(p - 1, q - 1) = 2, proven without interaction.
//!
//! Three statements, one after the other; the hash of n chooses all numbers below, so that nothing has to be exchanged.
//!
//! 1. gcd(n, phi(n)) = 1 (Goldberg, Reyzin, Sagga, Baldimtsi, "Efficient Noninteractive Certification of RSA Moduli and Beyond", eprint 2018/057):
//!    the holder shows n-th roots modulo n.  If some prime divides n and phi(n), at most one value in that prime has a root; n has no factor below
//!    2^16, so eight roots leave an error of 2^-128.  So n is free of squares.
//! 2. Two primes (van de Graaf and Peralta, "A simple and secure way to show the validity of your public key", CRYPTO 1987): for numbers x whose
//!    Jacobi symbol is 1 the holder shows a square root of x or of -x.  Let n = 1 modulo 4 be free of squares and have k > 1 primes; whoever receives
//!    it checks the first and excludes primes and prime powers.  Of the numbers with Jacobi symbol 1 a part of 2^(1 - k) are squares, and as many
//!    have a square as their negative.  So a root exists for at most a half of them if k > 2; for exactly a half if k = 2 and both primes are 1 modulo
//!    4, where x and -x are squares together; and for all of them only if k = 2 and both primes are 3 modulo 4.  128 roots leave an error of 2^-128.
//!
//! 3. gcd(p - 1, q - 1) = 2: with m the odd part of n - 1 the holder shows m-th roots modulo n.  A common factor of p - 1 and q - 1 divides n - 1, since
//!    n - 1 = (p - 1) q + (q - 1); and what divides n - 1 and p - 1 divides q - 1.  So if no odd prime divides both, m has no factor in common with
//!    phi(n), and every number has a root.  If some l does, one in l^2 has, at most one in nine: 41 roots leave an error of 2^-129.  Without this a
//!    holder builds primes with a large common factor: powers of h, and products of few powers, miss most of a group of that order (cover.rs).
//!
//! A shown root is one of the four at random (by a hash of the primes, so that a proof that is made again is the same): then whoever chooses the hash
//! could have made the proof without the primes, and it tells nothing of them.
//!
//! What it does not show is that both primes are large.  Canetti, Gennaro, Goldfeder, Makriyannis, Peled (eprint 2021/060) prove it with
//! parameters of each verifier, which costs one more exchange.  It would bind the holder alone, who can give its private key away by other means.

use num_bigint::BigUint;
use num_traits::Zero;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::private::PrivateKey;
use super::public::{PublicKey, hash_to_ring};
use crate::bigint::mont::Mont;
use crate::bigint::prime::shift_right;
use crate::bigint::{inverse, limbs};
use crate::error::{Error, Result};

const ROOTS: u32 = 8; // 128 bits / log2(prime::SMALL)
const SQUARE_ROOTS: u32 = 128;
const APART_ROOTS: u32 = 41; // 128 bits / log2(9)
const ALL: u32 = ROOTS + SQUARE_ROOTS + APART_ROOTS;

fn challenge(n: &BigUint, round: u32) -> BigUint {
    hash_to_ring(b"vfl paillier key proof v1", n, round)
}

fn apart_challenge(n: &BigUint, round: u32) -> BigUint {
    hash_to_ring(b"vfl paillier primes apart v1", n, round)
}

/// The odd part of n - 1.
fn odd_part(n: &BigUint) -> BigUint {
    let rest = n - 1u32;
    let twos = rest.trailing_zeros().unwrap_or(0);
    rest >> twos
}

/// The round's number whose Jacobi symbol is 1; none if that of many is another, which no sound n brings about.
fn square_challenge(n: &BigUint, round: u32) -> Option<BigUint> {
    (0..256)
        .map(|attempt| hash_to_ring(b"vfl paillier two primes v1", n, round << 8 | attempt))
        .find(|x| jacobi(x, n) == 1)
}

/// The Jacobi symbol (a / n) of public numbers, n odd; 0 if they share a factor.  Variable time.
pub(crate) fn jacobi(a: &BigUint, n: &BigUint) -> i8 {
    let (mut a, mut n, mut sign) = (a.clone(), n.clone(), 1);
    let low = |x: &BigUint| x.iter_u64_digits().next().unwrap_or(0) % 8;
    loop {
        a %= &n;
        if a.is_zero() {
            return if n == BigUint::from(1u32) { sign } else { 0 };
        }
        let twos = a.trailing_zeros().unwrap_or(0);
        a >>= twos;
        if twos % 2 == 1 && matches!(low(&n), 3 | 5) {
            sign = -sign;
        }
        if low(&a) % 4 == 3 && low(&n) % 4 == 3 {
            sign = -sign;
        }
        std::mem::swap(&mut a, &mut n);
    }
}

impl PrivateKey {
    pub fn prove(&self) -> Result<Vec<u8>> {
        let public = self.public();
        let (p, q) = self.primes();
        let exponents = [inverse_below(public.limbs(), p.modulus())?, inverse_below(public.limbs(), q.modulus())?];
        let quarters = [quarter(p.modulus()), quarter(q.modulus())];
        let odd = limbs::from_big(&odd_part(public.n()), public.limbs().len());
        let apart = [inverse_below(&odd, p.modulus())?, inverse_below(&odd, q.modulus())?];
        let size = public.bits() / 8;
        let power = |mont: &Mont, x: &[u64], e: &[u64]| mont.leave(&mont.pow(&mont.enter_wide(x), e));
        public.pool.install(|| {
            let roots: Vec<Vec<u8>> = (0..ALL)
                .into_par_iter()
                .map(|round| {
                    let root = if round < ROOTS {
                        let rho = limbs::from_big(&challenge(public.n(), round), public.limbs().len());
                        self.join(&power(p, &rho, &exponents[0]), &power(q, &rho, &exponents[1]))
                    } else if round >= ROOTS + SQUARE_ROOTS {
                        let rho = apart_challenge(public.n(), round - ROOTS - SQUARE_ROOTS);
                        let rho = limbs::from_big(&rho, public.limbs().len());
                        self.join(&power(p, &rho, &apart[0]), &power(q, &rho, &apart[1]))
                    } else {
                        let x = square_challenge(public.n(), round - ROOTS).ok_or(Error::Fault("no challenge"))?;
                        let x = limbs::from_big(&x, public.limbs().len());
                        let coins = self.coins(round);
                        // modulo p the square of x^((p + 1) / 4) is x times its Legendre symbol, which is the same modulo q: so it is x or -x for both
                        let halves = [(p, &quarters[0], coins), (q, &quarters[1], coins >> 1)]
                            .map(|(mont, e, coin)| negated_if(coin & 1, power(mont, &x, e), mont.modulus()));
                        self.join(&halves[0], &halves[1])
                    };
                    Ok(limbs::to_le_bytes(&root, size))
                })
                .collect::<Result<_>>()?;
            Ok(roots.concat())
        })
    }

    /// Two secret bits, the same whenever this round of this key is proven.
    fn coins(&self, round: u32) -> u64 {
        let mut hash = Sha256::new();
        hash.update(b"vfl paillier two primes, which root v1");
        hash.update(&self.to_bytes()[..]);
        hash.update(round.to_be_bytes());
        hash.finalize()[0] as u64
    }
}

impl PublicKey {
    pub fn verify(&self, proof: &[u8]) -> bool {
        let size = self.bits() / 8;
        if proof.len() != size * ALL as usize {
            return false;
        }
        let n = self.limbs();
        let mont = Mont::new(n);
        let odd = limbs::from_big(&odd_part(self.n()), n.len());
        self.pool.install(|| {
            proof.par_chunks_exact(size).zip(0..ALL).all(|(bytes, round)| {
                let root = limbs::from_le_bytes(bytes, n.len());
                if !limbs::less(&root, n) || limbs::is_zero(&root) {
                    return false;
                }
                let entered = mont.enter(&root);
                if round < ROOTS {
                    let rho = limbs::from_big(&challenge(self.n(), round), n.len());
                    return limbs::equal(&mont.leave(&mont.pow(&entered, n)), &rho);
                }
                if round >= ROOTS + SQUARE_ROOTS {
                    let rho = limbs::from_big(&apart_challenge(self.n(), round - ROOTS - SQUARE_ROOTS), n.len());
                    return limbs::equal(&mont.leave(&mont.pow(&entered, &odd)), &rho);
                }
                let Some(x) = square_challenge(self.n(), round - ROOTS) else { return false };
                let square = mont.leave(&mont.mul(&entered, &entered));
                let negative = limbs::from_big(&(self.n() - &x), n.len());
                limbs::equal(&square, &limbs::from_big(&x, n.len())) || limbs::equal(&square, &negative)
            })
        })
    }
}

/// n^-1 modulo p - 1, and so of every exponent.
fn inverse_below(n: &[u64], p: &[u64]) -> Result<Zeroizing<Vec<u64>>> {
    let mut order = Zeroizing::new(p.to_vec());
    order[0] -= 1;
    inverse::secret(n, &order).ok_or(Error::Fault("an exponent of the proof has no inverse modulo p - 1"))
}

/// (p + 1) / 4 of p = 3 modulo 4.
fn quarter(p: &[u64]) -> Zeroizing<Vec<u64>> {
    let mut rest = shift_right(p, 2);
    limbs::add_assign(&mut rest, &[1]);
    rest
}

/// -x modulo p where `coin` is 1, x where it is 0; 0 < x < p.
fn negated_if(coin: u64, x: Zeroizing<Vec<u64>>, p: &[u64]) -> Zeroizing<Vec<u64>> {
    let mut out = Zeroizing::new(p.to_vec());
    limbs::sub_assign(&mut out, &x);
    let mask = coin.wrapping_neg();
    out.iter_mut().zip(x.iter()).for_each(|(o, x)| *o = *o & mask | x & !mask);
    out
}
