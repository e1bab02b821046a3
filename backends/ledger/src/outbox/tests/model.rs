//! A small model of a ledger: one account, blocks, a pool, finality, reorgs, and what goes wrong.

use std::{collections::BTreeMap, vec, vec::Vec};

use sluicegate_protocol::{Digest, sha256};

use crate::{
    Account, BlockRef, Error, Fee, Signed, Status, TransactionId, Unsigned,
    fees::DAY_MS,
    outbox::{Answer, Call},
};

/// What goes wrong at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The submission is lost on the way.
    Lost,
    /// The submission lands, the answer is lost.
    Unknown,
    /// The ledger can't answer now.
    Unavailable,
    /// The ledger asks for a higher fee.
    FeeTooLow,
    /// Somebody else who holds the key uses the nonce.
    Foreign,
    /// All blocks that are not final are taken back; whatever was ever submitted comes back to the pool.
    Reorg,
    /// All blocks that are not final are taken back, their transactions are forgotten.
    ReorgDrop,
}

pub(super) const FAULTS: [Fault; 8] = [
    Fault::None,
    Fault::Lost,
    Fault::Unknown,
    Fault::Unavailable,
    Fault::FeeTooLow,
    Fault::Foreign,
    Fault::Reorg,
    Fault::ReorgDrop,
];

#[derive(Debug, Clone)]
pub(super) struct Landed {
    pub(super) id: TransactionId,
    pub(super) nonce: u64,
    pub(super) digest: Digest,
}

/// Blocks on top that make a block of the model final.
pub(super) const DEPTH: usize = 3;

