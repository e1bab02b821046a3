//! Digests on the ledger and their evidence.

use sluicegate_ledger::{AnchorEvidence, AnchorRecord, Anchors, BlockEvidence, Error, Reply};
use sluicegate_protocol::Digest;

use crate::{
    client::{Backend, Transport, UNFIT},
    wire::{Answer, Question},
};

impl<T: Transport> Anchors for Backend<T> {
    fn find<'a>(&'a self, digest: &'a Digest) -> Reply<'a, Option<AnchorRecord>> {
        Box::pin(async move {
            match self.ask(Question::Find(*digest)).await? {
                Answer::Anchor(anchor) => Ok(anchor),
                _ => Err(UNFIT),
            }
        })
    }

    fn newest(&self) -> Reply<'_, Option<AnchorRecord>> {
        Box::pin(async move {
            match self.ask(Question::Newest(self.account_key())).await? {
                Answer::Anchor(anchor) => Ok(anchor),
                _ => Err(UNFIT),
            }
        })
    }

    fn anchor_evidence<'a>(&'a self, digest: &'a Digest) -> Reply<'a, AnchorEvidence> {
        Box::pin(async move {
            let answer = self.ask(Question::AnchorEvidence(*digest)).await?;
            let Answer::AnchorEvidence(evidence) = answer else { return Err(UNFIT) };
            if let Some(key) = self.verifier()?
                && evidence.verify(&key)?.digest != *digest
            {
                return Err(Error::Mismatch("the evidence is of another anchor"));
            }
            Ok(evidence)
        })
    }

    fn block_evidence(&self, number: u64) -> Reply<'_, BlockEvidence> {
        Box::pin(async move {
            let answer = self.ask(Question::BlockEvidence(number)).await?;
            let Answer::BlockEvidence(evidence) = answer else { return Err(UNFIT) };
            if let Some(key) = self.verifier()?
                && evidence.verify(&key)?.number != number
            {
                return Err(Error::Mismatch("the evidence is of another block"));
            }
            Ok(evidence)
        })
    }
}
