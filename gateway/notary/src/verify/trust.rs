//! Signatures, judged by the policy: the log's, the witnesses', the ledgers'.
//!
//! Guarantees: a key comes from the policy or not at all; a signature that names a trusted key and is wrong is an
//! error, never "not checked".

use alloc::{string::String, vec::Vec};

use sluicegate_ledger::{AnchorEvidence, BlockEvidence, BlockFacts, Error as LedgerError};
use sluicegate_protocol::{Error as ProtocolError, note::VerifierKey};

use super::{
    content::Head,
    report::{Block, Witness, utc},
};
use crate::{Error, policy::Policy};

/// A key of the policy for this log signed the checkpoint.
pub(super) fn signer(head: &Head<'_>, policy: &Policy<'_>) -> Result<(), Error> {
    let (mut known, mut signed) = (false, false);
    for key in policy.logs(head.checkpoint.origin) {
        known = true;
        match head.note.verify(key) {
            Ok(()) => signed = true,
            Err(ProtocolError::NotSigned) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let origin = head.checkpoint.origin.into();
    match (known, signed) {
        (_, true) => Ok(()),
        (true, false) => Err(Error::UnknownSigner { origin }),
        (false, false) => Err(Error::UnknownLog { origin }),
    }
}

/// The witnesses of the policy that cosigned, and whether they are enough.
pub(super) fn witnesses(
    head: &Head<'_>,
    policy: &Policy<'_>,
) -> Result<(Vec<Witness>, bool), Error> {
    let mut times = Vec::new();
    for witness in policy.witnesses() {
        times.push(match head.note.verify_cosignature(&witness.key) {
            Ok(time) => Some(time),
            Err(ProtocolError::NotSigned) => None,
            Err(error) => return Err(error.into()),
        });
    }
    let met = policy.quorum_met(|index| times.get(index).is_some_and(Option::is_some));
    let named = policy.witnesses().iter().zip(&times).filter_map(|(witness, time)| {
        let time = (*time)?;
        Some(Witness { name: witness.name(), time: utc(time.saturating_mul(1000)) })
    });
    Ok((named.collect(), met))
}

/// The block of a beacon; `None` when the policy does not know its ledger.
pub(super) fn block(evidence: &BlockEvidence, policy: &Policy<'_>) -> Result<Option<Block>, Error> {
    let ledger = evidence.ledger_id()?;
    let facts = by_policy(ledger.as_str(), policy, |key| evidence.verify(key))?;
    Ok(facts.map(|facts| named_block(ledger.as_str(), &facts)))
}

/// The block of an anchor; `None` when the policy does not know its ledger.
pub(super) fn anchor(
    evidence: &AnchorEvidence,
    policy: &Policy<'_>,
) -> Result<Option<Block>, Error> {
    let ledger = evidence.ledger_id()?;
    let facts = by_policy(ledger.as_str(), policy, |key| evidence.verify(key))?;
    Ok(facts.map(|facts| named_block(ledger.as_str(), &facts.block)))
}

fn named_block(ledger: &str, facts: &BlockFacts) -> Block {
    Block::new(String::from(ledger), facts.number, facts.hash, facts.time_ms)
}

/// Checks with the policy's keys for a ledger: one of them must hold if there are any.
fn by_policy<T>(
    ledger: &str,
    policy: &Policy<'_>,
    check: impl Fn(&VerifierKey<'_>) -> Result<T, LedgerError>,
) -> Result<Option<T>, Error> {
    let Some(name) = ledger.strip_prefix("embedded:") else { return Ok(None) };
    let mut refused = None;
    for key in policy.ledgers(name) {
        match check(key) {
            Ok(facts) => return Ok(Some(facts)),
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(None), |error| Err(error.into()))
}
