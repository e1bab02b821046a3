//! Signatures of secp256k1 as Ethereum makes them of a 32-byte hash (EIP-191), for states and withdrawals.
//!
//! Guarantees: one message and one key give one signature (RFC 6979), always the one with the low s; a key shows
//! nothing of itself and is wiped when dropped. Does not: decide what may be signed, or store a key.

use core::fmt;

use k256::ecdsa::{self, RecoveryId, VerifyingKey};

use super::{Address, Rule, State, WithdrawalAuth, abi};
use crate::Error;

/// What stands before a 32-byte message (EIP-191, version `E`).
const PREFIX: &[u8] = b"\x19Ethereum Signed Message:\n32";

/// What is added to the recovery id in the last byte.
const RECOVERY_OFFSET: u8 = 27;

/// A participant's secret key.
#[derive(Clone)]
pub struct SigningKey(ecdsa::SigningKey);

impl SigningKey {
    /// Takes the 32 bytes of a secret key; zero and what lies beyond the curve's order are none.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        let key = ecdsa::SigningKey::from_bytes(bytes.into()).map_err(|_| Rule::SecretKey)?;
        Ok(Self(key))
    }

    /// The address that its signatures recover to.
    pub fn address(&self) -> Address {
        address_of(self.0.verifying_key())
    }

    /// Signs a state.
    pub fn sign_state(&self, state: &State) -> Result<Signature, Error> {
        self.sign_hash(state.hash().as_bytes())
    }

    /// Signs the authorisation to withdraw.
    pub fn sign_withdrawal(&self, authorisation: &WithdrawalAuth) -> Result<Signature, Error> {
        self.sign_hash(&authorisation.hash())
    }

    /// Signs a 32-byte hash with the prefix of EIP-191.
    pub fn sign_hash(&self, hash: &[u8; 32]) -> Result<Signature, Error> {
        let signed =
            self.0.sign_prehash_recoverable(&eip191(hash)).map_err(|_| Rule::NotSignable)?;
        let (signature, recovery) = signed;
        let mut bytes = [0; Signature::LEN];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = recovery.to_byte() + RECOVERY_OFFSET;
        Ok(Signature(bytes))
    }
}

/// Nothing of the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A signature: r, s, and 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; Self::LEN]);

impl Signature {
    /// Bytes of a signature.
    pub const LEN: usize = 65;

    /// Takes 65 bytes if the contracts would: the last is 27 or 28, and s is the lower one.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, Error> {
        let signature = Self(*bytes);
        signature.parts()?;
        Ok(signature)
    }

    /// The same of a peer that runs go-perun, which also takes 0 and 1 as the last byte.
    pub fn from_go_perun(bytes: &[u8; Self::LEN]) -> Result<Self, Error> {
        let mut bytes = *bytes;
        if bytes[64] < 2 {
            bytes[64] += RECOVERY_OFFSET;
        }
        Self::from_bytes(&bytes)
    }

    /// The 65 bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The address whose key signed a hash with the prefix of EIP-191.
    pub fn recover(&self, hash: &[u8; 32]) -> Result<Address, Error> {
        let (signature, recovery) = self.parts()?;
        let key = VerifyingKey::recover_from_prehash(&eip191(hash), &signature, recovery);
        Ok(address_of(&key.map_err(|_| Rule::NoSigner)?))
    }

    /// Whether the key of this address signed the hash with the prefix of EIP-191.
    pub fn verify(&self, hash: &[u8; 32], signer: &Address) -> Result<(), Error> {
        if self.recover(hash)? != *signer {
            return Err(Rule::OtherSigner.into());
        }
        Ok(())
    }

    /// Whether the key of this address signed the state.
    pub fn verify_state(&self, state: &State, signer: &Address) -> Result<(), Error> {
        self.verify(state.hash().as_bytes(), signer)
    }

    /// Whether the participant signed its authorisation to withdraw.
    pub fn verify_withdrawal(&self, authorisation: &WithdrawalAuth) -> Result<(), Error> {
        self.verify(&authorisation.hash(), &authorisation.participant.address)
    }

    fn parts(&self) -> Result<(ecdsa::Signature, RecoveryId), Rule> {
        let (scalars, last) = (&self.0[..64], self.0[64]);
        let id = last.checked_sub(RECOVERY_OFFSET).filter(|id| *id < 2);
        let recovery = id.and_then(RecoveryId::from_byte).ok_or(Rule::RecoveryByte)?;
        let signature = ecdsa::Signature::from_slice(scalars).map_err(|_| Rule::NoSigner)?;
        if signature.normalize_s().is_some() {
            return Err(Rule::HighS);
        }
        Ok((signature, recovery))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl WithdrawalAuth {
    /// What is signed of it: the Keccak-256 hash in Ethereum's ABI.
    pub fn hash(&self) -> [u8; 32] {
        abi::hash(self)
    }
}

/// What is signed in place of a 32-byte hash (EIP-191).
pub fn eip191(hash: &[u8; 32]) -> [u8; 32] {
    abi::keccak(|sink| {
        sink.put(PREFIX);
        sink.put(hash);
    })
}

/// The end of the hash of x and y.
fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_encoded_point(false);
    let coordinates = point.as_bytes().get(1..).unwrap_or_default();
    let hash = abi::keccak(|sink| sink.put(coordinates));
    let mut address = [0; Address::LEN];
    address.copy_from_slice(&hash[32 - Address::LEN..]);
    Address::new(address)
}
