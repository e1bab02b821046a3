//! Metered payments: brings readings and channels to the meters of [`sluicegate_channels::meter`], and does what they want.
//!
//! Guarantees: only what is durable in the log counts, because it is read from there (I4); what a meter keeps is durable
//! before anything that follows it (I1); payments go through the channels' task and its limits (I5). Does not: count or
//! decide; nor hold anything that the log, the channels and the rows of [`crate::store`] do not. A device that stops
//! reporting while it delivers is not noticed.
//!
//! Order of calls: `begin` once, its task for as long as the gateway runs; [`Meters::told`] meanwhile.

mod reading;
mod summary;
mod switch;

use std::{cell::RefCell, collections::BTreeSet, future::Future, pin::Pin, rc::Rc, time::Duration};

use sluicegate_channels::meter::{Account, Count, Effect, Meter, Place, Reading};
use sluicegate_protocol::channel::{Amount, ChannelId};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

pub use self::summary::{PartySummary, Summary};
use self::{reading::Found, switch::Switch};
use crate::{
    Error,
    channels::{Answer, Command, Handle},
    config::{self, Config},
    desk::Desk,
    devices::commands::Commands,
    field::Field,
    keeper::Keeper,
    recorder::Alarm,
    store::meters::Row,
};

/// Rows of the log that are looked at in one go.
const ROWS: u32 = 256;

/// Longest pause between two looks: a wake-up may be lost with the connection that brought a reading.
const TICK: Duration = Duration::from_secs(2);

/// What is paid is unknown when the channels say nothing for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of all meters; clones share it.
#[derive(Clone, Default)]
pub struct Meters(Rc<RefCell<Vec<Summary>>>);

impl Meters {
    /// How each stands.
    pub fn told(&self) -> Vec<Summary> {
        self.0.borrow().clone()
    }
}

/// What has begun.
pub(crate) struct Begun {
    /// How the meters stand.
    pub(crate) meters: Meters,
    /// Brings no end of its own.
    pub(crate) task: Pin<Box<dyn Future<Output = ()>>>,
}

/// Begins what the configuration wants.
pub(crate) fn begin(config: &Config, field: &Field, payments: Option<Handle>) -> Begun {
    let meters = Meters::default();
    let task: Pin<Box<dyn Future<Output = ()>>> = match payments {
        payments if !config.meters.is_empty() => {
            let devices: BTreeSet<_> = config.meters.iter().map(|m| m.device.clone()).collect();
            let logged = field.intake.listen(devices);
            let (keeper, commands) = (field.keeper.clone(), field.commands.clone());
            let told = meters.clone();
            let tools = Tools::new(keeper, commands, payments);
            let work = run(config.meters.clone(), tools, logged, told);
            // Without the keeper everything ends; that is not for meters to say.
            Box::pin(async move {
                work.await;
                std::future::pending().await
            })
        }
        _ => Box::pin(std::future::pending()),
    };
    Begun { meters, task }
}

/// What meters work with.
struct Tools {
    keeper: Keeper,
    commands: Commands,
    /// None while payments are off: then nothing is delivered.
    payments: Option<Handle>,
    /// Payments that were refused.
    refused: mpsc::UnboundedSender<(ChannelId, String)>,
    refusals: RefCell<mpsc::UnboundedReceiver<(ChannelId, String)>>,
    /// Some were.
    is_refused: Rc<Notify>,
}

impl Tools {
    fn new(keeper: Keeper, commands: Commands, payments: Option<Handle>) -> Self {
        // As many as there are payments under way: one for each channel.
        let (refused, refusals) = mpsc::unbounded_channel();
        let refusals = RefCell::new(refusals);
        Self { keeper, commands, payments, refused, refusals, is_refused: Rc::default() }
    }

    async fn accounts(&self, device: &str) -> Option<Vec<Account>> {
        let asked = self.payments.as_ref()?.command(Command::Accounts(device.to_owned()));
        match timeout(PATIENCE, asked).await {
            Ok(Ok(Answer::Accounts(accounts))) => Some(accounts),
            _ => None,
        }
    }

    /// Resolves when a channel may have changed.
    async fn news(&self) {
        match &self.payments {
            Some(payments) => payments.news().await,
            None => std::future::pending().await,
        }
    }

    /// Asks for a payment; a view of the channels that is asked for later shows it under way or refused.
    async fn pay(&self, channel: ChannelId, amount: Amount) {
        let Some(payments) = &self.payments else { return };
        let answer = match payments.begin(Command::Pay(channel, amount)).await {
            Ok(answer) => answer,
            Err(reason) => return drop(self.refused.send((channel, reason))),
        };
        let (refused, is_refused) = (self.refused.clone(), Rc::clone(&self.is_refused));
        tokio::task::spawn_local(async move {
            if let Err(reason) = answer.await {
                let _ = refused.send((channel, reason));
                is_refused.notify_one();
            }
        });
    }

    async fn alarm(&self, text: String) {
        self.keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
    }
}

