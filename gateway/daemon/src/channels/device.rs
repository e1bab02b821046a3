//! What devices ask that sign for themselves, and the answers.
//!
//! Guarantees: a device sees and moves its own channels only; what it asks twice happens once, and gets the same answer
//! (I6); it is answered when what the answer says is durable (I1). A signature counts only with every authorisation
//! that its state needs. Does not: read CoAP; [`crate::coap`] does.

use sluicegate_channels::{
    Record,
    node::{DeviceKey, Output, opening::Proposal},
    record::OwnSignature,
};
use sluicegate_protocol::channel::{
    Allocation, ChannelId,
    exchange::{
        Channels as List, KeyChallenge, KeyProof, OpenRequest, PayRequest, Refusal, SignAnswer,
        SignRequest, Signatures, Summary,
    },
};
use tokio::sync::oneshot;

use super::{Answer, Channels, Handle, Input, command::refusal, signatures, turn::Turn};
use crate::credentials;

/// What a device asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// To take the signatures of a state, or the refusal.
    Answer(ChannelId, Box<SignAnswer>),
    /// A challenge, to prove its key.
    Challenge,
    /// To end a channel together with the peer.
    Close(ChannelId),
    /// To settle a channel on the ledger.
    Dispute(ChannelId),
    /// Its channels.
    List,
    /// A channel.
    Open(Box<OpenRequest>),
    /// A payment.
    Pay(ChannelId, Box<PayRequest>),
    /// To take the address of its key.
    Prove(Box<KeyProof>),
    /// One of its channels.
    Show(ChannelId),
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Prove the key with this.
    Challenge(KeyChallenge),
    /// Its channels.
    Channels(Box<List>),
    /// It is done, or it is under way and goes on by itself.
    Done,
    /// The channel begins.
    Opened(ChannelId),
    /// Sign this.
    Request(Box<SignRequest>),
    /// How the channel stands.
    Summary(Box<Summary>),
}

/// Why it does not get it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It contradicts how things stand; the same will be refused again.
    #[error("{0}")]
    Conflict(String),
    /// It is not right in itself.
    #[error("{0}")]
    Invalid(String),
    /// It may be asked again.
    #[error("{0}")]
    Later(String),
    /// The device has no such channel.
    #[error("there is no such channel")]
    Unknown,
}

pub(super) type DeviceReply = oneshot::Sender<Result<Said, Denied>>;

type Outcome = Result<Said, Denied>;

impl Handle {
    /// Carries out what a device asks, whose transport has proved who it is.
    pub async fn device(&self, device: &str, ask: Ask) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let stopped = |_| Denied::Later("the channels are not running".to_owned());
        let sent = self.inputs.send(Input::Device(device.to_owned(), ask, reply)).await;
        sent.map_err(|_| stopped(()))?;
        answer.await.map_err(|_| stopped(()))?
    }
}

#[cfg(test)]
impl Handle {
    /// What devices ask is answered by a function: the resources are tested without channels.
    pub(crate) fn answering(answer: impl Fn(&str, Ask) -> Outcome + 'static) -> Self {
        let (sender, mut inputs) = tokio::sync::mpsc::channel(8);
        tokio::task::spawn_local(async move {
            while let Some(Input::Device(device, ask, reply)) = inputs.recv().await {
                let _ = reply.send(answer(&device, ask));
            }
        });
        Self { inputs: sender, news: std::sync::Arc::default() }
    }
}

impl Channels {
    pub(super) fn serve_device(
        &mut self,
        device: &str,
        ask: Ask,
        reply: DeviceReply,
        turn: &mut Turn,
    ) {
        let outcome = match ask {
            Ask::Answer(channel, answer) => self.answered(device, channel, *answer, turn),
            Ask::Challenge => self.challenge(device),
            Ask::Close(channel) => self.ends(device, channel, false, turn),
            Ask::Dispute(channel) => self.ends(device, channel, true, turn),
            Ask::List => Ok(Said::Channels(Box::new(self.signing.list(&self.node, device)))),
            Ask::Open(request) => return self.opens(device, *request, reply, turn),
            Ask::Pay(channel, request) => self.pays(device, channel, &request, turn),
            Ask::Prove(proof) => self.proves(device, &proof, turn),
            Ask::Show(channel) => self.shows(device, channel, turn),
        };
        self.told.push((reply, outcome));
    }

    /// The channel, if it is this device's, and one for which the device signs.
    fn own(&self, device: &str, channel: &ChannelId) -> Result<&Record, Denied> {
        let record = self.node.record(channel).filter(|record| record.device == device);
        record.filter(|_| self.signing.keys.contains_key(device)).ok_or(Denied::Unknown)
    }

    fn challenge(&mut self, device: &str) -> Outcome {
        let challenge = credentials::random().map_err(|error| Denied::Later(error.to_string()))?;
        self.signing.challenges.insert(device.to_owned(), challenge);
        Ok(Said::Challenge(KeyChallenge(challenge)))
    }

