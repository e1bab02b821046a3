//! The channels: the task that runs the node of [`sluicegate_channels`] and carries out what it wants.
//!
//! Guarantees: all inputs of a turn are one transaction of the store: records, books, signatures, requests to the
//! ledger, and the cursor in its events; only when that is durable anything of it is sent or told (I1), and a message
//! whose signature the store does not have is never sent (I2). A turn that the store refuses is as if it had not
//! happened: the node begins again with what is durable, and the channel is settled. Nothing is signed or sent before
//! the store is known to be no old copy, and before the ledger's events were read to their end. Does not: connect to
//! peers ([`Links`]), or bring transactions to the ledger; the outbox does, from the rows that a turn leaves it.
//!
//! Order of calls: [`Channels::new`], then [`Channels::run`]; meanwhile [`Handle::peer`] and [`Handle::command`].

mod begin;
mod command;
mod device;
mod ledger;
mod reserve;
mod serve;
mod setup;
mod signatures;
mod signing;
mod start;
#[cfg(test)]
mod tests;
mod turn;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use sluicegate_channels::{
    effect::Notice,
    node::{About, DeviceKey, Node, Now, Output, Settings},
    record::Record,
    wire::{AddressMap, Message},
};
use sluicegate_ledger::{Channels as Ledger, Cursor};
use sluicegate_protocol::channel::{Amount, ChannelId, Signature};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};

pub(crate) use self::begin::{Begun, begin};
pub(crate) use self::signing::place;
use self::{
    command::Waiting,
    device::DeviceReply,
    ledger::{LedgerTime, Page},
    signing::Signing,
    turn::{Deed, Turn},
};
pub use self::{
    command::{Answer, Command, Summary, Terms},
    device::{Ask, Denied, Said},
};
use crate::{
    Error,
    clock::Clock,
    credentials,
    desk::Desk,
    devices::changes::Changes,
    effects::Effects,
    keeper::Keeper,
    peers::{PeerEvent, PeersHandle},
    recorder::Alarm,
    store::channels::{self as rows, Batch, Committed},
};

/// Most inputs of one turn.
const MAX_TURN: usize = 64;

/// Inputs that wait; who brings more waits too.
const MAX_WAITING: usize = 256;

/// Longest sleep, so that timers are looked at.
const NAP: Duration = Duration::from_millis(500);

/// Where messages to peers go. What can't be sent is dropped: the node says it again when there is a connection.
pub trait Links {
    /// Sends a message to a connected peer; never waits.
    fn send(&self, peer: &str, message: Message);

    /// Ends the connection with a peer that broke a rule.
    fn disconnect(&self, peer: &str, reason: &str);
}

/// Nobody is connected: for a gateway without peers, whose channels are only watched and settled.
pub struct Unconnected;

impl Links for Unconnected {
    fn send(&self, _: &str, _: Message) {}

    fn disconnect(&self, _: &str, _: &str) {}
}

impl Links for PeersHandle {
    fn send(&self, peer: &str, message: Message) {
        let _ = Self::send(self, peer, message);
    }

    fn disconnect(&self, peer: &str, reason: &str) {
        Self::disconnect(self, peer, reason);
    }
}

/// Which offers are accepted without asking: those of this peer, for this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The peer's name.
    pub peer: String,
    /// Whose channel it becomes.
    pub device: String,
}

/// Who takes part, and by which rules.
pub struct Plan {
    /// The node's own settings.
    pub settings: Settings,
    /// Devices for which this gateway signs; the others are in the store.
    pub devices: Vec<(String, DeviceKey)>,
    /// Which offers are accepted.
    pub rules: Vec<Rule>,
    /// Challenge of a channel of ours if the command names none, in seconds.
    pub challenge_s: u64,
    /// Pause between two looks at the ledger.
    pub ledger_pause: Duration,
    /// A registered older state is an alarm when less than this is left of the challenge, in seconds.
    pub warn_s: u64,
    /// What the account holds for the dispute of each channel, in base units.
    pub fee_reserve: u128,
}

/// Where an answer goes.
type Reply = oneshot::Sender<Result<Answer, String>>;

enum Input {
    Command(Command, Reply),
    Device(String, Ask, DeviceReply),
    Ledger(Page, oneshot::Sender<()>),
    Peer(PeerEvent),
}

/// The way to the task.
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
    news: Arc<Notify>,
}

impl Handle {
    /// Brings what happened on a connection; waits while too much waits already.
    pub async fn peer(&self, event: PeerEvent) {
        let _ = self.inputs.send(Input::Peer(event)).await;
    }

    /// Carries out a command of the owner. In words why not, if not.
    pub async fn command(&self, command: Command) -> Result<Answer, String> {
        self.begin(command).await?.await
    }

