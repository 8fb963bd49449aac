//! gcd(n, phi(n)) = 1, proven without interaction.
//!
//! Goldberg, Reyzin, Sagga, Baldimtsi, "Efficient Noninteractive Certification of RSA Moduli and Beyond" (eprint 2018/057): the holder shows
//! n-th roots modulo n of values that a hash chose.  If some prime divides n and phi(n), at most one value in that prime has a root; n has no
//! factor below 2^16, so eight roots leave an error of 2^-128.

use num_bigint::BigUint;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::private::PrivateKey;
use super::public::{PublicKey, hash_to_ring};
use crate::bigint::mont::Mont;
use crate::bigint::{inverse, limbs};
use crate::error::{Error, Result};

const ROUNDS: u32 = 8; // 128 bits / log2(prime::SMALL)

fn challenge(n: &BigUint, round: u32) -> BigUint {
    hash_to_ring(b"vfl paillier key proof v1", n, round)
}

impl PrivateKey {
    pub fn prove(&self) -> Result<Vec<u8>> {
        let public = self.public();
        let (p, q) = self.primes();
        let exponents = [inverse_below(public.limbs(), p.modulus())?, inverse_below(public.limbs(), q.modulus())?];
        let size = public.bits() / 8;
        public.pool.install(|| {
            let roots: Vec<Vec<u8>> = (0..ROUNDS)
                .into_par_iter()
                .map(|round| {
                    let rho = limbs::from_big(&challenge(public.n(), round), public.limbs().len());
                    let root = |mont: &Mont, e: &[u64]| mont.leave(&mont.pow(&mont.enter_wide(&rho), e));
                    let sigma = self.join(&root(p, &exponents[0]), &root(q, &exponents[1]));
                    limbs::to_le_bytes(&sigma, size)
                })
                .collect();
            Ok(roots.concat())
        })
    }
}

impl PublicKey {
    pub fn verify(&self, proof: &[u8]) -> bool {
        let size = self.bits() / 8;
        if proof.len() != size * ROUNDS as usize {
            return false;
        }
        let n = self.limbs();
        let mont = Mont::new(n);
        self.pool.install(|| {
            proof.par_chunks_exact(size).zip(0..ROUNDS).all(|(bytes, round)| {
                let sigma = limbs::from_le_bytes(bytes, n.len());
                let rho = limbs::from_big(&challenge(self.n(), round), n.len());
                limbs::less(&sigma, n)
                    && !limbs::is_zero(&sigma)
                    && limbs::equal(&mont.leave(&mont.pow(&mont.enter(&sigma), n)), &rho)
            })
        })
    }
}

/// n^-1 modulo p - 1.
fn inverse_below(n: &[u64], p: &[u64]) -> Result<Zeroizing<Vec<u64>>> {
    let mut order = Zeroizing::new(p.to_vec());
    order[0] -= 1;
    inverse::secret(n, &order).ok_or(Error::Fault("n has no inverse modulo p - 1"))
}