    fn proves(&mut self, device: &str, proof: &KeyProof, turn: &mut Turn) -> Outcome {
        let known = self.signing.keys.get(device);
        if known == Some(&proof.address) {
            return Ok(Said::Done);
        }
        let challenge = self.signing.challenges.get(device);
        let challenge =
            challenge.ok_or_else(|| Denied::Invalid("ask for a challenge first".to_owned()))?;
        let wrong = |_| Denied::Invalid("the proof is not of the newest challenge".to_owned());
        proof.verify(&KeyChallenge(*challenge), device).map_err(wrong)?;
        if known.is_some() && self.is_busy(device) {
            let text = "the device has channels with another key; they have to end first";
            return Err(Denied::Conflict(text.to_owned()));
        }
        let mut others = self.signing.keys.iter().filter(|(name, _)| *name != device);
        if others.any(|(_, address)| *address == proof.address) {
            return Err(Denied::Conflict("another device has this key".to_owned()));
        }
        self.signing.challenges.remove(device);
        self.signing.keys.insert(device.to_owned(), proof.address);
        self.node.add_device(device, DeviceKey::Away(proof.address));
        turn.batch.signing.keys.push((device.to_owned(), *proof.address.as_bytes()));
        tracing::info!(device, address = %proof.address, "the device signs for itself");
        Ok(Said::Done)
    }

    /// Whether the device has a channel that is not over, or asks for one.
    fn is_busy(&mut self, device: &str) -> bool {
        let mut records = self.node.records();
        records.any(|record| record.device == device && !record.phase.is_over())
            || self.signing.is_asking(&self.node, device)
    }

    /// The answer comes when the peer has decided, and not within this turn.
    fn opens(&mut self, device: &str, request: OpenRequest, reply: DeviceReply, turn: &mut Turn) {
        if let Some(channel) = self.signing.opened(&self.node, device, &request.share) {
            return self.told.push((reply, Ok(Said::Opened(channel))));
        }
        match self.propose_for(device, request, turn) {
            Ok(proposal) => {
                let (sender, opened) = oneshot::channel();
                self.waiting.opens(proposal, sender);
                tokio::task::spawn_local(async move {
                    let _ = reply.send(outcome(opened.await.ok()));
                });
            }
            Err(denied) => self.told.push((reply, Err(denied))),
        }
    }

    fn propose_for(
        &mut self,
        device: &str,
        request: OpenRequest,
        turn: &mut Turn,
    ) -> Result<[u8; 32], Denied> {
        if !self.signing.keys.contains_key(device) {
            return Err(Denied::Conflict("the device has not shown its key yet".to_owned()));
        }
        if !self.connected.contains_key(request.peer.as_str()) {
            return Err(Denied::Later(format!("there is no connection with {}", request.peer)));
        }
        if self.signing.is_asking(&self.node, device) {
            let text = "a channel that was asked for waits for the peer";
            return Err(Denied::Later(text.to_owned()));
        }
        self.check_reserve(request.own_deposit).map_err(Denied::Conflict)?;
        let OpenRequest { peer, asset, own_deposit, peer_deposit, challenge_duration, share } =
            request;
        let invalid = |error: sluicegate_protocol::Error| Denied::Invalid(error.to_string());
        let outcome = Allocation::new(&[(asset, [own_deposit, peer_deposit])]).map_err(invalid)?;
        let id = credentials::random().map_err(|error| Denied::Later(error.to_string()))?;
        let (peer, nonce_share) = (peer.as_str().to_owned(), share);
        let device = device.to_owned();
        let proposal =
            Proposal { peer, device: device.clone(), outcome, challenge_duration, id, nonce_share };
        let now = self.now();
        let outputs = self.node.propose(proposal, now).map_err(Denied::Conflict)?;
        self.signing.asks(id, &device, share);
        self.add(outputs, turn);
        Ok(id)
    }

    fn shows(&mut self, device: &str, channel: ChannelId, turn: &mut Turn) -> Outcome {
        let record = self.own(device, &channel)?.clone();
        self.signing.see(&record, &mut turn.batch);
        let summary = record.summary(self.signing.peer_share(&channel)).ok_or(Denied::Unknown)?;
        Ok(Said::Summary(Box::new(summary)))
    }

    fn answered(
        &mut self,
        device: &str,
        channel: ChannelId,
        answer: SignAnswer,
        turn: &mut Turn,
    ) -> Outcome {
        let record = self.own(device, &channel)?;
        let peer_share = self.signing.peer_share(&channel);
        let request = record.request(peer_share).filter(|it| it.number == answer.number);
        let is_repeated = match &answer.outcome {
            Ok(_) => record.is_signed(answer.number),
            // The same may be asked for once more: then it is another refusal.
            Err(_) => {
                request.is_none() && self.signing.refused.get(&channel) == Some(&answer.number)
            }
        };
        match (request, answer.outcome) {
            (_, _) if is_repeated => Ok(Said::Done),
            (Some(request), Ok(signatures)) => self.signed(&request, signatures, turn),
            (None, Ok(signatures)) => self.signed_late(channel, signatures, turn),
            (Some(request), Err(refusal)) => {
                self.refused(&request, refusal, turn);
                Ok(Said::Done)
            }
            (None, Err(_)) => Err(over()),
        }
    }