    /// Gives a command of the owner, and later its answer: whatever is asked for after this comes behind it.
    pub async fn begin(
        &self,
        command: Command,
    ) -> Result<impl Future<Output = Result<Answer, String>> + use<>, String> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inputs.send(Input::Command(command, reply)).await;
        sent.map_err(|_| "the channels are not running".to_owned())?;
        let unknown = "it is not known whether it was done: `sluicegate channel list` shows how \
                       the channel stands, `sluicegate status` what went wrong";
        Ok(async move { answer.await.map_err(|_| unknown.to_owned())? })
    }

    /// Resolves when a channel may have changed, or a peer came or went, since the last call. For one listener.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

/// The task.
pub struct Channels {
    keeper: Keeper,
    ledger: Arc<dyn Ledger>,
    links: Box<dyn Links>,
    clock: Clock,
    plan: Plan,
    node: Node,
    time: LedgerTime,
    cursor: Cursor,
    /// What the account holds, in base units, if the ledger said so when it was read last.
    balance: Option<u128>,
    waiting: Waiting,
    /// Answers of this turn, given when it is durable.
    answers: Vec<(Reply, Result<Answer, String>)>,
    pages: Vec<oneshot::Sender<()>>,
    /// Devices that sign for themselves.
    signing: Signing,
    /// Answers to devices in this turn, given when it is durable.
    told: Vec<(DeviceReply, Result<Said, Denied>)>,
    inputs: mpsc::Receiver<Input>,
    /// Dropped when the reader of the ledger has its copy.
    own_inputs: Option<mpsc::Sender<Input>>,
    /// Who is connected, for a node that begins again.
    connected: BTreeMap<String, AddressMap>,
    /// Channels whose challenge runs out, and the administrator was told.
    warned: BTreeSet<ChannelId>,
    effects: Effects,
    /// Wakes who drives the payments.
    news: Arc<Notify>,
}

impl Channels {
    /// The task and the way to it.
    pub fn new(
        keeper: Keeper,
        ledger: Arc<dyn Ledger>,
        links: Box<dyn Links>,
        clock: Clock,
        plan: Plan,
    ) -> (Self, Handle) {
        let (to_inputs, inputs) = mpsc::channel(MAX_WAITING);
        let node = Node::new(plan.settings.clone());
        let task = Self {
            keeper,
            ledger,
            links,
            clock,
            plan,
            node,
            time: LedgerTime::default(),
            cursor: Cursor::default(),
            balance: None,
            waiting: Waiting::default(),
            answers: Vec::new(),
            pages: Vec::new(),
            signing: Signing::default(),
            told: Vec::new(),
            inputs,
            own_inputs: Some(to_inputs.clone()),
            connected: BTreeMap::new(),
            warned: BTreeSet::new(),
            effects: Effects::none(),
            news: Arc::default(),
        };
        let news = Arc::clone(&task.news);
        (task, Handle { inputs: to_inputs, news })
    }

    /// Notes which signatures became durable and which were sent.
    #[must_use]
    pub fn noting(mut self, effects: Effects) -> Self {
        self.effects = effects;
        self
    }

    /// Tells changes of the channels of devices that sign for themselves there.
    #[must_use]
    pub fn telling(mut self, changes: Changes) -> Self {
        self.signing.changes = changes;
        self
    }

    /// Works until the keeper stops.
    pub async fn run(mut self) {
        if let Err(error) = self.start().await {
            return tracing::debug!(%error, "the channels end before they began");
        }
        let Some(inputs) = self.own_inputs.take() else { return };
        let pause = self.plan.ledger_pause;
        let reader = ledger::follow(Arc::clone(&self.ledger), self.cursor.clone(), pause, inputs);
        let work = async { while self.turn().await.is_ok() {} };
        tokio::select! {
            () = reader => {}
            () = work => {}
        }
    }

    /// Takes what waits, makes it durable, carries it out. An error means that the keeper stopped.
    async fn turn(&mut self) -> Result<(), Error> {
        let mut turn = Turn::default();
        let mut next = timeout(self.nap(), self.inputs.recv()).await.ok().flatten();
        for _ in 0..MAX_TURN {
            let Some(input) = next else { break };
            self.take(input, &mut turn);
            next = self.inputs.try_recv().ok();
        }
        if let Some(input) = next {
            self.take(input, &mut turn);
        }
        let now = self.now();
        let outputs = self.node.tick(now);
        self.add(outputs, &mut turn);
        self.warn(now).await;
        self.finish(turn).await
    }

    fn nap(&mut self) -> Duration {
        let now = self.now();
        let (ms, ledger_s) = self.node.next_times();
        let ms = ms.map(|due| due.saturating_sub(now.ms));
        let ledger_ms = ledger_s.map(|due| due.saturating_sub(now.ledger_s).saturating_mul(1_000));
        let soonest = ms.into_iter().chain(ledger_ms).min();
        soonest.map_or(NAP, |left| Duration::from_millis(left.max(10)).min(NAP))
    }

