//! go-perun's handshake over a fresh connection: each side proves its wire address, the dialer first.
//!
//! Guarantees: what is accepted is from the peer of the certificate, for us, and signed with its key. Does not: prove
//! that the peer is there now: the proof is the same every time, and replayable; TLS with the pinned certificate is what
//! binds a connection to a peer (`perun-interop` §1.2, P6). Maps have one entry, since go-perun signs theirs in a random
//! order (P7).

use ring::{rsa::PublicKeyComponents, signature::RSA_PKCS1_2048_8192_SHA256};
use sluicegate_channels::wire::{AddressMap, Envelope, Message};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{
    book::Peer,
    fault::Fault,
    identity::Identity,
    inbox::{Arrived, Inbox},
};

/// Sends our proof.
pub(super) async fn prove(
    identity: &Identity,
    peer: &Peer,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Fault> {
    let signature = identity.sign(&signed_bytes(identity.address()))?;
    let envelope = Envelope {
        sender: identity.address().clone(),
        recipient: peer.address.clone(),
        message: Message::AuthResponse { signature },
    };
    let bytes = peer.entry.codec.encode(&envelope).map_err(Fault::Message)?;
    to.write_all(&bytes).await?;
    Ok(to.flush().await?)
}

/// Waits for the peer's proof and checks it.
pub(super) async fn expect(
    identity: &Identity,
    peer: &Peer,
    inbox: &mut Inbox,
    from: &mut (impl AsyncRead + Unpin),
) -> Result<(), Fault> {
    let Arrived::Envelope(envelope) = inbox.next(from).await? else {
        return Err(Fault::Authentication("another message came first"));
    };
    let Message::AuthResponse { signature } = envelope.message else {
        return Err(Fault::Authentication("another message came first"));
    };
    if envelope.sender != peer.address {
        return Err(Fault::Authentication("it is of somebody else"));
    }
    if envelope.recipient != *identity.address() {
        return Err(Fault::Authentication("it is for somebody else"));
    }
    let exponent = peer.key.exponent().to_be_bytes();
    let zeros = exponent.iter().take_while(|byte| **byte == 0).count();
    let key = PublicKeyComponents { n: peer.key.modulus(), e: &exponent[zeros..] };
    let message = signed_bytes(&envelope.sender);
    let verified = key.verify(&RSA_PKCS1_2048_8192_SHA256, &message, &signature);
    verified.map_err(|_| Fault::Authentication("the signature is wrong"))
}

/// `u8(entries) ‖ address…`, in go-perun's form.
pub(super) fn signed_bytes(map: &AddressMap) -> Vec<u8> {
    // At most 8 entries.
    let mut bytes = vec![map.iter().len().to_le_bytes()[0]];
    map.iter().for_each(|(_, address)| bytes.extend(address.to_bytes()));
    bytes
}
