//! The keeper: the one thread that owns log, files and database.
//!
//! Guarantees: everything that touches the store happens here, in the order in which it came; a reading's answer is sent
//! after its leaf is durable, and a commit that is due waits for no more than one command. After a storage failure all
//! waiting readings get an error, and the store is opened anew from what is durable, again and again until it works. Does
//! not: block its callers; a full queue is refused as busy.
//!
//! Order of calls: [`Keeper::start`], then [`Keeper::submit`], [`Keeper::call`], [`Keeper::checkpoint`], and
//! [`Keeper::stop`], which commits what waits and publishes a last checkpoint.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use sluicegate_notary::log::{Acknowledgement, Now, Submission};
use tokio::sync::{Notify, oneshot};

use crate::{
    Error,
    desk::{Desk, Setup},
};

/// Why a reading was not logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too much waits already; the device tries again later.
    #[error("the gateway is busy, try again later")]
    Busy,
    /// The reading broke a rule.
    #[error(transparent)]
    Rule(#[from] sluicegate_notary::Error),
    /// The store failed or the gateway stops; the device sends again.
    #[error("the gateway could not store the reading, send it again")]
    Store,
}

/// Answer to a submitted reading.
pub type Reply = oneshot::Sender<Result<Acknowledgement, Refusal>>;

/// Answer to a wish for a checkpoint: its size and note.
pub type CheckpointReply = oneshot::Sender<(u64, String)>;

type Job = Box<dyn FnOnce(&mut Desk, Now) + Send>;

enum Command {
    Call(Job),
    Checkpoint(CheckpointReply),
    Stop,
    Submit(Submission, Reply),
}

/// A handle on the keeper's thread.
#[derive(Clone)]
pub struct Keeper {
    commands: mpsc::Sender<Command>,
    queued: Arc<AtomicUsize>,
    limit: usize,
    grown: Arc<Notify>,
    ended: Arc<Ended>,
}

/// That the thread is gone, however it went.
#[derive(Default)]
struct Ended {
    is_so: AtomicBool,
    told: Notify,
}

/// Tells it when the thread is left, by a panic too.
struct TellEnd(Arc<Ended>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        self.0.is_so.store(true, Ordering::Release);
        self.0.told.notify_one();
    }
}

/// One of those who wait, until it is dropped: whoever gives up waiting too.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    /// Gives how many waited before.
    fn take(queued: &'a AtomicUsize) -> (usize, Self) {
        (queued.fetch_add(1, Ordering::Relaxed), Self(queued))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Longest sleep of the thread, so that timers are looked at.
const NAP: Duration = Duration::from_millis(500);

/// Most commands that are taken before commits and timers are looked at.
const ROUND: usize = 64;

/// Pause before a failed store is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

impl Keeper {
    /// Opens the store on a thread of its own.
    pub fn start(setup: Setup) -> Result<(Self, thread::JoinHandle<()>), Error> {
        let (commands, inbox) = mpsc::channel();
        let (ready, opened) = mpsc::channel();
        let (queued, grown) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (limit, ended) = (setup.plan.max_pending, Arc::new(Ended::default()));
        let keeper = Self {
            commands,
            queued: queued.clone(),
            limit,
            grown: grown.clone(),
            ended: ended.clone(),
        };
        let run = move || {
            let _tell = TellEnd(ended);
            match Desk::open(setup) {
                Ok(desk) => {
                    let _ = ready.send(Ok(()));
                    Thread { desk, inbox, queued, grown }.run();
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        };
        let thread = thread::Builder::new().name("keeper".into()).spawn(run);
        let thread = thread.map_err(Error::storage("starting the keeper's thread"))?;
        let gone = || Err(Error::Damaged("the keeper's thread ended at its start".to_owned()));
        opened.recv().unwrap_or_else(|_| gone()).map(|()| (keeper, thread))
    }

    /// Logs a reading; answers when it is durable. The ticket of the submission is set here.
    pub async fn submit(&self, submission: Submission) -> Result<Acknowledgement, Refusal> {
        let (waiting, place) = Place::take(&self.queued);
        if waiting >= self.limit {
            return Err(Refusal::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Submit(submission, reply));
        let answer = match sent {
            Ok(()) => answer.await.unwrap_or(Err(Refusal::Store)),
            Err(_) => Err(Refusal::Store),
        };
        drop(place);
        answer
    }

    /// Runs something on the keeper's thread, with everything that it owns; `None` when the keeper has stopped.
    pub async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Desk, Now) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let job = move |desk: &mut Desk, now: Now| {
            let _ = reply.send(job(desk, now));
        };
        self.commands.send(Command::Call(Box::new(job))).ok()?;
        answer.await.ok()
    }

    /// Runs something that must not be lost, again and again until it succeeds; an error means the keeper stopped.
    pub async fn insist<T: Send + 'static>(
        &self,
        job: impl Fn(&mut Desk, Now) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        loop {
            match self.call(job.clone()).await {
                Some(Ok(value)) => return Ok(value),
                Some(Err(error)) => tracing::error!(%error, "the store failed and is asked again"),
                None if self.ended.is_so.load(Ordering::Acquire) => return Err(Error::Stopping),
                None => {}
            }
            tokio::time::sleep(REOPEN_PAUSE).await;
        }
    }

    /// A checkpoint over all that is logged so far, durable and free to be shown.
    pub async fn checkpoint(&self) -> Result<(u64, String), Error> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Checkpoint(reply));
        sent.map_err(|_| Error::Stopping)?;
        answer.await.map_err(|_| match self.ended.is_so.load(Ordering::Acquire) {
            true => Error::Stopping,
            false => Error::NotFound("no checkpoint: the store is being opened again".to_owned()),
        })
    }

    /// Resolves when the thread is gone; without it nothing can be logged.
    pub async fn ended(&self) {
        self.ended.told.notified().await;
    }

    /// Wakes who waits for [`Keeper::grown`]: there is something for the ledger.
    pub fn nudge(&self) {
        self.grown.notify_one();
    }

    /// Resolves when the log grew since the last call, or somebody nudged.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }

    /// Commits what waits, publishes a checkpoint, ends the thread.
    pub fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
    }
}