    fn now(&mut self) -> Now {
        let ms = self.clock.now().monotonic_ms;
        // Before the first look at the ledger no deadline has come and every limit counts in its oldest period.
        Now { ms, ledger_s: self.time.seconds(ms).unwrap_or(0) }
    }

    fn take(&mut self, input: Input, turn: &mut Turn) {
        match input {
            Input::Command(command, reply) => self.obey(command, reply, turn),
            Input::Device(device, ask, reply) => self.serve_device(&device, ask, reply, turn),
            Input::Ledger(page, done) => {
                self.read(page, turn);
                self.pages.push(done);
            }
            Input::Peer(event) => self.hear(event, turn),
        }
    }

    fn read(&mut self, page: Page, turn: &mut Turn) {
        self.time.head(page.time_ms, self.clock.now().monotonic_ms);
        self.balance = page.balance;
        let now = self.now();
        if page.is_anew {
            let outputs = self.node.anew(now);
            self.add(outputs, turn);
        }
        for event in &page.events {
            let outputs = self.node.ledger(event, now);
            self.add(outputs, turn);
        }
        if self.cursor != page.next {
            turn.batch.cursor = Some(page.next.0.clone());
            self.cursor = page.next;
        }
    }

    fn hear(&mut self, event: PeerEvent, turn: &mut Turn) {
        let now = self.now();
        let outputs = match event {
            PeerEvent::Connected(peer, address) => {
                self.connected.insert(peer.clone(), address.clone());
                self.node.add_peer(&peer, address);
                self.news.notify_one();
                self.node.connected(&peer, now)
            }
            PeerEvent::Lost(peer) => {
                self.connected.remove(&peer);
                self.news.notify_one();
                self.node.lost(&peer);
                Vec::new()
            }
            PeerEvent::Message(peer, envelope) => {
                let accepted = match &envelope.message {
                    Message::LedgerChannelProposalAcc { proposal, nonce_share, .. } => {
                        Some((*proposal, *nonce_share))
                    }
                    _ => None,
                };
                let outputs = self.node.message(&peer, envelope, now);
                if let Some((proposal, peer_share)) = accepted {
                    self.begun(&proposal, peer_share, &outputs, turn);
                    self.waiting.begun(proposal, &outputs);
                }
                outputs
            }
        };
        self.add(outputs, turn);
    }

    /// Adds outputs to the turn, and the answers to offers among them.
    fn add(&mut self, outputs: Vec<Output>, turn: &mut Turn) {
        let offers: Vec<_> = outputs.iter().filter_map(offer).collect();
        let devices = &self.plan.devices;
        let sign = |record: &Record, amount| sign_withdrawal(devices, record, amount);
        turn.add(outputs, &self.node, &self.plan.settings.limits, &sign);
        for offer in offers {
            let outputs = self.answer_offer(&offer);
            self.add(outputs, turn);
        }
    }

    fn answer_offer(&mut self, offer: &[u8; 32]) -> Vec<Output> {
        let now = self.now();
        let opening = self.node.opening(offer);
        let deposit = opening.and_then(|opening| opening.outcome.balances.first());
        let deposit = deposit.map_or(Amount::ZERO, |row| row[1]);
        let peer = opening.map(|opening| opening.peer.clone());
        if let Err(reason) = self.check_reserve(deposit) {
            tracing::warn!(reason, "an offered channel is declined");
            return self.node.decline(offer, "no further channel can be borne here now", now);
        }
        let rule = self.plan.rules.iter().find(|rule| peer.as_ref() == Some(&rule.peer));
        let agreed = match (rule, credentials::random()) {
            (Some(rule), Ok(random)) => self.node.agree(offer, &rule.device, random, now),
            (None, _) => Err("no rule accepts channels with this peer".to_owned()),
            (_, Err(error)) => Err(error.to_string()),
        };
        agreed.unwrap_or_else(|reason| {
            tracing::info!(reason, "an offered channel is declined");
            self.node.decline(offer, &reason, now)
        })
    }

    /// Makes a turn durable, then carries it out.
    async fn finish(&mut self, turn: Turn) -> Result<(), Error> {
        let Turn { mut batch, deeds } = turn;
        self.signing.enter_new(&self.node, &mut batch);
        let changed: Vec<_> = batch.records.iter().map(|row| ChannelId::new(row.id)).collect();
        let batch = Arc::new(batch);
        match self.commit(&batch).await? {
            Committed::Stored { unknown } => {
                for done in self.pages.drain(..) {
                    let _ = done.send(());
                }
                self.carry_out(deeds, &batch.shown, &unknown).await;
                self.waiting.settle();
                self.answers.drain(..).for_each(|(reply, answer)| drop(reply.send(answer)));
                self.tell_devices(&changed);
                let forgotten = batch.forgotten.iter().map(|id| ChannelId::new(*id));
                forgotten.for_each(|channel| self.signing.forget(&channel));
                Ok(())
            }
            Committed::Refused { channel, version } => self.begin_again(channel, version).await,
        }
    }

