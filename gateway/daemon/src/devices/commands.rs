//! Commands to devices: kept, logged, delivered until the device answers or the deadline passes, and their end logged.
//!
//! Guarantees: a command is durable and logged before it is sent (I1); it is sent again and again under the same id, so
//! that a device which knows ids acts once (I6); a device gets one command at a time, in the order in which they were made;
//! a sleeping device gets it with its next contact; the result is logged before it is told. A step of the wall clock
//! moves no deadline while the process runs. Does not: speak CoAP or MQTT; deliverers do, one for each transport.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    time::Duration,
};

use sluicegate_notary::log::{Now, Submission};
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    Registry,
    contacts::{Contacts, Transport},
    record::{Command, Outcome, Record},
};
use crate::{Error, clock::Clock, credentials, keeper::Keeper};

/// Pause before a command is sent again to a device that says nothing.
const RETRY_MS: u64 = 20_000;

/// Pause before a command is sent again to a device that speaks, but not of the command.
const AGAIN_MS: u64 = 2_000;

/// Most commands that wait for one device.
const MAX_WAITING: usize = 32;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Bits of a command's id: JSON readers take no more than 53.
const ID_MASK: u64 = (1 << 48) - 1;

/// A command on its way to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// To whom.
    pub device: String,
    /// What.
    pub command: Command,
}

/// What a deliverer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The device carried it out, or refused it for good.
    Done {
        /// It was carried out.
        ok: bool,
        /// What the device said.
        detail: String,
    },
    /// It is on its way; the device's answer comes through [`Commands::result`].
    Sent,
    /// The device does not answer now.
    Unreachable,
}

/// A deliverer's inbox.
pub type Deliverer = mpsc::Sender<(Order, oneshot::Sender<Answer>)>;

/// Where commands of each transport go.
#[derive(Clone, Default)]
pub struct Deliverers {
    /// To devices that speak CoAP.
    pub coap: Option<Deliverer>,
    /// To devices that speak MQTT.
    pub mqtt: Option<Deliverer>,
}

/// A command that has not ended.
struct Waiting {
    command: Command,
    /// When it expires, in monotonic milliseconds.
    expires_ms: u64,
    logged: bool,
    /// Nothing is tried before this time, unless the device gives a sign of life.
    next_ms: u64,
    /// When it was last sent.
    sent_ms: Option<u64>,
    /// Its end is being logged; a repeated result changes nothing.
    ending: bool,
    teller: Option<oneshot::Sender<Outcome>>,
}

/// All commands under way; clones share them.
#[derive(Clone)]
pub struct Commands {
    keeper: Keeper,
    registry: Registry,
    contacts: Contacts,
    clock: Clock,
    queues: Rc<RefCell<BTreeMap<String, VecDeque<Waiting>>>>,
    /// Devices with a delivery under way.
    busy: Rc<RefCell<BTreeSet<String>>>,
    woken: Rc<Notify>,
}

impl Commands {
    /// Goes on with what the store holds.
    pub async fn load(
        keeper: Keeper,
        registry: Registry,
        contacts: Contacts,
        clock: Clock,
    ) -> Result<Self, Error> {
        let stored = keeper.insist(|desk, _| desk.recorder.store().waiting_commands()).await?;
        let commands = Self {
            keeper,
            registry,
            contacts,
            clock,
            queues: Rc::default(),
            busy: Rc::default(),
            woken: Rc::default(),
        };
        for row in stored {
            let waiting = commands.waiting(row.command, row.logged.is_some(), None);
            commands.queues.borrow_mut().entry(row.device).or_default().push_back(waiting);
        }
        Ok(commands)
    }

    /// Takes a command that is valid for `valid_ms`; gives its id, and later its outcome.
    pub async fn act(
        &self,
        device: &str,
        resource: &str,
        value: &str,
        valid_ms: u64,
    ) -> Result<(u64, oneshot::Receiver<Outcome>), String> {
        self.check(device, resource, value)?;
        let now = self.clock.now();
        let until_ms = now.wall.ms.saturating_add(valid_ms);
        let (resource, value) = (resource.to_owned(), value.to_owned());
        let command = self.keep(device, Command { id: 0, resource, value, until_ms }).await?;
        let (teller, outcome) = oneshot::channel();
        let id = command.id;
        let waiting = self.waiting(command, false, Some(teller));
        self.queues.borrow_mut().entry(device.to_owned()).or_default().push_back(waiting);
        self.woken.notify_one();
        Ok((id, outcome))
    }

