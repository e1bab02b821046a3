//! The car's key and books: what it signs, by its own rules.
//!
//! Guarantees: as [`Participant`]'s; each fact is a line on standard output. Does not: speak to anyone.

use sluicegate_device::{
    channel::{
        Address, Amount, Asset, ChannelId, SigningKey,
        exchange::{OpenRequest, SignAnswer, SignRequest},
    },
    participant::{Allowance, Limit, Output, Participant, Policy},
};

use super::{
    flash::{CHANNELS, Flash, SLOTS},
    order::Terms,
};

/// The most that is brought into a channel and that leaves it, unless the driver says otherwise.
const LIMIT: u64 = 1_000_000;

/// Key, books and flash.
pub(crate) struct Wallet {
    participant: Box<Participant<CHANNELS>>,
    flash: Flash,
}

impl Wallet {
    /// Goes on with what the flash holds.
    pub(crate) fn open(
        key: SigningKey,
        terms: &Terms,
        flash: Flash,
        takes_offers: bool,
    ) -> Result<Self, String> {
        let policy =
            Policy { receiver: terms.receiver, elsewhere: None, takes_offers, least_challenge: 1 };
        let mut participant = Box::new(Participant::new(key, policy));
        for slot in 0..SLOTS {
            // An empty or torn slot is as if it were empty.
            let _ = participant.restore(slot, &flash.read(slot));
        }
        let mut wallet = Self { participant, flash };
        wallet.limit(terms.asset.clone(), LIMIT.into(), LIMIT.into());
        Ok(wallet)
    }

    pub(crate) fn address(&self) -> Address {
        self.participant.address()
    }

    pub(crate) fn key(&self) -> &SigningKey {
        self.participant.key()
    }

    pub(crate) fn limit(&mut self, asset: Asset, deposit: Amount, spending: Amount) {
        if let Err(error) = self.participant.set_limit(Limit { asset, deposit, spending }) {
            eprintln!("the limit is not set: {error}");
        }
    }

    pub(crate) fn ask(&mut self, request: OpenRequest) {
        self.participant.open(request, None);
    }

    pub(crate) fn cancel_open(&mut self) {
        self.participant.cancel_open();
    }

    pub(crate) fn pay(&mut self, channel: &ChannelId, amount: Amount) {
        if let Err(error) = self.participant.pay(channel, 0, amount) {
            eprintln!("the payment is not agreed to: {error}");
        }
    }

    /// Takes the agreement to a payment back; false if it was used: then the payment is signed.
    pub(crate) fn cancel_payment(&mut self, channel: &ChannelId) -> bool {
        let nothing = Amount::default();
        let is_unused = self.participant.pay(channel, 0, nothing).is_err();
        self.participant.cancel_payment(channel);
        is_unused
    }

    /// Whether the channel is known.
    pub(crate) fn allow(&mut self, channel: &ChannelId, per_step: Amount, total: Amount) -> bool {
        self.participant.allow(channel, 0, Some(Allowance { per_step, total })).is_ok()
    }

    pub(crate) fn forget(&mut self, channel: &ChannelId) {
        self.participant.forget(channel);
    }

    pub(crate) fn keep(&self, energy: u64, next_seq: u64) {
        if let Err(error) = self.flash.keep(energy, next_seq) {
            eprintln!("the counters are not kept: {error}");
        }
    }

    /// The answer to a request, after what it commits to is in the flash; none if that can't be written.
    pub(crate) fn sign(&mut self, request: &SignRequest) -> Option<(ChannelId, SignAnswer)> {
        if let Err(error) = self.participant.handle(request) {
            eprintln!("a request waits: {error}");
            return None;
        }
        while let Some(output) = self.participant.poll() {
            match output {
                Output::Store { slot, record } => match self.flash.write(slot, record) {
                    Ok(()) => self.participant.stored(),
                    Err(error) => {
                        eprintln!("the flash can't be written: {error}");
                        self.participant.store_failed();
                        return None;
                    }
                },
                Output::Answer { channel, answer } => {
                    let version = request.state.version;
                    match &answer.outcome {
                        Ok(_) => println!("signed {channel} {version}"),
                        Err(refusal) => println!("refused sign {channel} {version} {refusal}"),
                    }
                    return Some((channel, answer.clone()));
                }
            }
        }
        None
    }
}
