//! The anchorer: brings checkpoints to the ledger and keeps what proves it.
//!
//! Guarantees: an anchor is in the database before the outbox hears of it, the outbox's records before anything is
//! submitted (I1), and it counts only when it is final and its evidence is kept; until then it is asked for again, also
//! after a restart and when its log is closed. Before the first anchor after a start the newest own anchor on the ledger is
//! compared with the store: one that the store does not know means that this is an old copy, and a log with a new origin
//! begins (design §5). What the channels want of the ledger goes through the same outbox, because an account has one:
//! it waits in the store, in the transaction of the record that wants it, and an anchor that fails does not hold it up.
//! Does not: hold up readings; a ledger that is away for weeks costs only freshness, and the status
//! says how much.
//!
//! Specification: `specs/notary.md` §2, design §4.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sluicegate_ledger::{
    Anchors, Cursor, Error as LedgerError, Event, EventKind, Request,
    fees::Class,
    outbox::{self, Call, Input, News, Notice, Outbox, Output, Record},
};
use sluicegate_notary::{anchoring::UnderWay, entry::Beacon};
use sluicegate_protocol::Digest;
use tokio::{sync::watch, time::timeout};

use crate::{
    Error,
    clock::Clock,
    desk::Desk,
    effects::Effects,
    keeper::Keeper,
    recorder::{Alarm, checkpoint_of},
    store::channels::{Reserve, Wanted},
};

/// `meta` name of the cursor in the ledger's events.
const CURSOR: &str = "event cursor";

/// `meta` name of the unknown anchor that a new log was begun for; it needs no second one.
pub(crate) const FOREIGN: &str = "foreign anchor";

/// Its value from a declared restore on: whatever the ledger's newest anchor is, the new log has answered it.
pub(crate) const EXPECTED: &[u8] = b"expected";

/// Most anchors that the outbox is handed at a time; it holds more.
const MAX_UNDER_WAY: usize = 100;

/// Most requests of channels that are handed over at a time.
const MAX_WANTED: u32 = 100;

/// Longest sleep, so that finality and a returned ledger are noticed.
const NAP: Duration = Duration::from_secs(1);

/// Whether the ledger answered last time, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It answered.
    Reachable,
    /// Nothing was asked yet.
    Unknown,
    /// It did not answer, for this reason.
    Unreachable(String),
}

/// Brings anchors to one ledger.
pub struct Anchorer {
    keeper: Keeper,
    ledger: Arc<dyn Anchors>,
    outbox: Outbox,
    clock: Clock,
    effects: Effects,
    reach: watch::Sender<Reach>,
    compared: bool,
    /// Where the ledger's events were read to.
    cursor: Cursor,
    /// Anchors that are final and lack their evidence, with their blocks.
    unproven: BTreeMap<Digest, u64>,
    /// What is set aside for the disputes of one channel, in base units.
    reserve: u128,
}

impl Anchorer {
    /// Goes on with what the outbox kept.
    pub async fn new(
        keeper: Keeper,
        ledger: Arc<dyn Anchors>,
        settings: outbox::Settings,
        clock: Clock,
        mut effects: Effects,
    ) -> Result<(Self, watch::Receiver<Reach>), Error> {
        let records = keeper.insist(|desk, _| desk.recorder.store().outbox()).await?;
        // The process before this one may have ended between the write and its line in the effects log.
        signed(&records).iter().for_each(|id| effects.durable_submission(id));
        let (outbox, unread) = Outbox::restore(settings, records);
        for (intent, error) in unread {
            let alarm =
                Alarm(format!("outbox record {intent} can't be read and is left out: {error}"));
            keeper.call(move |desk, _| desk.alarm(alarm)).await;
        }
        let cursor = keeper.insist(|desk, _| desk.recorder.store().meta(CURSOR)).await?;
        let (reach, watched) = watch::channel(Reach::Unknown);
        let anchorer = Self {
            keeper,
            ledger,
            outbox,
            clock,
            effects,
            reach,
            compared: false,
            cursor: Cursor(cursor.unwrap_or_default()),
            unproven: BTreeMap::new(),
            reserve: 0,
        };
        Ok((anchorer, watched))
    }