/// The thread's side.
struct Thread {
    desk: Desk,
    inbox: mpsc::Receiver<Command>,
    queued: Arc<AtomicUsize>,
    grown: Arc<Notify>,
}

impl Thread {
    fn run(mut self) {
        loop {
            let nap = self.desk.next_deadline().map_or(NAP, |left| left.min(NAP));
            let mut command = self.inbox.recv_timeout(nap);
            let mut taken = 0;
            while let Ok(next) = command {
                if matches!(next, Command::Stop) {
                    return self.finish();
                }
                self.take(next);
                taken += 1;
                command = match taken < ROUND && self.may_go_on() {
                    true => self.inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout),
                    false => Err(RecvTimeoutError::Timeout),
                };
            }
            if matches!(command, Err(RecvTimeoutError::Disconnected)) {
                return self.finish();
            }
            self.desk.handle_timers();
            if self.drive().is_break() {
                return;
            }
        }
    }

    /// What comes next must not meet a store that failed, and nobody's commit waits for it.
    fn may_go_on(&self) -> bool {
        !self.desk.has_failed() && self.desk.next_deadline() != Some(Duration::ZERO)
    }

    fn take(&mut self, command: Command) {
        let now = self.desk.now();
        match command {
            Command::Call(job) => job(&mut self.desk, now),
            Command::Checkpoint(reply) => self.desk.want_checkpoint(reply),
            Command::Submit(submission, reply) => self.desk.submit(now, submission, reply),
            Command::Stop => {}
        }
    }

    fn drive(&mut self) -> ControlFlow<()> {
        match self.desk.drive() {
            Ok(true) => self.grown.notify_one(),
            Ok(false) => {}
            Err(error) => return self.reopen(&error),
        }
        ControlFlow::Continue(())
    }

    /// Goes on from what is durable, unless it is told to stop first; what waited is told to come again.
    fn reopen(&mut self, error: &Error) -> ControlFlow<()> {
        tracing::error!(%error, queued = self.queued.load(Ordering::Relaxed), "the store failed");
        self.desk.fail_waiting();
        loop {
            match self.desk.reopen(error) {
                Ok(()) => {
                    tracing::info!("the store is open again");
                    return ControlFlow::Continue(());
                }
                Err(error) => tracing::error!(%error, "the store can't be opened"),
            }
            thread::sleep(REOPEN_PAUSE);
            // Meanwhile everything is refused at once, and a wish to stop is heard.
            while let Ok(command) = self.inbox.try_recv() {
                match command {
                    Command::Stop => return ControlFlow::Break(()),
                    Command::Submit(_, reply) => drop(reply.send(Err(Refusal::Store))),
                    Command::Call(_) | Command::Checkpoint(_) => {}
                }
            }
        }
    }

    fn finish(mut self) {
        if let Err(error) = self.desk.finish() {
            tracing::error!(%error, "the last commit failed; unacknowledged readings will be sent again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::testing::{self, run};

    fn submission(seq: u64) -> Submission {
        Submission {
            ticket: 0,
            device: "meter-1".to_owned(),
            class: "default".to_owned(),
            seq: Some(seq),
            format: 110,
            payload: br#"[{"n":"power","v":1}]"#.to_vec(),
        }
    }

    #[test]
    fn who_gives_up_waiting_leaves_no_place_behind() {
        let place = testing::Place::new("[[device]]\nname = \"meter-1\"\n");
        run(async {
            let parts = place.open();
            for seq in 0..10 {
                let mut logged = std::pin::pin!(parts.keeper.submit(submission(seq)));
                std::future::poll_fn(|context| {
                    let _ = logged.as_mut().poll(context);
                    Poll::Ready(())
                })
                .await;
            }
            assert_eq!(parts.keeper.queued.load(Ordering::Relaxed), 0);
            parts.close();
        });
    }

    #[test]
    fn who_asks_without_end_holds_up_nobodys_commit() {
        let place = testing::Place::new("[[device]]\nname = \"meter-1\"\n");
        run(async {
            let parts = place.open();
            let slow = |_: &mut Desk, _| thread::sleep(Duration::from_millis(2));
            for _ in 0..16 {
                let keeper = parts.keeper.clone();
                let asks = async move { while keeper.call(slow).await.is_some() {} };
                tokio::task::spawn_local(asks);
            }
            for seq in 0..10 {
                let logged = parts.keeper.submit(submission(seq));
                let logged = tokio::time::timeout(Duration::from_secs(2), logged).await;
                logged.expect("in time").unwrap();
            }
            parts.close();
        });
    }
}