async fn run(configured: Vec<config::Meter>, tools: Tools, logged: Rc<Notify>, told: Meters) {
    let loaded = tools.keeper.insist(|desk, _| desk.recorder.store().counts()).await;
    let Ok(counts) = loaded else { return };
    let start = |meter| Running::start(meter, &counts, &tools);
    let mut running: Vec<_> = configured.into_iter().map(start).collect();
    loop {
        if look_at_all(&mut running, &tools).await.is_err() {
            return;
        }
        *told.0.borrow_mut() = running.iter().map(Running::summary).collect();
        tokio::select! {
            () = logged.notified() => {}
            () = tools.news() => {}
            () = tools.is_refused.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// An error means that the keeper stopped.
async fn look_at_all(running: &mut [Running], tools: &Tools) -> Result<(), Error> {
    for meter in running.iter_mut() {
        meter.look(tools).await?;
    }
    loop {
        let next = tools.refusals.borrow_mut().try_recv();
        let Ok((channel, reason)) = next else { return Ok(()) };
        for meter in running.iter_mut() {
            let effects = meter.meter.refused(&channel, &reason);
            meter.perform(effects, tools).await?;
        }
    }
}

/// One meter at work.
struct Running {
    configured: config::Meter,
    meter: Meter,
    switch: Option<Switch>,
    /// What is wrong with the newest reading that does not count.
    wrong: Option<String>,
}

impl Running {
    fn start(configured: config::Meter, counts: &[(ChannelId, Count)], tools: &Tools) -> Self {
        let mut meter = Meter::new(configured.tariff.clone());
        counts.iter().for_each(|(channel, count)| meter.load(*channel, *count));
        let switch = configured
            .actuator
            .clone()
            .map(|actuator| Switch::start(actuator, tools.commands.clone(), tools.keeper.clone()));
        Self { configured, meter, switch, wrong: None }
    }

    /// Reads on in the log, then looks at the channels.
    async fn look(&mut self, tools: &Tools) -> Result<(), Error> {
        let end = loop {
            let (rows, end) = self.rows(tools).await?;
            let more = rows.last().filter(|_| rows.len() >= ROWS as usize).map(|row| row.place);
            let readings = self.understand(rows, tools).await;
            let effects = self.meter.readings(&readings, more.unwrap_or(end));
            self.perform(effects, tools).await?;
            if more.is_none() {
                break end;
            }
        };
        let effects = match tools.accounts(&self.configured.device).await {
            Some(accounts) => self.meter.accounts(&accounts, end),
            None => self.meter.unseen(),
        };
        self.perform(effects, tools).await
    }

    /// The device's rows that were not looked at, and where the log ends.
    async fn rows(&self, tools: &Tools) -> Result<(Vec<Row>, Place), Error> {
        let (device, from) = (self.configured.device.clone(), self.meter.next());
        let job = move |desk: &mut Desk, _| {
            let recorder = &desk.recorder;
            let end = Place { log: recorder.open_log().number, index: recorder.files().size() };
            let rows = from.map(|from| recorder.store().rows_from(&device, from, ROWS));
            Ok((rows.transpose()?.unwrap_or_default(), end))
        };
        tools.keeper.insist(job).await
    }

    /// The readings of the counter among the rows.
    async fn understand(&mut self, rows: Vec<Row>, tools: &Tools) -> Vec<Reading> {
        let mut readings = Vec::new();
        for row in rows {
            let Some(payload) = &row.payload else { continue };
            let found = reading::counter(&self.configured, payload);
            match found {
                Found::Nothing => {}
                Found::Value(value) => {
                    self.wrong = None;
                    readings.push(Reading { place: row.place, seq: row.seq, value });
                }
                Found::Wrong(reason) => self.complain(reason, tools).await,
            }
        }
        readings
    }

    /// Once, until a reading counts again.
    async fn complain(&mut self, reason: String, tools: &Tools) {
        if self.wrong.as_ref() != Some(&reason) {
            tools.alarm(format!("{}: {reason}", self.name())).await;
            self.wrong = Some(reason);
        }
    }

    async fn perform(&mut self, effects: Vec<Effect>, tools: &Tools) -> Result<(), Error> {
        for effect in effects {
            match effect {
                Effect::Keep(channel, count) => {
                    let keep = move |desk: &mut Desk, _| {
                        desk.recorder.store().keep_count(&channel, &count)
                    };
                    tools.keeper.insist(keep).await?;
                }
                Effect::Pay(channel, amount) => tools.pay(channel, amount).await,
                Effect::Switch(on) => {
                    tracing::info!(meter = self.name(), on, "what is paid changes what is let");
                    self.switch.iter().for_each(|switch| switch.want(on));
                }
                Effect::Tell(word) if word.is_alarm() => {
                    tools.alarm(format!("{}: {word}", self.name())).await;
                }
                Effect::Tell(word) => tracing::info!(meter = self.name(), "{word}"),
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("meter of {}, record {}", self.configured.device, self.configured.record)
    }

    fn summary(&self) -> Summary {
        Summary::of(&self.configured, &self.meter)
    }
}
