//! Everything that is hashed: ids into uniform bytes (RFC 9380, section 5.3.1), encodings into tags.

use sha2::{Digest, Sha512};

use super::{CHUNK, ENCODED_BYTES};
use crate::pool;

/// Bytes of a tag: 128 bits, so that two of n distinct points collide with probability below n^2 / 2^129.
pub const TAG_BYTES: usize = 16;

/// Keeps tags apart from every other use of SHA-512 on an encoding.
const TAG_DOMAIN: &[u8] = b"vfl-ristretto255-tag-v1";

const HASH_BYTES: usize = 64;
const BLOCK_BYTES: usize = 128;

/// expand_message_xmd with SHA-512 under one domain separation tag.
pub struct Expander {
    /// SHA-512 after `Z_pad`, one zero block: the same for every message.
    padded: Sha512,
    /// The tag and its length.
    dst_prime: Vec<u8>,
}

impl Expander {
    /// None if the domain is empty; one longer than 255 bytes is hashed first (section 5.3.3).
    pub fn new(domain: &[u8]) -> Option<Self> {
        let mut dst_prime = match domain.len() {
            0 => return None,
            1..=255 => domain.to_vec(),
            _ => Sha512::new().chain_update(b"H2C-OVERSIZE-DST-").chain_update(domain).finalize().to_vec(),
        };
        dst_prime.push(u8::try_from(dst_prime.len()).ok()?);
        Some(Self { padded: Sha512::new().chain_update([0u8; BLOCK_BYTES]), dst_prime })
    }

    /// The 64 bytes that `hash_to_ristretto255` maps to the group: `b_1` alone.
    pub fn uniform(&self, message: &[u8]) -> [u8; HASH_BYTES] {
        self.link(&self.first(message, HASH_BYTES as u16), 1)
    }

    fn first(&self, message: &[u8], length: u16) -> [u8; HASH_BYTES] {
        let hasher = self.padded.clone().chain_update(message).chain_update(length.to_be_bytes());
        hasher.chain_update([0u8]).chain_update(&self.dst_prime).finalize().into()
    }

    fn link(&self, input: &[u8; HASH_BYTES], counter: u8) -> [u8; HASH_BYTES] {
        Sha512::new().chain_update(input).chain_update([counter]).chain_update(&self.dst_prime).finalize().into()
    }

    /// Any length, as the RFC has it: what its test vectors are for.
    #[cfg(test)]
    pub fn expand(&self, message: &[u8], length: u16) -> Vec<u8> {
        let first = self.first(message, length);
        let mut last = [0u8; HASH_BYTES];
        let mut out = Vec::new();
        for counter in 1..=usize::from(length).div_ceil(HASH_BYTES) {
            let mixed = std::array::from_fn(|i| first[i] ^ last[i]);
            last = self.link(&mixed, counter as u8);
            out.extend_from_slice(&last);
        }
        out.truncate(usize::from(length));
        out
    }
}

/// The first `TAG_BYTES` of SHA-512 of domain and encoding, for each encoding.
pub fn tags(encodings: &[[u8; ENCODED_BYTES]]) -> Vec<[u8; TAG_BYTES]> {
    let tag = |encoding: &[u8; ENCODED_BYTES]| {
        let digest = Sha512::new().chain_update(TAG_DOMAIN).chain_update(encoding).finalize();
        std::array::from_fn(|i| digest[i])
    };
    pool::chunks(encodings, CHUNK, 1, |_, chunk| chunk.iter().map(tag).collect::<Vec<_>>()).concat()
}