    /// A device told what became of a command.
    pub async fn result(&self, device: &str, id: u64, ok: bool, detail: &str) {
        let known = self.queues.borrow().get(device).is_some_and(|queue| {
            queue.iter().any(|waiting| waiting.command.id == id && waiting.sent_ms.is_some())
        });
        if known {
            self.end(device, id, ok, detail).await;
        }
    }

    /// Delivers until it is dropped.
    pub async fn run(self, deliverers: Deliverers) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = self.woken.notified() => {}
                () = self.contacts.changed() => {}
                _ = tick.tick() => {}
            }
            self.start_due(&deliverers);
        }
    }

    fn check(&self, device: &str, resource: &str, value: &str) -> Result<(), String> {
        if self.registry.get(device).is_none() {
            return Err(format!("no device {device:?} is enrolled"));
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let whole =
            (1..=64).contains(&resource.len()) && resource.split('/').all(|s| !s.is_empty());
        if !whole || !resource.chars().all(valid) {
            return Err(format!("resource {resource:?} is no path of A-Z a-z 0-9 - _ . and /"));
        }
        if value.len() > 512 {
            return Err("the value is longer than 512 bytes".to_owned());
        }
        match self.queues.borrow().get(device).is_some_and(|queue| queue.len() >= MAX_WAITING) {
            true => Err(format!("{MAX_WAITING} commands wait for {device} already")),
            false => Ok(()),
        }
    }

    /// Gives the command an id that was never used, durably.
    async fn keep(&self, device: &str, command: Command) -> Result<Command, String> {
        let device = device.to_owned();
        let job = move |desk: &mut crate::desk::Desk, now: Now| loop {
            let random = credentials::random().map_err(|error| error.to_string())?;
            let id = u64::from_be_bytes(random[..8].try_into().unwrap_or_default()) & ID_MASK;
            let command = Command { id, ..command.clone() };
            let kept = desk.recorder.store().insert_command(&device, &command, now.wall.ms);
            match kept {
                Ok(true) if id != 0 => return Ok(command),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        };
        self.keeper.call(job).await.unwrap_or_else(|| Err("the store is not open".to_owned()))
    }

    fn waiting(
        &self,
        command: Command,
        logged: bool,
        teller: Option<oneshot::Sender<Outcome>>,
    ) -> Waiting {
        let now = self.clock.now();
        let left = command.until_ms.saturating_sub(now.wall.ms);
        let expires_ms = now.monotonic_ms.saturating_add(left);
        Waiting { command, expires_ms, logged, next_ms: 0, sent_ms: None, ending: false, teller }
    }

    /// Starts a step for every device whose first command is due.
    fn start_due(&self, deliverers: &Deliverers) {
        let now_ms = self.clock.now().monotonic_ms;
        let due = |(device, queue): (&String, &VecDeque<Waiting>)| {
            let first = queue.front().filter(|first| !first.ending)?;
            let contact = self.contacts.newest(device);
            let heard = contact.is_some_and(|contact| {
                first.sent_ms.is_some_and(|sent| contact.monotonic_ms > sent)
            });
            let rested = first.sent_ms.is_none_or(|sent| now_ms >= sent.saturating_add(AGAIN_MS));
            let due = heard && rested || now_ms >= first.next_ms || now_ms >= first.expires_ms;
            due.then(|| device.clone())
        };
        let due: Vec<String> = self.queues.borrow().iter().filter_map(due).collect();
        for device in due {
            if self.busy.borrow_mut().insert(device.clone()) {
                let (commands, deliverers) = (self.clone(), deliverers.clone());
                tokio::task::spawn_local(async move {
                    commands.step(&device, &deliverers).await;
                    commands.busy.borrow_mut().remove(&device);
                });
            }
        }
    }

    /// Brings a device's first command one step further.
    async fn step(&self, device: &str, deliverers: &Deliverers) {
        let Some((command, logged, expires_ms)) = self.first(device) else { return };
        let now_ms = self.clock.now().monotonic_ms;
        if !logged && !self.log_command(device, &command).await {
            return self.put_off(device, now_ms);
        }
        if now_ms >= expires_ms {
            return self.end(device, command.id, false, "the deadline passed").await;
        }
        let id = command.id;
        let contact = self.contacts.newest(device);
        let deliverer = match contact.map(|contact| contact.transport) {
            Some(Transport::Coap) => deliverers.coap.as_ref(),
            Some(Transport::Mqtt) => deliverers.mqtt.as_ref(),
            // A device behind the broker may listen without ever having spoken.
            None => deliverers.mqtt.as_ref(),
        };
        self.mark_sent(device, now_ms);
        let Some(deliverer) = deliverer else { return };
        match deliver(deliverer, Order { device: device.to_owned(), command }).await {
            Answer::Done { ok, detail } => self.end(device, id, ok, &detail).await,
            Answer::Sent | Answer::Unreachable => {}
        }
    }

    fn first(&self, device: &str) -> Option<(Command, bool, u64)> {
        let queues = self.queues.borrow();
        let first = queues.get(device)?.front()?;
        Some((first.command.clone(), first.logged, first.expires_ms))
    }

    fn mark_sent(&self, device: &str, now_ms: u64) {
        self.change_first(device, |first| {
            first.sent_ms = Some(now_ms);
            first.next_ms = now_ms.saturating_add(RETRY_MS);
        });
    }

    fn put_off(&self, device: &str, now_ms: u64) {
        self.change_first(device, |first| first.next_ms = now_ms.saturating_add(1_000));
    }

    fn change_first(&self, device: &str, change: impl FnOnce(&mut Waiting)) {
        let mut queues = self.queues.borrow_mut();
        if let Some(first) = queues.get_mut(device).and_then(VecDeque::front_mut) {
            change(first);
        }
    }

    async fn log_command(&self, device: &str, command: &Command) -> bool {
        let Some(index) = self.log(device, &Record::Command(command.clone())).await else {
            return false;
        };
        let id = command.id;
        let noted =
            self.keeper.insist(move |desk, _| desk.recorder.store().set_command_logged(id, index));
        let noted = noted.await.is_ok();
        self.change_first(device, |first| first.logged = noted);
        noted
    }

    /// Ends a command, once.
    async fn end(&self, device: &str, id: u64, ok: bool, detail: &str) {
        let Some(resource) = self.begin_end(device, id) else { return };
        let detail: String = detail.chars().take(256).collect();
        let outcome = Outcome { id, resource, ok, detail };
        if self.log_end(device, &outcome).await.is_none() {
            self.change(device, id, |waiting| waiting.ending = false);
            return;
        }
        tracing::info!(device, id, ok, detail = outcome.detail, "command ended");
        let ended = self.remove(device, id);
        if let Some(teller) = ended.and_then(|waiting| waiting.teller) {
            let _ = teller.send(outcome);
        }
        self.woken.notify_one();
    }

    /// The resource of a command that nobody else ends.
    fn begin_end(&self, device: &str, id: u64) -> Option<String> {
        let mut resource = None;
        self.change(device, id, |waiting| {
            let is_first = !std::mem::replace(&mut waiting.ending, true);
            resource = is_first.then(|| waiting.command.resource.clone());
        });
        resource
    }

    /// Logs the end of a command and keeps it.
    async fn log_end(&self, device: &str, outcome: &Outcome) -> Option<()> {
        self.log(device, &Record::Result(outcome.clone())).await?;
        let Outcome { id, ok, detail, .. } = outcome.clone();
        let kept = self.keeper.insist(move |desk, now| {
            desk.recorder.store().end_command(id, now.wall.ms, ok, &detail)
        });
        kept.await.ok()
    }

    fn change(&self, device: &str, id: u64, change: impl FnOnce(&mut Waiting)) {
        let mut queues = self.queues.borrow_mut();
        let mut queue = queues.get_mut(device).into_iter().flatten();
        if let Some(waiting) = queue.find(|waiting| waiting.command.id == id) {
            change(waiting);
        }
    }

    fn remove(&self, device: &str, id: u64) -> Option<Waiting> {
        let mut queues = self.queues.borrow_mut();
        let queue = queues.get_mut(device)?;
        let position = queue.iter().position(|waiting| waiting.command.id == id)?;
        let waiting = queue.remove(position);
        if queue.is_empty() {
            queues.remove(device);
        }
        waiting
    }

    /// Logs one of the gateway's own records; `None` when it can't be now.
    async fn log(&self, device: &str, record: &Record) -> Option<u64> {
        log(&self.keeper, &self.registry, device, record).await
    }
}

/// Logs one of the gateway's own records in a device's part of the log; `None` when it can't be now.
pub async fn log(
    keeper: &Keeper,
    registry: &Registry,
    device: &str,
    record: &Record,
) -> Option<u64> {
    let class = registry.get(device).map(|enrolled| enrolled.device.class.clone());
    let submission = Submission {
        ticket: 0,
        device: device.to_owned(),
        class: class.unwrap_or_else(|| "default".to_owned()),
        seq: None,
        format: record.format(),
        payload: record.encode(),
    };
    keeper.submit(submission).await.ok().map(|logged| logged.index)
}

async fn deliver(deliverer: &Deliverer, order: Order) -> Answer {
    let (reply, answer) = oneshot::channel();
    match deliverer.send((order, reply)).await {
        Ok(()) => answer.await.unwrap_or(Answer::Unreachable),
        Err(_) => Answer::Unreachable,
    }
}
