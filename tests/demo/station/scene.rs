//! A run in progress: the yard, what was seen of it so far, and the cable between charger and car.
//!
//! Guarantees: every wait ends after its limit with words about what did not happen; what flows through the cable is
//! counted by both devices, and neither hears what the other one counted. Does not: change a reading.

use std::time::{Duration, Instant};

use crate::{
    failure::{Failure, Result},
    process::wait_for,
    station::{
        timeline::{Shown, Timeline},
        yard::{PRICE, STEP_WH, Yard},
    },
    told::Told,
};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// Pause between two looks at the channels.
const LOOK: Duration = Duration::from_millis(250);

/// How long nothing changes until it is known that nothing is under way.
const QUIET: Duration = Duration::from_millis(2_500);

/// How long it takes until a device has measured what flows, or that nothing does.
const MEASURED: Duration = Duration::from_millis(1_500);

/// The run.
pub(crate) struct Scene<'a> {
    told: &'a Told,
    run: &'static str,
    pub(crate) yard: Yard,
    pub(crate) timeline: Timeline,
    looked: Option<Instant>,
    /// What the gateways said last.
    car: Option<Shown>,
    station: Option<Shown>,
    plugged: bool,
    /// When the charger lost its power for ever.
    pub(crate) device_off_ms: Option<u64>,
    /// Whether electricity flows.
    flows: bool,
    brought: u64,
}

impl<'a> Scene<'a> {
    /// Starts everything; the car's device asks for a channel, and both sides bring this into it.
    pub(crate) fn open(told: &'a Told, run: &'static str, brings: [u64; 2]) -> Result<Self> {
        let yard = Yard::start(run)?;
        let mut scene = Self {
            told,
            run,
            yard,
            timeline: Timeline::start(),
            looked: None,
            car: None,
            station: None,
            plugged: true,
            device_off_ms: None,
            flows: false,
            brought: brings[1],
        };
        scene.wait("both devices have shown their keys", |scene| {
            let [car, station] = [&mut scene.yard.car, &mut scene.yard.station];
            let is_known = |said: Vec<String>| said.iter().any(|line| line == "enrolled");
            Ok(is_known(car.device()?.said()?) && is_known(station.device()?.said()?))
        })?;
        let [car, station] = brings;
        scene.yard.car.device()?.tell(&format!("open station {car} {station} 8"))?;
        scene.yard.car.device()?.tell(&format!("allow {PRICE} {car}"))?;
        scene.wait("the channel is open on both sides", |scene| Ok(scene.both("open")))?;
        scene.say("the car's device asked for a channel, and both gateways deposited.");
        Ok(scene)
    }

    /// The next step of this run.
    pub(crate) fn say(&self, text: impl std::fmt::Display) {
        self.told.say(format!("{}: {text}", self.run));
    }

    /// Looks on until so much energy was delivered.
    pub(crate) fn charge_to(&mut self, watt_hours: u64) -> Result<()> {
        let what = format!("{watt_hours} Wh are delivered");
        self.wait(&what, |scene| Ok(scene.delivered()? >= watt_hours))
    }

    /// What the charger delivered so far.
    pub(crate) fn delivered(&mut self) -> Result<u64> {
        Ok(self.yard.station.device()?.number("energy")?.unwrap_or(0))
    }

    /// Steps that the station was paid.
    pub(crate) fn paid_steps(&self) -> Result<u64> {
        Ok(self.paid() / PRICE)
    }

    fn paid(&self) -> u64 {
        let station = self.station.as_ref().map_or(0, Shown::balance);
        station.saturating_sub(self.brought)
    }

    /// Ends the delivery and waits until all is paid; gives how much, which is what the tariff says for what the car's
    /// device measured.
    pub(crate) fn unplug(&mut self) -> Result<u64> {
        self.yard.station.device()?.tell("plug off")?;
        self.plugged = false;
        self.pause(MEASURED)?;
        let measured = self.yard.car.device()?.number("energy")?.unwrap_or(0);
        let due = (measured / STEP_WH + 1) * PRICE;
        self.wait(&format!("{measured} Wh are paid with {due}"), |scene| Ok(scene.paid() == due))?;
        self.pause(QUIET)?;
        let paid = self.paid();
        let text = || Failure::new(format!("{paid} were paid for {measured} Wh, not {due}"));
        (paid == due).then_some(paid).ok_or_else(text)
    }