    /// Makes a batch durable, unless it signs what must not be signed.
    async fn commit(&mut self, batch: &Arc<Batch>) -> Result<Committed, Error> {
        if **batch == Batch::default() {
            return Ok(Committed::Stored { unknown: Vec::new() });
        }
        let is_wanted = !batch.wanted.is_empty();
        let kept = Arc::clone(batch);
        let commit = move |desk: &mut Desk, _| desk.recorder.store_mut().commit_channels(&kept);
        let committed = self.keeper.insist(commit).await?;
        if is_wanted {
            self.keeper.nudge();
        }
        if let Committed::Stored { .. } = committed {
            self.effects.durable_signatures(batch.signatures.iter().chain(&batch.adopted));
        }
        Ok(committed)
    }

    async fn carry_out(&mut self, deeds: Vec<Deed>, shown: &[rows::Signature], unknown: &[usize]) {
        for deed in deeds {
            match deed {
                Deed::Disconnect { peer, reason } => self.links.disconnect(&peer, &reason),
                Deed::Refuse { channel, refusal } => {
                    self.waiting.refused(&channel, &refusal.to_string());
                }
                Deed::Send { shows: Some(place), .. } if unknown.contains(&place) => {
                    let text = "a message to a peer would have shown a signature that is not in \
                                the store; it was not sent. Please report this: it is an error \
                                in the program, or the database was changed by hand";
                    self.alarm(text.to_owned()).await;
                }
                Deed::Send { peer, message, shows } => {
                    let shows = shows.and_then(|place| shown.get(place));
                    shows.into_iter().for_each(|signature| self.effects.sent_signature(signature));
                    self.links.send(&peer, *message);
                }
                // It finds the request in the channel, as long as the record waits for it.
                Deed::Sign { channel, device, request } => {
                    tracing::debug!(%channel, device, version = request.state.version, "to sign");
                }
                Deed::Tell { about, notice } => self.tell(about, &notice).await,
            }
        }
    }

    async fn tell(&mut self, about: About, notice: &Notice) {
        self.waiting.told(&about, notice);
        self.news.notify_one();
        let channel = match about {
            About::Channel(channel) => channel.to_string(),
            About::Proposal(proposal) => ChannelId::new(proposal).to_string(),
        };
        match notice {
            Notice::Dispute(reason) => {
                let text = format!("channel {channel} is settled on the ledger: {reason}");
                self.alarm(text).await;
            }
            Notice::Endangered(reason) => {
                self.alarm(format!("channel {channel} is in danger: {reason}")).await;
            }
            Notice::Forged(what) => {
                self.alarm(format!("channel {channel}: the peer sent {what}; nothing was done"))
                    .await;
            }
            Notice::Restored => {
                let text = "comes from a backup: it signs nothing more and is settled";
                self.alarm(format!("channel {channel} {text}")).await;
            }
            notice => tracing::info!(channel, ?notice, "channel"),
        }
    }

    /// Tells of challenges that run out while the ledger shows an older state than ours, or nothing (I3).
    async fn warn(&mut self, now: Now) {
        let silence = self.time.silence(now.ms);
        let endangered = self.node.endangered(now, self.plan.warn_s, silence);
        self.warned.retain(|known| endangered.iter().any(|(channel, _)| channel == known));
        for (channel, notice) in endangered {
            if self.warned.insert(channel) {
                self.tell(About::Channel(channel), &notice).await;
            }
        }
    }

    async fn alarm(&self, text: String) {
        self.keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
    }
}

fn offer(output: &Output) -> Option<[u8; 32]> {
    match output {
        Output::Tell { about: About::Proposal(id), notice: Notice::Offered } => Some(*id),
        _ => None,
    }
}

/// For a state that came without an authorisation: from the peer or the ledger.
fn sign_withdrawal(
    devices: &[(String, DeviceKey)],
    record: &Record,
    amount: Amount,
) -> Option<Signature> {
    let (_, key) = devices.iter().find(|(name, _)| *name == record.device)?;
    match key {
        DeviceKey::Here(key) if key.address() == *record.own_address() => {
            key.sign_withdrawal(&record.withdrawal(amount)).ok()
        }
        DeviceKey::Here(_) | DeviceKey::Away(_) => None,
    }
}
