//! The charging station: a car pays for what it charges, once honestly and twice not.
//!
//! Guarantees: a run that ends well had both balances right to the unit, by what the car's device had measured and the
//! tariff says; every signature that left a gateway was durable before. Does not: show a dispute that the station loses;
//! `tests/simulator` and `tests/scenarios` look for one.
//!
//! Order: [`play`] does the three runs at the same time, each with processes, stores and keys of its own.

mod device;
pub(crate) mod figure;
mod scene;
mod timeline;
mod yard;

use std::{thread, time::Duration};

use self::{
    scene::Scene,
    timeline::Timeline,
    yard::{PRICE, STEP_WH},
};
use crate::{
    checks,
    failure::{Failure, Result, expect},
    plant::Span,
    told::Told,
    watch::now_ms,
};

/// What both bring into the channel, in base units.
const CAR_BRINGS: u64 = 3_000;
const STATION_BRINGS: u64 = 500;

/// How long the car has no network.
const CUT: Duration = Duration::from_secs(6);

/// One run, as the page shows it.
pub(crate) struct Run {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) timeline: Timeline,
    /// What came out.
    pub(crate) outcome: String,
    /// Effects that left both gateways.
    pub(crate) effects: usize,
}

/// All runs, at the same time.
pub(crate) fn play(told: &Told) -> Result<Vec<Run>> {
    let runs: [fn(&Told) -> Result<Run>; 3] =
        [honest, |told| malicious(told, Charger::On), |told| malicious(told, Charger::Off)];
    told.say("Three charging stations open, each with processes, stores and keys of its own.");
    thread::scope(|scope| {
        let started = runs.map(|run| scope.spawn(move || run(told)));
        let ended = started.map(|run| run.join());
        ended.into_iter().map(|run| run.map_err(|_| Failure::new("a run stopped"))?).collect()
    })
}

/// Whether the station's device lives to see the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charger {
    On,
    Off,
}

fn honest(told: &Told) -> Result<Run> {
    let mut scene = Scene::open(told, "honest", [CAR_BRINGS, STATION_BRINGS])?;
    scene.charge_to(200)?;
    let cut = cut_network(&mut scene)?;
    scene.timeline.bands.push(("cut", cut));
    scene.charge_to(600)?;
    let paid = scene.unplug()?;
    scene.close()?;
    scene.say("the car's device asks for the end: a final state, signed by both, is settled.");
    finish(scene, ("honest", "Honest: the network drops, the session goes on"), paid)
}

/// The car is out of reach: it can't pay, and nothing is delivered unpaid.
fn cut_network(scene: &mut Scene<'_>) -> Result<Span> {
    let from_ms = now_ms();
    scene.yard.car.device()?.tell("network off")?;
    scene.say("the car's device loses its network: it measures on, and nobody pays.");
    scene.pause(CUT)?;
    expect(!scene.flows(), || "the charger delivers without being paid".to_owned())?;
    let unpaid = scene.delivered()?.saturating_sub(scene.paid_steps()? * STEP_WH);
    expect(unpaid <= STEP_WH, || format!("{unpaid} Wh were delivered without being paid"))?;
    scene.say(format!(
        "the charger has stopped by itself, {unpaid} Wh are not paid; the network is back."
    ));
    scene.yard.car.device()?.tell("network on")?;
    Ok(Span { from_ms, to_ms: now_ms() })
}

/// The car registers what was true before it charged most, and the station's gateway is away.
fn malicious(told: &Told, charger: Charger) -> Result<Run> {
    let names = match charger {
        Charger::On => ("malicious", "Malicious: the car registers an old state"),
        Charger::Off => ("device-off", "Malicious, and the station's device is off for ever"),
    };
    let mut scene = Scene::open(told, names.0, [CAR_BRINGS, STATION_BRINGS])?;
    scene.charge_to(150)?;
    let old = scene.keep_old_state()?;
    scene.charge_to(500)?;
    let paid = scene.unplug()?;
    if charger == Charger::Off {
        scene.yard.station.kill_device()?;
        scene.device_off_ms = Some(now_ms());
        scene.say("the station's device loses its power, and stays off.");
    }
    scene.yard.station.kill_gateway()?;
    let from_ms = now_ms();
    scene.cheat(old)?;
    scene.say(format!(
        "the station's gateway is down; the car registers version {old}, an old state."
    ));
    scene.yard.station.start_gateway()?;
    scene.timeline.bands.push(("down", Span { from_ms, to_ms: now_ms() }));
    scene.refuted(old)?;
    scene.say("the station's gateway is back, sees it, and registers the newest state in time.");
    finish(scene, names, paid)
}

/// Waits until both are paid out, and checks the balances.
fn finish(
    mut scene: Scene<'_>,
    (key, title): (&'static str, &'static str),
    paid: u64,
) -> Result<Run> {
    let [car, station] = scene.settled()?;
    expect([car, station] == [CAR_BRINGS - paid, STATION_BRINGS + paid], || {
        format!("{key}: {paid} were paid, but the car has {car} and the station {station}")
    })?;
    let steps = paid / PRICE;
    let outcome = format!(
        "{steps} steps of {STEP_WH} Wh at {PRICE}: the station was paid {paid} and withdrew {station}, the car withdrew {car}."
    );
    scene.say(&outcome);
    scene.timeline.end();
    if let Some(from_ms) = scene.device_off_ms {
        let off = Span { from_ms, to_ms: scene.timeline.ended_ms };
        scene.timeline.bands.insert(0, ("shut", off));
    }
    let Scene { yard, timeline, .. } = scene;
    let effects = [yard.car.effects(), yard.station.effects()];
    yard.stop()?;
    let mut sent = 0;
    for file in &effects {
        sent += checks::effects(file, &["acknowledgement", "signature", "submission"])?
            .values()
            .sum::<usize>();
    }
    Ok(Run { key, title, timeline, outcome, effects: sent })
}
