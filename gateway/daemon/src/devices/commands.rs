//! Commands to devices: kept, logged, delivered until the device answers or the deadline passes, and their end logged.
//!
//! Guarantees: a command is durable and logged before it is sent (I1); it is sent again and again under the same id, so
//! that a device which knows ids acts once (I6); a device gets one command at a time, in the order in which they were made;
//! a sleeping device gets it with its next contact; nothing is sent after the deadline; the result is logged once, through
//! crashes, before it is told. A step of the wall clock moves no deadline while the process runs, and a start with a
//! clock that is behind gives no command more time than it was made for. Does not: speak CoAP or MQTT; deliverers do, one for each transport.

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
    twin,
};
use crate::{
    Error,
    clock::Clock,
    credentials,
    desk::Desk,
    keeper::{Keeper, Refusal},
    store::commands::StoredCommand,
};

/// Pause before a command is sent again to a device that says nothing.
const RETRY_MS: u64 = 20_000;

/// Pause before a command is sent again to a device that speaks, but not of the command.
const AGAIN_MS: u64 = 2_000;

/// Pause before the end of a command, which the store did not take, is logged again.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Longest validity of a command.
const MAX_VALID_MS: u64 = 366 * 86_400_000;

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
    /// Nothing was sent: nobody knows where the device is before it speaks.
    Absent,
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
    /// When it was last tried.
    tried_ms: Option<u64>,
    /// After a sign of life it is tried again, but not sooner after the last time than this.
    rest_ms: u64,
    /// It was sent, as far as is known.
    sent: bool,
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
        let stored = keeper.insist(|desk, now| resume(desk, now)).await?;
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
            // No longer than it was made for: the wall clock may be behind after a start.
            let valid_ms = row.command.until_ms.saturating_sub(row.made_ms);
            let waiting = commands.waiting(row.command, valid_ms, row.logged.is_some(), None);
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
        if valid_ms > MAX_VALID_MS {
            return Err("a command is valid for 366 days at most".to_owned());
        }
        let now = self.clock.now();
        let until_ms = now.wall.ms.saturating_add(valid_ms);
        let (resource, value) = (resource.to_owned(), value.to_owned());
        let command = self.keep(device, Command { id: 0, resource, value, until_ms }).await?;
        let (teller, outcome) = oneshot::channel();
        let id = command.id;
        let waiting = self.waiting(command, valid_ms, false, Some(teller));
        self.queues.borrow_mut().entry(device.to_owned()).or_default().push_back(waiting);
        self.woken.notify_one();
        Ok((id, outcome))
    }

    /// A device told what became of a command.
    pub async fn result(&self, device: &str, id: u64, ok: bool, detail: &str) {
        let known = self.queues.borrow().get(device).is_some_and(|queue| {
            queue.iter().any(|waiting| waiting.command.id == id && waiting.sent)
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
        let job = move |desk: &mut Desk, now: Now| loop {
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
        valid_ms: u64,
        logged: bool,
        teller: Option<oneshot::Sender<Outcome>>,
    ) -> Waiting {
        let now = self.clock.now();
        let left = command.until_ms.saturating_sub(now.wall.ms).min(valid_ms);
        let expires_ms = now.monotonic_ms.saturating_add(left);
        Waiting {
            command,
            expires_ms,
            logged,
            next_ms: 0,
            tried_ms: None,
            rest_ms: 0,
            // After a restart: another life of this process may have sent it.
            sent: logged,
            ending: false,
            teller,
        }
    }

    /// Starts a step for every device whose first command is due.
    fn start_due(&self, deliverers: &Deliverers) {
        let now_ms = self.clock.now().monotonic_ms;
        let due = |(device, queue): (&String, &VecDeque<Waiting>)| {
            let first = queue.front().filter(|first| !first.ending)?;
            let contact = self.contacts.newest(device);
            let heard = contact.is_some_and(|contact| {
                first.tried_ms.is_some_and(|tried| contact.monotonic_ms >= tried)
            });
            let rest = |tried: u64| tried.saturating_add(first.rest_ms);
            let rested = first.tried_ms.is_none_or(|tried| now_ms >= rest(tried));
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
            return self.put_off(device, command.id, now_ms);
        }
        let id = command.id;
        if now_ms >= expires_ms {
            return self.expire(device, id).await;
        }
        if self.registry.get(device).is_none() {
            // It may be enrolled again before the deadline.
            return self.put_off(device, id, now_ms);
        }
        let contact = self.contacts.newest(device);
        let deliverer = match contact.map(|contact| contact.transport) {
            Some(Transport::Coap) => deliverers.coap.as_ref(),
            Some(Transport::Mqtt) => deliverers.mqtt.as_ref(),
            // A device behind the broker may listen without ever having spoken.
            None => deliverers.mqtt.as_ref(),
        };
        let order = Order { device: device.to_owned(), command };
        let was_sent = self.mark_tried(device, id, now_ms);
        let answer = tokio::select! {
            answer = deliver(deliverer, order) => answer,
            () = tokio::time::sleep(Duration::from_millis(expires_ms.saturating_sub(now_ms))) => {
                return self.expire(device, id).await;
            }
        };
        match answer {
            Answer::Done { ok, detail } => self.end(device, id, ok, &detail).await,
            Answer::Sent | Answer::Unreachable => {}
            Answer::Absent => self.change(device, id, |waiting| {
                (waiting.rest_ms, waiting.sent) = (0, was_sent);
            }),
        }
    }

    /// Ends a command whose time is over; whoever delivers it stops.
    async fn expire(&self, device: &str, id: u64) {
        let mut sent = false;
        self.change(device, id, |waiting| sent = waiting.sent);
        let detail = match sent {
            true => "the deadline passed, and the device did not say what became of it",
            false => "the deadline passed before the device was heard",
        };
        self.end(device, id, false, detail).await;
    }

    fn first(&self, device: &str) -> Option<(Command, bool, u64)> {
        let queues = self.queues.borrow();
        let first = queues.get(device)?.front()?;
        Some((first.command.clone(), first.logged, first.expires_ms))
    }

    /// Gives whether it was sent before.
    fn mark_tried(&self, device: &str, id: u64, now_ms: u64) -> bool {
        let mut was_sent = false;
        self.change(device, id, |waiting| {
            was_sent = std::mem::replace(&mut waiting.sent, true);
            (waiting.tried_ms, waiting.rest_ms) = (Some(now_ms), AGAIN_MS);
            waiting.next_ms = now_ms.saturating_add(RETRY_MS);
        });
        was_sent
    }

    fn put_off(&self, device: &str, id: u64, now_ms: u64) {
        self.change(device, id, |waiting| {
            (waiting.tried_ms, waiting.rest_ms) = (Some(now_ms), 1_000);
            waiting.next_ms = now_ms.saturating_add(1_000);
        });
    }

    async fn log_command(&self, device: &str, command: &Command) -> bool {
        let Some(index) = self.log_once(device, &Record::Command(command.clone())).await else {
            return false;
        };
        let id = command.id;
        let noted =
            self.keeper.insist(move |desk, _| desk.recorder.store().set_command_logged(id, index));
        let noted = noted.await.is_ok();
        self.change(device, id, |waiting| waiting.logged = noted);
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

    /// Logs the end of a command and keeps it, however long the store takes to be there; `None` when the process ends
    /// first.
    async fn log_end(&self, device: &str, outcome: &Outcome) -> Option<()> {
        let record = Record::Result(outcome.clone());
        while self.log_once(device, &record).await.is_none() {
            tokio::time::sleep(STORE_PAUSE).await;
            self.keeper.insist(|_, _| Ok(())).await.ok()?;
        }
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

    /// Logs one of the gateway's own records, unless an attempt that seemed to fail did; `None` when it can't be now.
    async fn log_once(&self, device: &str, record: &Record) -> Option<u64> {
        let (name, wanted) = (device.to_owned(), record.clone());
        let known = self.keeper.call(move |desk, _| {
            let own = twin::own_records(desk, &name).ok()?;
            Some(own.into_iter().find(|(_, found)| *found == wanted).map(|(index, _)| index))
        });
        match known.await?? {
            Some(index) => Some(index),
            None => log(&self.keeper, &self.registry, device, record).await,
        }
    }
}

/// The commands that have not ended; one whose result is in the log already, as after a crash, ends here.
fn resume(desk: &Desk, now: Now) -> Result<Vec<StoredCommand>, Error> {
    let store = desk.recorder.store();
    let mut waiting = Vec::new();
    for row in store.waiting_commands()? {
        let own = twin::own_records(desk, &row.device)?;
        let result = own.into_iter().find_map(|(_, record)| match record {
            Record::Result(outcome) if outcome.id == row.command.id => Some(outcome),
            _ => None,
        });
        match result {
            Some(Outcome { id, ok, detail, .. }) => {
                store.end_command(id, now.wall.ms, ok, &detail)?;
            }
            None => waiting.push(row),
        }
    }
    Ok(waiting)
}

/// Logs one of the gateway's own records in a device's part of the log; `None` when it can't be now.
pub async fn log(
    keeper: &Keeper,
    registry: &Registry,
    device: &str,
    record: &Record,
) -> Option<u64> {
    submit(keeper, registry, device, record).await.ok()
}

/// The same, and why it was not logged.
pub(super) async fn submit(
    keeper: &Keeper,
    registry: &Registry,
    device: &str,
    record: &Record,
) -> Result<u64, Refusal> {
    let class = registry.get(device).map(|enrolled| enrolled.device.class.clone());
    let submission = Submission {
        ticket: 0,
        device: device.to_owned(),
        class: class.unwrap_or_else(|| "default".to_owned()),
        seq: None,
        format: record.format(),
        payload: record.encode(),
    };
    keeper.submit(submission).await.map(|logged| logged.index)
}

async fn deliver(deliverer: Option<&Deliverer>, order: Order) -> Answer {
    let Some(deliverer) = deliverer else { return Answer::Absent };
    let (reply, answer) = oneshot::channel();
    match deliverer.send((order, reply)).await {
        Ok(()) => answer.await.unwrap_or(Answer::Unreachable),
        Err(_) => Answer::Unreachable,
    }
}

#[cfg(test)]
mod tests;