    /// The car's device asks for the end.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.yard.car.device()?.tell("close")
    }

    /// Keeps a copy of what the car's gateway knows now; gives the version that it is at.
    pub(crate) fn keep_old_state(&mut self) -> Result<u64> {
        self.yard.car.kill_gateway()?;
        self.yard.car.copy_state()?;
        self.yard.car.start_gateway()?;
        let version = self.yard.car.channel().and_then(|shown| shown.version);
        version.ok_or_else(|| Failure::new("the car's gateway does not know its channel"))
    }

    /// The car's gateway knows only the old state, and settles it on the ledger.
    pub(crate) fn cheat(&mut self, old: u64) -> Result<()> {
        self.yard.car.kill_gateway()?;
        self.yard.car.use_copy()?;
        self.yard.car.start_gateway()?;
        let id = self.car.as_ref().map(|shown| shown.id.clone()).unwrap_or_default();
        self.yard.car.dispute(&id)?;
        self.wait("the old state is registered", |scene| {
            Ok(scene.registered(|version| version <= old))
        })
    }

    /// Waits until a newer state is registered.
    pub(crate) fn refuted(&mut self, old: u64) -> Result<()> {
        self.wait("the station has registered the newest state", |scene| {
            Ok(scene.registered(|version| version > old))
        })
    }

    /// Waits until both are paid out; gives what the car and the station have.
    pub(crate) fn settled(&mut self) -> Result<[u64; 2]> {
        self.wait("both are paid out", |scene| Ok(scene.both("withdrawn")))?;
        let [car, station] = [&self.car, &self.station].map(|shown| shown.as_ref());
        Ok([car, station].map(|shown| shown.map_or(0, Shown::balance)))
    }

    /// Whether electricity flows.
    pub(crate) const fn flows(&self) -> bool {
        self.flows
    }

    /// Lets time pass, and looks on.
    pub(crate) fn pause(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        self.wait("time passes", |_| Ok(Instant::now() >= end))
    }

    fn wait(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let done = wait_for(PATIENCE, || {
            self.look()?;
            Ok(holds(self)?.then_some(()))
        })?;
        let said = [&self.car, &self.station].map(|shown| format!("{shown:?}"));
        done.ok_or_else(|| {
            Failure::new(format!("not after {PATIENCE:?}: {what}; {}", said.join(", ")))
        })
    }

    /// Sees what everybody says, and lets the cable do what the charger's relay does.
    fn look(&mut self) -> Result<()> {
        if let Ok(charger) = self.yard.station.device() {
            let energy = charger.number("energy")?;
            let relay = charger.last("acted")?;
            energy.into_iter().for_each(|energy| self.timeline.energy(energy));
            let flows = relay.is_some_and(|acted| acted.ends_with(" on"));
            self.flow(flows && self.plugged)?;
        }
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            for (party, last) in
                [(&self.yard.car, &mut self.car), (&self.yard.station, &mut self.station)]
            {
                if let Some(shown) = party.channel() {
                    self.timeline.channel(party.name, &shown, party.name == "station");
                    *last = Some(shown);
                }
            }
        }
        Ok(())
    }

    fn flow(&mut self, flows: bool) -> Result<()> {
        if std::mem::replace(&mut self.flows, flows) != flows {
            let word = if flows { "charge on" } else { "charge off" };
            self.yard.car.device()?.tell(word)?;
        }
        Ok(())
    }

    fn both(&self, phase: &str) -> bool {
        [&self.car, &self.station]
            .iter()
            .all(|shown| shown.as_ref().is_some_and(|shown| shown.phase == phase))
    }

    fn registered(&self, is_wanted: impl Fn(u64) -> bool) -> bool {
        let all = [&self.car, &self.station].into_iter().flatten();
        all.filter_map(|shown| shown.registered).any(is_wanted)
    }
}