    /// Sets so much aside for the disputes of each channel, in base units.
    #[must_use]
    pub const fn reserving(mut self, reserve: u128) -> Self {
        self.reserve = reserve;
        self
    }

    /// Works until the keeper stops.
    pub async fn run(mut self) {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(Error::Stopping) => return,
                Err(Error::Ledger(error)) => self.unreachable(&error),
                Err(error) => tracing::error!(%error, "anchoring failed and is tried again"),
            }
            let now = self.clock.now().monotonic_ms;
            let nap = self.outbox.next_deadline().map_or(NAP, |deadline| {
                Duration::from_millis(deadline.saturating_sub(now).max(10)).min(NAP)
            });
            let _ = timeout(nap, self.keeper.grown()).await;
        }
    }

    async fn turn(&mut self) -> Result<(), Error> {
        if !self.compared {
            self.compare().await?;
            // After a new log was begun this runs on it, because the store is opened anew before the next job.
            let compared = |desk: &mut Desk, _| {
                desk.compared();
                Ok(())
            };
            self.keeper.insist(compared).await?;
            self.compared = true;
        }
        // A ledger that gives no evidence, say, must not hold up what defends money.
        let anchored = self.anchor().await;
        self.serve_channels().await?;
        anchored?;
        self.prove().await
    }

    async fn anchor(&mut self) -> Result<(), Error> {
        self.resume().await?;
        let due = self.keeper.insist(|desk, now| Ok(desk.anchoring.due(now.monotonic_ms))).await?;
        if due {
            self.begin().await?;
        }
        Ok(())
    }

    /// Drives the outbox, with what the channels want of the ledger: disputes go first there.
    async fn serve_channels(&mut self) -> Result<(), Error> {
        self.set_aside().await?;
        let taken = self.take_wanted().await?;
        let followed = self.follow().await;
        let now = self.clock.now().monotonic_ms;
        self.outbox.handle(now, Input::Tick);
        self.drain().await?;
        if !taken.is_empty() {
            let forget = move |desk: &mut Desk, _| desk.recorder.store_mut().forget_wanted(&taken);
            self.keeper.insist(forget).await?;
        }
        followed
    }

    /// Sets fees aside for channels that began, and gives back those of channels that are over. A crash in between
    /// leaves too much aside, never too little.
    async fn set_aside(&mut self) -> Result<(), Error> {
        let due = self.keeper.insist(|desk, _| {
            let store = desk.recorder.store();
            Ok((store.reserves_due()?, store.open_channels()?))
        });
        let ([begun, over], open) = due.await?;
        let now = self.clock.now().monotonic_ms;
        if !begun.is_empty() {
            let more = self.reserve.saturating_mul(begun.len() as u128);
            self.outbox.handle(now, Input::SetAside(more));
            self.drain().await?;
            self.note_reserves(begun, Reserve::SetAside).await?;
        }
        if !over.is_empty() {
            self.note_reserves(over, Reserve::GivenBack).await?;
            // What the channels that are over have spent is not taken from the others.
            let kept = self.reserve.saturating_mul(u128::from(open));
            let less = self.outbox.budgets().reserve().saturating_sub(kept);
            self.outbox.handle(now, Input::GiveBack(less));
        }
        Ok(())
    }

    async fn note_reserves(&self, ids: Vec<[u8; 32]>, reserve: Reserve) -> Result<(), Error> {
        let note = move |desk: &mut Desk, _| desk.recorder.store_mut().note_reserves(&ids, reserve);
        self.keeper.insist(note).await
    }

    /// Hands the requests of the channels to the outbox, oldest first, while it has room. Gives their places: they are
    /// forgotten when the outbox's records are durable, and one that comes twice is done once.
    async fn take_wanted(&mut self) -> Result<Vec<i64>, Error> {
        let wanted = self.keeper.insist(|desk, _| desk.recorder.store().wanted(MAX_WANTED)).await?;
        let mut taken = Vec::new();
        for (place, bytes, stake) in wanted {
            if let Some(channel) = Wanted::cancelled(&bytes) {
                self.outbox.cancel(|request| is_deposit(request, &channel));
                taken.push(place);
                continue;
            }
            let now = self.clock.now().monotonic_ms;
            let enqueued = Request::decode(&bytes).and_then(|request| {
                let class = request.class(stake);
                self.outbox.enqueue(now, request, class)
            });
            match enqueued {
                Ok(_) => {}
                Err(LedgerError::OutboxFull(_)) => break,
                Err(error) => {
                    let text = format!("a request of a channel can't be made: {error}");
                    self.keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
                }
            }
            taken.push(place);
        }
        Ok(taken)
    }

    /// Is the ledger ahead of the store?
    async fn compare(&self) -> Result<(), Error> {
        let newest = self.ledger.newest().await?;
        self.reachable();
        let Some(newest) = newest else { return Ok(()) };
        let digest = newest.digest;
        let known = self.keeper.insist(move |desk, _| {
            let store = desk.recorder.store();
            let foreign = store.meta(FOREIGN)?.unwrap_or_default();
            if foreign == EXPECTED {
                store.set_meta(FOREIGN, digest.as_bytes())?;
                return Ok(true);
            }
            Ok(foreign == digest.as_bytes() || store.anchor(&digest)?.is_some())
        });
        if known.await? {
            return Ok(());
        }
        let reason = format!(
            "the ledger holds an anchor of this account that the store does not know ({digest}): \
             the state is an old copy, or another gateway uses the same account"
        );
        let begin = move |desk: &mut Desk, _| {
            desk.recorder.store().set_meta(FOREIGN, digest.as_bytes())?;
            desk.begin_new_log(&reason)
        };
        self.keeper.insist(begin).await
    }

    /// Reads the ledger's events from where it stopped; those of the own account hurry the outbox on.
    async fn follow(&mut self) -> Result<(), Error> {
        let own = self.ledger.description().account.clone();
        loop {
            let page = match self.ledger.events(&self.cursor).await {
                Err(LedgerError::CursorUnknown) if !self.cursor.0.is_empty() => {
                    tracing::warn!("this ledger does not know where its events were read to: anew");
                    self.cursor = Cursor::default();
                    continue;
                }
                page => page?,
            };
            self.reachable();
            if page.events.is_empty() {
                return Ok(());
            }
            for Event { kind, block, finality, .. } in &page.events {
                if let EventKind::Anchored { digest, account } = kind {
                    if *account != own {
                        continue;
                    }
                    tracing::debug!(%digest, block = block.number, ?finality, "event");
                }
                self.outbox.handle(self.clock.now().monotonic_ms, Input::Moved);
            }
            let cursor = page.next.0.clone();
            let keep = move |desk: &mut Desk, _| desk.recorder.store().set_meta(CURSOR, &cursor);
            self.keeper.insist(keep).await?;
            self.cursor = page.next;
        }
    }

    /// Hands the anchors of all logs that are under way to the outbox: one that it still has is the same intent, and
    /// of one that it forgot, because it was final and its evidence was not kept yet, it tells again.
    async fn resume(&mut self) -> Result<(), Error> {
        let under_way =
            self.keeper.insist(|desk, _| desk.recorder.store().anchors_under_way(MAX_UNDER_WAY));
        for digest in under_way.await? {
            if !self.unproven.contains_key(&digest) {
                self.enqueue(digest)?;
            }
        }
        Ok(())
    }

    /// Beacon, checkpoint, record, outbox.
    async fn begin(&mut self) -> Result<(), Error> {
        let block = self.ledger.head().await?.finalised;
        self.reachable();
        let ledger = self.ledger.description().ledger.as_str().to_owned();
        let beacon = Beacon { ledger, number: block.number, hash: block.hash };
        let append = move |desk: &mut Desk, now| {
            desk.recorder.append_beacon(now, beacon.clone());
            Ok(())
        };
        self.keeper.insist(append).await?;
        let (size, note) = self.keeper.checkpoint().await?;
        let digest = checkpoint_of(&note)?.digest();
        let begun = self.keeper.insist(move |desk, now| {
            // The store may have been opened anew since, as another log: its checkpoint will come.
            if checkpoint_of(&note)?.origin != desk.recorder.open_log().origin {
                return Ok(false);
            }
            desk.recorder.store().begin_anchor(&digest, size, &note, now.wall.ms)?;
            desk.anchoring.started(now.monotonic_ms, UnderWay { digest, size });
            Ok(true)
        });
        if !begun.await? {
            return Ok(());
        }
        tracing::info!(size, %digest, "anchoring");
        self.enqueue(digest)
    }

    fn enqueue(&mut self, digest: Digest) -> Result<(), Error> {
        let now = self.clock.now().monotonic_ms;
        self.outbox.enqueue(now, Request::Anchor(digest), Class::Routine)?;
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), Error> {
        while let Some(output) = self.outbox.poll_output() {
            match output {
                Output::Persist { write, puts, deletes } => {
                    self.persist(write, puts, deletes).await?
                }
                Output::Call { ticket, call } => self.call(ticket, call).await,
                Output::Notify(notice) => self.notice(notice).await?,
            }
        }
        Ok(())
    }

    async fn persist(
        &mut self,
        write: u64,
        puts: Vec<(u64, Vec<u8>)>,
        deletes: Vec<u64>,
    ) -> Result<(), Error> {
        let signed = signed(&puts);
        let write_records =
            move |desk: &mut Desk, _| desk.recorder.store_mut().write_outbox(&puts, &deletes);
        self.keeper.insist(write_records).await?;
        signed.iter().for_each(|id| self.effects.durable_submission(id));
        self.outbox.handle(self.clock.now().monotonic_ms, Input::Persisted(write));
        Ok(())
    }

    async fn call(&mut self, ticket: u64, call: Call) {
        if let Call::Submit(signed) = &call {
            self.effects.sent_submission(&signed.id.0);
        }
        let result = outbox::perform(&*self.ledger, &call).await;
        match &result {
            Err(error @ (LedgerError::Unreachable(_) | LedgerError::Unavailable(_))) => {
                self.unreachable(error);
            }
            _ => self.reachable(),
        }
        let now = self.clock.now().monotonic_ms;
        self.outbox.handle(now, Input::Answer { ticket, result });
    }

    async fn notice(&mut self, Notice { request, news, .. }: Notice) -> Result<(), Error> {
        let Request::Anchor(digest) = request else {
            self.channel_notice(&request, &news).await;
            return Ok(());
        };
        match news {
            News::Final { block, .. } => {
                self.unproven.insert(digest, block.number);
            }
            News::Failed(error) => {
                let reason = error.to_string();
                let failed = self.keeper.insist(move |desk, now| {
                    desk.recorder.store().fail_anchor(&digest, &reason)?;
                    desk.anchoring.failed(now.monotonic_ms, &digest);
                    desk.alarm(Alarm(format!("the anchor {digest} failed: {reason}")));
                    Ok(())
                });
                failed.await?;
            }
            News::Blocked(error) => {
                let alarm = Alarm(format!("the anchor {digest} waits: {error}"));
                self.keeper.call(move |desk, _| desk.alarm(alarm)).await;
            }
            News::Retracted => {
                tracing::warn!(%digest, "a reorg took the anchor back; it is submitted again");
            }
            News::Seen { block, .. } => {
                tracing::info!(%digest, block = block.number, "anchor seen")
            }
        }
        Ok(())
    }

    /// What the channels need to know of it comes as an event of the ledger.
    async fn channel_notice(&self, request: &Request, news: &News) {
        let what = described(request);
        let text = match news {
            News::Failed(error) => format!(
                "{what} failed: {error}. `sluicegate channel list` shows how the channel stands, \
                 `sluicegate channel dispute` tries again"
            ),
            News::Blocked(error) => format!("{what} waits: {error}"),
            News::Final { block, .. } => {
                return tracing::info!(what, block = block.number, "done on the ledger");
            }
            News::Seen { block, .. } => {
                return tracing::info!(what, block = block.number, "seen on the ledger");
            }
            News::Retracted => return tracing::warn!(what, "a reorg took it back; it comes again"),
        };
        self.keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
    }

    /// Fetches evidence of final anchors and of beacons, and keeps it.
    async fn prove(&mut self) -> Result<(), Error> {
        while let Some((digest, block)) = self.unproven.first_key_value().map(|(d, b)| (*d, *b)) {
            let evidence = self.ledger.anchor_evidence(&digest).await?.to_bytes();
            let kept = self.keeper.insist(move |desk, now| {
                let store = desk.recorder.store();
                store.finish_anchor(&digest, block, Some(&evidence), now.wall.ms)?;
                desk.anchoring.finalised(&digest);
                Ok(())
            });
            kept.await?;
            self.unproven.remove(&digest);
            tracing::info!(%digest, block, "anchored");
        }
        let beacons = self.keeper.insist(|desk, _| {
            let log = desk.recorder.open_log().number;
            Ok((log, desk.recorder.store().unproven_beacons()?))
        });
        let (log, beacons) = beacons.await?;
        for (index, number) in beacons {
            let evidence = self.ledger.block_evidence(number).await?.to_bytes();
            let keep = move |desk: &mut Desk, _| match desk.recorder.open_log().number == log {
                true => desk.recorder.store().prove_beacon(index, &evidence),
                false => Ok(()),
            };
            self.keeper.insist(keep).await?;
        }
        Ok(())
    }

    fn reachable(&self) {
        self.reach.send_if_modified(|reach| {
            let changed = *reach != Reach::Reachable;
            if changed {
                tracing::info!("the ledger answers");
            }
            *reach = Reach::Reachable;
            changed
        });
    }

    fn unreachable(&self, error: &LedgerError) {
        let now = Reach::Unreachable(error.to_string());
        self.reach.send_if_modified(|reach| {
            let changed = *reach != now;
            if changed {
                tracing::warn!(%error, "the ledger can't be used; readings go on, anchors wait");
            }
            *reach = now;
            changed
        });
    }
}

fn is_deposit(request: &Request, channel: &[u8; 32]) -> bool {
    matches!(request, Request::Deposit(deposit) if deposit.channel.as_bytes() == channel)
}

/// A request of a channel, as people call it.
fn described(request: &Request) -> String {
    let (what, channel) = match request {
        Request::Anchor(digest) => return format!("the anchor {digest}"),
        Request::Conclude(c) => ("the conclusion", c.state.channel),
        Request::ConcludeFinal(claim) => ("the conclusion", claim.signed.state.channel),
        Request::Deposit(deposit) => ("the deposit", deposit.channel),
        Request::Progress(step) => ("the step", step.new.channel),
        Request::Register(r) => ("the registration", r.root.signed.state.channel),
        Request::Withdraw(withdrawal) => ("the withdrawal", withdrawal.authorisation.channel),
    };
    format!("{what} of channel {channel}")
}

/// The signed transactions in records of the outbox.
fn signed(records: &[(u64, Vec<u8>)]) -> Vec<Digest> {
    let records = records.iter().filter_map(|(_, bytes)| Record::decode(bytes).ok());
    records.flat_map(|record| record.attempts).map(|attempt| attempt.id.0).collect()
}
