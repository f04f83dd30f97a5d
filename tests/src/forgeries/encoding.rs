//! Encryption and signatures that are otherwise random, with their randomness given: the corpus is to come out the same
//! each time.

use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::rsa::Padding;

use crate::simulator::keys::KeyPair;

/// The length of a 2048-bit RSA key's blocks, in bytes.
const BLOCK: usize = 256;

/// `message` under RSA-OAEP (RFC 8017, section 7.1.1) with `digest` for label and mask, for the holder of the pair.
pub(super) fn oaep(pair: &KeyPair, message: &[u8], digest: MessageDigest, seed: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let seed = hash(digest, seed)?;
    let mut data = hash(digest, b"")?.to_vec();
    data.resize(BLOCK - seed.len() - message.len() - 2, 0);
    data.push(1);
    data.extend_from_slice(message);
    mask(&mut data, &seed, digest)?;
    let mut masked_seed = seed.to_vec();
    mask(&mut masked_seed, &data, digest)?;
    encrypt_block(pair, &[&[0], &masked_seed[..], &data].concat())
}

/// `message` under RSAES-PKCS1-v1_5 (RFC 8017, section 7.2.1), for the holder of the pair.
pub(super) fn pkcs1(pair: &KeyPair, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    encrypt_block(pair, &[&[0, 2], &vec![0xa5; BLOCK - message.len() - 3][..], &[0], message].concat())
}

/// The RSASSA-PSS signature (RFC 8017, section 8.1.1) of `message` with SHA-256 and a salt of 32 bytes.
pub(super) fn pss(pair: &KeyPair, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let digest = MessageDigest::sha256();
    let salt = hash(digest, b"salt")?;
    let hashed = hash(digest, &[&[0; 8], &*hash(digest, message)?, &*salt].concat())?;
    let mut data = vec![0; BLOCK - hashed.len() - salt.len() - 2];
    data.push(1);
    data.extend_from_slice(&salt);
    mask(&mut data, &hashed, digest)?;
    data[0] &= 0x7f;
    let (rsa, mut signature) = (pair.private_key.rsa()?, vec![0; BLOCK]);
    rsa.private_encrypt(&[&data[..], &hashed, &[0xbc]].concat(), &mut signature, Padding::NONE)?;
    Ok(signature)
}

fn encrypt_block(pair: &KeyPair, block: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut encrypted = vec![0; BLOCK];
    pair.certificate.public_key()?.rsa()?.public_encrypt(block, &mut encrypted, Padding::NONE)?;
    Ok(encrypted)
}

/// MGF1 (RFC 8017, appendix B.2.1), laid over `data`.
fn mask(data: &mut [u8], seed: &[u8], digest: MessageDigest) -> Result<(), ErrorStack> {
    for (counter, chunk) in (0_u32..).zip(data.chunks_mut(digest.size())) {
        let mask = hash(digest, &[seed, &counter.to_be_bytes()].concat())?;
        chunk.iter_mut().zip(mask.iter()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use openssl::encrypt::Decrypter;
    use openssl::sign::{RsaPssSaltlen, Verifier};

    use super::*;
    use crate::simulator::keys::shared;

    fn decrypted(encrypted: &[u8], padding: Padding, digest: Option<MessageDigest>) -> Vec<u8> {
        let pair = shared(2048, 0);
        let mut decrypter = Decrypter::new(&pair.private_key).unwrap();
        decrypter.set_rsa_padding(padding).unwrap();
        if let Some(digest) = digest {
            decrypter.set_rsa_oaep_md(digest).unwrap();
            decrypter.set_rsa_mgf1_md(digest).unwrap();
        }
        let mut message = vec![0; BLOCK];
        let length = decrypter.decrypt(encrypted, &mut message).unwrap();
        message.truncate(length);
        message
    }

    #[test]
    fn openssl_decrypts_what_is_encrypted_here() {
        let pair = shared(2048, 0);
        for digest in [MessageDigest::sha1(), MessageDigest::sha256()] {
            let encrypted = oaep(&pair, b"message", digest, b"seed").unwrap();
            assert_eq!(encrypted, oaep(&pair, b"message", digest, b"seed").unwrap());
            assert_ne!(encrypted, oaep(&pair, b"message", digest, b"another").unwrap());
            assert_eq!(decrypted(&encrypted, Padding::PKCS1_OAEP, Some(digest)), b"message");
        }
        assert_eq!(decrypted(&pkcs1(&pair, b"message").unwrap(), Padding::PKCS1, None), b"message");
    }

    #[test]
    fn openssl_verifies_what_is_signed_here() {
        let pair = shared(2048, 0);
        let mut verifier = Verifier::new(MessageDigest::sha256(), &pair.private_key).unwrap();
        verifier.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        assert!(verifier.verify_oneshot(&pss(&pair, b"message").unwrap(), b"message").unwrap());
    }
}
