//! What the channels read of the ledger: its time, and its events from where they stopped.
//!
//! Guarantees: ledger time never goes back and does not run ahead of the ledger; the next page is read when the one
//! before is durable with all that it caused. Does not: ask the ledger to do anything; the outbox does.

use std::{sync::Arc, time::Duration};

use sluicegate_channels::node::Silence;
use sluicegate_ledger::{Channels as Ledger, Cursor, Error as LedgerError, Event};
use tokio::sync::{mpsc, oneshot};

use super::Input;

/// Ledger time between two looks at the ledger.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LedgerTime {
    head_ms: u64,
    seen_ms: u64,
    newest_ms: u64,
    /// When it was read last, monotonic.
    read_ms: Option<u64>,
}

impl LedgerTime {
    /// The newest block has this time; `now_ms` is monotonic.
    pub(super) fn head(&mut self, time_ms: u64, now_ms: u64) {
        self.read_ms = Some(now_ms);
        if time_ms != self.head_ms {
            (self.head_ms, self.seen_ms) = (time_ms, now_ms);
        }
    }

    /// How long it was not read; `now_ms` is monotonic and counts from the start of the process.
    pub(super) fn silence(&self, now_ms: u64) -> Silence {
        let since_ms = self.read_ms.unwrap_or(0);
        let seconds = now_ms.saturating_sub(since_ms) / 1_000;
        Silence { seconds, is_from_start: self.read_ms.is_none() }
    }

    /// Seconds of ledger time; none before the first look.
    pub(super) fn seconds(&mut self, now_ms: u64) -> Option<u64> {
        let passed = now_ms.saturating_sub(self.seen_ms);
        self.newest_ms = self.newest_ms.max(self.head_ms.saturating_add(passed));
        (self.head_ms > 0).then_some(self.newest_ms / 1_000)
    }
}

/// Events behind a cursor, the time of the newest block, and what the account holds.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) events: Vec<Event>,
    pub(super) next: Cursor,
    pub(super) time_ms: u64,
    /// What the own account holds, if the ledger says so.
    pub(super) balance: Option<u128>,
    /// The events begin anew: the ledger does not know the cursor.
    pub(super) is_anew: bool,
}

/// Reads the next page; an unknown cursor begins anew, because this is another ledger than before.
pub(super) async fn read(ledger: &dyn Ledger, from: &Cursor) -> Result<Page, LedgerError> {
    let time_ms = ledger.head().await?.time_ms;
    // Events are read all the same: what they say may be urgent (I3).
    let balance = ledger.account().await.ok().map(|account| account.balance);
    let (page, is_anew) = match ledger.events(from).await {
        Err(LedgerError::CursorUnknown) if !from.0.is_empty() => {
            tracing::warn!("this ledger does not know where its events were read to: anew");
            (ledger.events(&Cursor::default()).await?, true)
        }
        page => (page?, false),
    };
    Ok(Page { events: page.events, next: page.next, time_ms, balance, is_anew })
}

/// Goes on reading and hands over each page, until nobody takes it.
pub(super) async fn follow(
    ledger: Arc<dyn Ledger>,
    mut cursor: Cursor,
    pause: Duration,
    inputs: mpsc::Sender<Input>,
) {
    loop {
        let page = match read(&*ledger, &cursor).await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "the ledger's events can't be read");
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        let (was_empty, next) = (page.events.is_empty(), page.next.clone());
        let (done, kept) = oneshot::channel();
        if inputs.send(Input::Ledger(page, done)).await.is_err() {
            return;
        }
        // A page that was not kept is read again.
        if kept.await.is_ok() {
            cursor = next;
        }
        if was_empty {
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_newest_look_or_the_start() {
        let mut time = LedgerTime::default();
        assert_eq!(time.silence(9_500), Silence { seconds: 9, is_from_start: true });
        time.head(5, 10_000);
        assert_eq!(time.silence(14_000), Silence { seconds: 4, is_from_start: false });
        // The same block again is a look, too.
        time.head(5, 14_000);
        assert_eq!(time.silence(14_500), Silence { seconds: 0, is_from_start: false });
    }
}
