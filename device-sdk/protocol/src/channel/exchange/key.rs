//! Enrolment: the device shows that it has the key of an address.
//!
//! What is signed, with the prefix of EIP-191 as everywhere:
//!
//! ```text
//! keccak256(keccak256("sluicegate/device-key/v1") ‖ challenge (32) ‖ address (20) ‖ endpoint name)
//! ```
//!
//! Guarantees: only the name at the end has no fixed length, so no two proofs are of the same bytes; the tag in front
//! is neither that of a receipt nor the offset 32 that the encoding of every state and every authorisation begins
//! with, so no proof is a signature of those, whatever challenge a gateway makes up. The name binds the proof to one
//! device, the challenge to one moment. Does not: draw the challenge, or remember which were answered.

use super::{Message, Reader, Writer};
use crate::{
    Error,
    channel::{
        Address, Signature, SigningKey,
        abi::{Sink, keccak},
    },
};

const TAG: &[u8] = b"sluicegate/device-key/v1";

/// What a gateway answers to `GET /channels/key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyChallenge(
    /// 32 bytes that were never a challenge before.
    pub [u8; 32],
);

/// What a device posts to `/channels/key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyProof {
    /// The address of the device's key.
    pub address: Address,
    /// The key's signature over challenge, address and endpoint name.
    pub signature: Signature,
}

impl KeyChallenge {
    /// What the key of this address signs under this endpoint name.
    pub fn hash(&self, address: &Address, endpoint_name: &str) -> [u8; 32] {
        let tag = keccak(|sink| sink.put(TAG));
        keccak(|sink: &mut dyn Sink| {
            sink.put(&tag);
            sink.put(&self.0);
            sink.put(address.as_bytes());
            sink.put(endpoint_name.as_bytes());
        })
    }
}

impl KeyProof {
    /// The proof that the device with this endpoint name has the key.
    pub fn sign(
        key: &SigningKey,
        challenge: &KeyChallenge,
        endpoint_name: &str,
    ) -> Result<Self, Error> {
        let address = key.address();
        let signature = key.sign_hash(&challenge.hash(&address, endpoint_name))?;
        Ok(Self { address, signature })
    }

    /// Whether the device with this endpoint name has the key of [`KeyProof::address`].
    pub fn verify(&self, challenge: &KeyChallenge, endpoint_name: &str) -> Result<(), Error> {
        self.signature.verify(&challenge.hash(&self.address, endpoint_name), &self.address)
    }
}

impl Message for KeyChallenge {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.map(1);
        writer.unsigned(1);
        writer.bytes(&self.0);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let challenge = fields.required(1)?.bytes_of()?;
        fields.end()?;
        Ok(Self(challenge))
    }
}

impl Message for KeyProof {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.map(2);
        writer.unsigned(1);
        writer.bytes(self.address.as_bytes());
        writer.unsigned(2);
        writer.bytes(self.signature.as_bytes());
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let address = Address::new(fields.required(1)?.bytes_of()?);
        let signature = Signature::from_bytes(&fields.required(2)?.bytes_of()?)?;
        fields.end()?;
        Ok(Self { address, signature })
    }
}