/// A ledger with reorgs.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) blocks: Vec<Vec<Landed>>,
    pub(super) finalised: usize,
    pub(super) pool: BTreeMap<u64, (Landed, u128)>,
    /// Everything that ever left the gateway: anybody may submit it again.
    pub(super) ever: Vec<Landed>,
    pub(super) base_fee: u128,
    pub(super) balance: u128,
    pub(super) foreign: u8,
    pub(super) extra_time: u64,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { blocks: vec![vec![]], base_fee: 10, balance: 1_000_000, ..Self::default() }
    }

    pub(super) fn time_ms(&self) -> u64 {
        DAY_MS * 100 + self.extra_time + self.blocks.len() as u64 * 1_000
    }

    pub(super) fn block(&self, number: usize) -> BlockRef {
        BlockRef { number: number as u64, hash: sha256(&[&number.to_be_bytes()]) }
    }

    pub(super) fn nonce_after(&self, blocks: usize) -> u64 {
        self.blocks[..blocks].iter().flatten().map(|landed| landed.nonce + 1).max().unwrap_or(0)
    }

    pub(super) fn final_blocks(&self) -> usize {
        self.finalised
    }

    pub(super) fn find(&self, which: impl Fn(&Landed) -> bool) -> Option<(usize, Landed)> {
        let mut all = self.blocks.iter().enumerate();
        all.find_map(|(number, block)| Some((number, block.iter().find(|l| which(l))?.clone())))
    }

    pub(super) fn produce(&mut self) {
        let mut next = self.nonce_after(self.blocks.len());
        self.pool.retain(|nonce, _| *nonce >= next);
        let mut block = vec![];
        while let Some((landed, _)) = self.pool.remove(&next) {
            block.push(landed);
            next += 1;
        }
        self.blocks.push(block);
        self.finalised = self.finalised.max(self.blocks.len().saturating_sub(DEPTH));
    }

    pub(super) fn reorg(&mut self, keep: bool) {
        self.blocks.truncate(self.finalised.max(1));
        if keep {
            for landed in &self.ever {
                self.pool.insert(landed.nonce, (landed.clone(), self.base_fee));
            }
        }
    }

    pub(super) fn use_nonce(&mut self) {
        let nonce = self.nonce_after(self.blocks.len());
        self.foreign += 1;
        let digest = sha256(&[b"foreign", &[self.foreign]]);
        let landed = Landed { id: TransactionId(digest), nonce, digest };
        self.pool.insert(nonce, (landed, u128::MAX));
        self.produce();
    }

    pub(super) fn submit(&mut self, signed: &Signed) -> Result<(), Error> {
        let next = self.nonce_after(self.blocks.len());
        let digest = Digest::from_slice(&signed.bytes).unwrap();
        let landed = Landed { id: signed.id, nonce: signed.nonce, digest };
        self.ever.push(landed.clone());
        if self.find(|landed| landed.id == signed.id).is_some() {
            return Ok(());
        }
        if signed.nonce < next {
            return Err(Error::NonceUsed { next });
        }
        if signed.fee < self.base_fee {
            return Err(Error::FeeTooLow { needed: self.base_fee });
        }
        if signed.fee > self.balance {
            return Err(Error::Unfunded { needed: signed.fee, balance: self.balance });
        }
        if let Some((known, fee)) = self.pool.get(&signed.nonce) {
            if known.id == signed.id {
                return Ok(());
            }
            if *fee >= signed.fee {
                return Err(Error::FeeTooLow { needed: fee.saturating_add(1) });
            }
        }
        self.pool.insert(signed.nonce, (landed, signed.fee));
        Ok(())
    }

    pub(super) fn perform(&mut self, call: &Call) -> Result<Answer, Error> {
        Ok(match call {
            Call::Account => Answer::Account(Account {
                next_nonce: self.nonce_after(self.blocks.len()),
                final_nonce: self.nonce_after(self.final_blocks()),
                balance: self.balance,
                time_ms: self.time_ms(),
            }),
            Call::Build { request, nonce, fee } => {
                let floor = if let Fee::AtLeast(floor) = fee { *floor } else { 0 };
                let fee = self.base_fee.max(floor);
                let bytes = request.key().as_bytes().to_vec();
                Answer::Built(Unsigned { request: request.clone(), nonce: *nonce, fee, bytes })
            }
            Call::Find(request) => {
                let digest = request.key();
                Answer::Found(self.find(|l| l.digest == digest).map(|(number, landed)| {
                    crate::Landed {
                        transaction: landed.id,
                        block: self.block(number),
                        is_final: number < self.final_blocks(),
                    }
                }))
            }
            Call::Sign(Unsigned { nonce, fee, bytes, .. }) => {
                let id = sha256(&[&nonce.to_be_bytes(), &fee.to_be_bytes(), bytes]);
                let (nonce, fee, bytes) = (*nonce, *fee, bytes.clone());
                Answer::Signed(Signed { id: TransactionId(id), nonce, fee, bytes })
            }
            Call::Status(id) => Answer::Status(match self.find(|landed| landed.id == *id) {
                Some((n, _)) if n < self.final_blocks() => Status::Final { block: self.block(n) },
                Some((n, _)) => Status::Included { block: self.block(n) },
                None if self.pool.values().any(|(l, _)| l.id == *id) => Status::Pending,
                None => Status::Unknown,
            }),
            Call::Submit(signed) => self.submit(signed).map(|()| Answer::Submitted)?,
        })
    }

    pub(super) fn perform_with(&mut self, call: &Call, fault: Fault) -> Result<Answer, Error> {
        let submission = matches!(call, Call::Submit(_));
        match fault {
            Fault::Lost if submission => return Err(Error::ResultUnknown("lost".into())),
            Fault::Unknown if submission => {
                let _ = self.perform(call);
                self.produce();
                return Err(Error::ResultUnknown("timed out".into()));
            }
            Fault::Unavailable => return Err(Error::Unavailable("busy".into())),
            Fault::FeeTooLow if submission => self.base_fee += 5,
            Fault::Foreign if submission => self.use_nonce(),
            Fault::Reorg => self.reorg(true),
            Fault::ReorgDrop => self.reorg(false),
            _ => {}
        }
        self.perform(call)
    }
}