    fn signed(
        &mut self,
        request: &SignRequest,
        signatures: Signatures,
        turn: &mut Turn,
    ) -> Outcome {
        let channel = request.state.channel;
        let own = own_signature(signatures);
        let fits = |record: &Record| record.is_own_signature_of(&own, &request.state);
        if !self.node.record(&channel).is_some_and(fits) {
            let text = "the signatures are not those of the state and of its withdrawals";
            return Err(Denied::Invalid(text.to_owned()));
        }
        if self.node.record(&channel).is_some_and(|record| record.is_own_signature(&own)) {
            turn.batch.signatures.push(signatures::own(&request.state, &own));
        }
        let now = self.now();
        let outputs = self.node.signed(channel, own, now);
        self.add(outputs, turn);
        Ok(Said::Done)
    }

    /// The request is over; with the peer's signature a late one of the device is as good.
    fn signed_late(
        &mut self,
        channel: ChannelId,
        signatures: Signatures,
        turn: &mut Turn,
    ) -> Outcome {
        let own = own_signature(signatures);
        if !self.node.is_late_signature(&channel, &own) {
            return Err(over());
        }
        let now = self.now();
        let outputs = self.node.signed(channel, own, now);
        self.add(outputs, turn);
        Ok(Said::Done)
    }

    fn refused(&mut self, request: &SignRequest, refusal: Refusal, turn: &mut Turn) {
        let channel = request.state.channel;
        tracing::info!(%channel, version = request.state.version, %refusal, "the device does not sign");
        self.signing.refused.insert(channel, request.number);
        let now = self.now();
        let outputs = self.node.not_signed(channel, &format!("the device: {refusal}"), now);
        self.add(outputs, turn);
    }

    fn pays(
        &mut self,
        device: &str,
        channel: ChannelId,
        request: &PayRequest,
        turn: &mut Turn,
    ) -> Outcome {
        let record = self.own(device, &channel)?;
        let version = record.state().map(|state| state.version);
        if version != Some(request.version) {
            let text = format!("version {} is not the newest any more", request.version);
            return Err(Denied::Conflict(text));
        }
        let (asset, amount) = (usize::from(request.asset), request.amount);
        if record.is_paying(asset, amount) {
            return record.payment_request().map(sign).ok_or_else(over);
        }
        let now = self.now();
        let outputs = self.node.pay(channel, asset, amount, now);
        if let Some((refusal, is_busy)) = outputs.iter().find_map(refusal) {
            return Err(if is_busy { Denied::Later(refusal) } else { Denied::Conflict(refusal) });
        }
        tracing::info!(%channel, %amount, memo = request.memo.as_str(), "a device pays");
        self.add(outputs, turn);
        let record = self.node.record(&channel).ok_or(Denied::Unknown)?;
        record.payment_request().map(sign).ok_or_else(over)
    }

    fn ends(
        &mut self,
        device: &str,
        channel: ChannelId,
        on_ledger: bool,
        turn: &mut Turn,
    ) -> Outcome {
        self.own(device, &channel)?;
        let now = self.now();
        let outputs = match on_ledger {
            true => self.node.dispute(channel, now),
            false => self.node.close(channel, now),
        };
        if let Some((refusal, _)) = outputs.iter().find_map(refusal) {
            return Err(Denied::Conflict(refusal));
        }
        self.add(outputs, turn);
        Ok(Said::Done)
    }

    /// Answers the devices of a turn that is durable, and tells who observes its channels.
    pub(super) fn tell_devices(&mut self, changed: &[ChannelId]) {
        changed.iter().for_each(|channel| self.signing.tell(&self.node, channel));
        self.told.drain(..).for_each(|(reply, outcome)| drop(reply.send(outcome)));
    }

    /// A proposal of a device was accepted; the record is among the outputs, if it came to that.
    pub(super) fn begun(
        &mut self,
        proposal: &[u8; 32],
        peer_share: [u8; 32],
        outputs: &[Output],
        turn: &mut Turn,
    ) {
        let record = outputs.iter().find_map(|output| match output {
            Output::Keep(record) => Some(record.id),
            _ => None,
        });
        if let Some(id) = record {
            self.signing.begun(proposal, peer_share, id, &mut turn.batch);
        }
    }
}

/// What became of a proposal.
fn outcome(answer: Option<Result<Answer, String>>) -> Outcome {
    match answer {
        Some(Ok(Answer::Opened(channel))) => Ok(Said::Opened(channel)),
        Some(Ok(_)) => Ok(Said::Done),
        Some(Err(reason)) => Err(Denied::Conflict(reason)),
        None => Err(Denied::Later("the channels began anew".to_owned())),
    }
}

fn sign(request: SignRequest) -> Said {
    Said::Request(Box::new(request))
}

fn over() -> Denied {
    Denied::Conflict("this is waited for no longer".to_owned())
}

fn own_signature(signatures: Signatures) -> OwnSignature {
    let Signatures { state, withdrawals } = signatures;
    OwnSignature { state, withdrawals: withdrawals.to_vec() }
}
