//! The outbox: what the gateway publishes, durable until the broker has acknowledged it.
//!
//! Guarantees: [`Outbox::put`] resolves when the publication is durable; publications go out in the order of their
//! ids, and again after a restart, a lost connection or a rebuilt client, until [`Outbox::acknowledged`]; what is
//! ready at the same time is written in one transaction. A command is not published after its deadline, by the
//! monotonic clock, and waits here only once. Bounded: the oldest answers to readings give way first, because a
//! device that lacks one sends its reading again. Does not: speak MQTT; [`super::connection`] does.
//!
//! Order of calls: [`Outbox::load`]; [`Outbox::write`] runs all the time; [`Outbox::restart`] at each new
//! connection, then [`Outbox::next`].

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use crate::{Error, clock::Clock, keeper::Keeper, store::publications::Publication};

/// How long acknowledged rows may stay when nothing else is written.
const TIDY: Duration = Duration::from_secs(1);

/// A durable publication.
struct Row {
    publication: Publication,
    /// When it is no longer published, in monotonic milliseconds.
    expires_ms: Option<u64>,
}

/// What waits to become durable, and who waits for it.
type Entering = (Publication, oneshot::Sender<()>);

#[derive(Default)]
struct State {
    rows: BTreeMap<u64, Row>,
    /// Rows up to this id were handed to the connection.
    handed: u64,
    entering: VecDeque<Entering>,
    /// Rows that are still in the database and no longer here.
    leaving: Vec<u64>,
    /// Answers that gave way.
    dropped: u64,
}

/// Everything that waits for the broker.
pub(super) struct Outbox {
    keeper: Keeper,
    clock: Clock,
    limit: usize,
    state: RefCell<State>,
    entered: Notify,
    grown: Notify,
}

/// What goes to the broker now.
pub(super) struct Next {
    /// Of the row.
    pub(super) id: u64,
    /// Where to and what.
    pub(super) publication: Publication,
    /// The broker keeps it for so many seconds at most.
    pub(super) expiry_s: Option<u32>,
}

impl Outbox {
    /// Goes on with what the store holds.
    pub(super) async fn load(keeper: Keeper, clock: Clock, limit: usize) -> Result<Self, Error> {
        let stored = keeper.insist(|desk, _| desk.recorder.store().publications()).await?;
        let (entered, grown) = (Notify::new(), Notify::new());
        let outbox = Self { keeper, clock, limit, state: RefCell::default(), entered, grown };
        let ids = stored.iter().map(|(id, _)| *id).collect();
        outbox.add(ids, stored.into_iter().map(|(_, publication)| publication).collect());
        Ok(outbox)
    }

    /// Keeps a publication; it is durable when this resolves. `false` when the store is gone.
    pub(super) async fn put(&self, publication: Publication) -> bool {
        if publication.until_ms.is_some() && self.holds(&publication) {
            return true;
        }
        let (durable, told) = oneshot::channel();
        self.state.borrow_mut().entering.push_back((publication, durable));
        self.entered.notify_one();
        told.await.is_ok()
    }

    /// Writes what enters and leaves until it is dropped.
    pub(super) async fn write(&self) {
        let mut tidy = tokio::time::interval(TIDY);
        loop {
            tokio::select! {
                () = self.entered.notified() => {}
                _ = tidy.tick() => {}
            }
            // Whatever else is ready at this moment shares the transaction.
            tokio::task::yield_now().await;
            if self.write_once().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The next publication that was not handed out since [`Outbox::restart`].
    pub(super) fn next(&self) -> Option<Next> {
        let now_ms = self.clock.now().monotonic_ms;
        let mut state = self.state.borrow_mut();
        loop {
            let (&id, row) = state.rows.range(state.handed + 1..).next()?;
            let left_ms = row.expires_ms.map(|expires| expires.saturating_sub(now_ms));
            let publication = row.publication.clone();
            state.handed = id;
            // The broker counts in whole seconds, and takes 0 for no time at all.
            let expiry_s = left_ms.map(|left| u32::try_from(left / 1_000).unwrap_or(u32::MAX));
            if expiry_s != Some(0) {
                return Some(Next { id, publication, expiry_s });
            }
            state.forget(id);
        }
    }

    /// The broker has it.
    pub(super) fn acknowledged(&self, id: u64) {
        self.state.borrow_mut().forget(id);
    }

    /// Nothing is with the broker any more; all goes out again.
    pub(super) fn restart(&self) {
        self.state.borrow_mut().handed = 0;
    }

    /// Resolves when there was something new since the last call.
    pub(super) async fn grown(&self) {
        self.grown.notified().await;
    }

    /// How many publications wait, and how many answers gave way.
    pub(super) fn told(&self) -> (usize, u64) {
        let state = self.state.borrow();
        (state.rows.len() + state.entering.len(), state.dropped)
    }

    fn holds(&self, publication: &Publication) -> bool {
        self.state.borrow().rows.values().any(|row| row.publication == *publication)
    }

    async fn write_once(&self) -> Result<(), Error> {
        let (publications, waiting, leaving) = {
            let mut state = self.state.borrow_mut();
            let (publications, waiting): (Vec<_>, Vec<_>) = state.entering.drain(..).unzip();
            (publications, waiting, std::mem::take(&mut state.leaving))
        };
        if publications.is_empty() && leaving.is_empty() {
            return Ok(());
        }
        let rows = publications.clone();
        let written = self
            .keeper
            .insist(move |desk, _| desk.recorder.store_mut().change_publications(&rows, &leaving));
        let ids = written.await?;
        self.add(ids, publications);
        for durable in waiting {
            let _ = durable.send(());
        }
        Ok(())
    }

    fn add(&self, ids: Vec<u64>, publications: Vec<Publication>) {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        for (id, publication) in ids.into_iter().zip(publications) {
            let left = publication.until_ms.map(|until| until.saturating_sub(now.wall.ms));
            let expires_ms = left.map(|left| now.monotonic_ms.saturating_add(left));
            state.rows.insert(id, Row { publication, expires_ms });
        }
        while state.rows.len() > self.limit {
            state.give_way();
        }
        self.grown.notify_one();
    }
}

impl State {
    fn forget(&mut self, id: u64) {
        if self.rows.remove(&id).is_some() {
            self.leaving.push(id);
        }
    }

    /// The oldest answer, or the oldest command where there are only commands.
    fn give_way(&mut self) {
        let is_answer = |row: &Row| row.expires_ms.is_none();
        let answer = self.rows.iter().find(|(_, row)| is_answer(row)).map(|(id, _)| *id);
        let oldest = self.rows.first_key_value().map(|(id, _)| *id);
        if let Some(id) = answer.or(oldest) {
            self.forget(id);
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests;
