//! A day in the life of a gateway, short enough to be cut at every step, and what the world saw of it.
//!
//! Guarantees: the same steps each time; each [`Action`] may be tried again after a failure, as devices and the rest of
//! the gateway do. The scenario starts from 250 leaves, so that it crosses the border of a tile (256), and holds group
//! commits of several devices, repeats before and after their commit, readings without a sequence number, checkpoints,
//! an anchor, outbox records, a beacon with its evidence, summaries of a day and an erasure.
//!
//! Order of use: [`started`] for the first disk; [`Gateway::open`], [`play`]; [`Witness`] goes to [`crate::check`].

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use sluicegate_daemon::{
    Error,
    effects::Effects,
    identity::Identity,
    recorder::{Alarm, Entropy, Event, Plan, Recorder},
};
use sluicegate_notary::{
    entry::{Beacon, DAY_MS, Timestamp},
    log::{Now, Submission, SubmitError},
};
use sluicegate_protocol::{Digest, sha256};

use crate::{
    memory::{Image, Memory},
    vfs::{NAME, World},
};

/// The log's first origin.
pub(crate) const ORIGIN: &str = "example.com/gw";

/// The day on which everything begins.
pub(crate) const DAY: u32 = 20_000;

/// The devices.
pub(crate) const DEVICES: [&str; 3] = ["meter-1", "meter-2", "meter-3"];

/// In each payload that is erased, and nowhere else.
pub(crate) const SECRET: &[u8] = b"FORGET-ME";

/// Class of the third device's readings, which are erased.
pub(crate) const BRIEF: &str = "brief";

/// A reading that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) device: &'static str,
    pub(crate) seq: Option<u64>,
    pub(crate) day: u32,
    pub(crate) payload: Vec<u8>,
    pub(crate) index: u64,
}

/// How far something went: begun when it may have had an effect, done when it was reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Progress {
    #[default]
    No,
    Begun,
    Done,
}

/// Records of an outbox.
pub(crate) type Records = Vec<(u64, Vec<u8>)>;

/// What the world outside saw and may hold against the gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) published: Vec<(u64, String)>,
    pub(crate) erasure: Progress,
    pub(crate) anchor_begun: Progress,
    pub(crate) anchor_final: Progress,
    pub(crate) beacon_proven: Progress,
    /// What the outbox wrote, and what it may have written over that.
    pub(crate) outbox: (Records, Option<Records>),
}

/// Names one reading: device, sequence number.
type Name = (usize, Option<u64>);

/// One thing that happens.
pub(crate) enum Action {
    /// These readings arrive and are committed.
    Readings(&'static [Name]),
    /// A checkpoint is wanted and shown.
    Publish,
    /// The newest checkpoint goes to the outbox.
    BeginAnchor,
    /// A block of the ledger becomes an entry.
    Beacon,
    /// The ledger has the anchor for good.
    FinishAnchor,
    /// Midnight.
    NextDay,
    /// The readings of the class [`BRIEF`] before today expire.
    Erase,
}

/// The scenario behind the 250 leaves of [`started`]: 83 readings of each device.
pub(crate) const SCENARIO: [Action; 13] = [
    Action::Readings(&[(0, Some(83))]),
    Action::Publish,
    Action::BeginAnchor,
    Action::Readings(&[(0, Some(84)), (0, Some(83)), (1, Some(83)), (1, Some(83)), (2, Some(83))]),
    Action::Readings(&[(0, Some(85)), (0, None), (1, Some(85)), (2, Some(84)), (0, Some(3))]),
    Action::Publish,
    Action::Beacon,
    Action::FinishAnchor,
    Action::NextDay,
    Action::Readings(&[(0, Some(86)), (2, Some(85))]),
    Action::Erase,
    Action::Publish,
    Action::Readings(&[(1, Some(86)), (0, Some(87))]),
];

/// A gateway that runs.
pub(crate) struct Gateway {
    pub(crate) recorder: Recorder<Memory>,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) now: Now,
}

impl Gateway {
    /// Starts on this disk.
    pub(crate) fn open(world: &World, now: Now) -> Result<Self, Error> {
        Self::open_with(world, now, Effects::none())
    }

    /// Starts on this disk and notes effects.
    pub(crate) fn open_with(world: &World, now: Now, effects: Effects) -> Result<Self, Error> {
        let opened = Recorder::open(world.memory.clone(), plan(world), now, entropy(), effects);
        opened.map(|(recorder, alarms)| Self { recorder, alarms, now })
    }

    /// Does one thing, and tells the witness as soon as the world can know of it.
    pub(crate) fn perform(&mut self, action: &Action, witness: &mut Witness) -> Result<(), Error> {
        self.now.monotonic_ms += 1_000;
        self.now.wall.ms += 1_000;
        match action {
            Action::Readings(names) => self.readings(names, witness),
            Action::Publish => {
                self.recorder.want_checkpoint();
                self.drive(&[], witness)
            }
            Action::BeginAnchor => self.begin_anchor(witness),
            Action::Beacon => {
                self.recorder.append_beacon(self.now, beacon());
                self.drive(&[], witness)
            }
            Action::FinishAnchor => self.finish_anchor(witness),
            Action::NextDay => {
                self.now.wall.ms = at(DAY + 1, 0).wall.ms;
                self.recorder.handle_timer(self.now);
                self.recorder.want_checkpoint();
                self.drive(&[], witness)
            }
            Action::Erase => {
                witness.erasure = witness.erasure.max(Progress::Begun);
                let today = self.now.wall.day();
                self.recorder.erase_expired(self.now, BRIEF, today)?;
                self.drive(&[], witness)?;
                witness.erasure = Progress::Done;
                Ok(())
            }
        }
    }

    /// Takes readings and commits them.
    pub(crate) fn readings(&mut self, names: &[Name], witness: &mut Witness) -> Result<(), Error> {
        let mut expected = Vec::new();
        for (ticket, (device, seq)) in names.iter().enumerate() {
            let device = DEVICES[*device];
            let (day, payload) = (self.now.wall.day(), payload(device, *seq));
            self.submit(ticket as u64, device, *seq, payload.clone())?;
            expected.push(Acknowledged { device, seq: *seq, day, payload, index: 0 });
        }
        self.drive(&expected, witness)
    }

    fn submit(
        &mut self,
        ticket: u64,
        device: &str,
        seq: Option<u64>,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        let class = class(device).to_owned();
        let device = device.to_owned();
        let submission = Submission { ticket, device, class, seq, format: 110, payload };
        match self.recorder.submit(self.now, submission) {
            Ok(()) => Ok(()),
            Err(SubmitError::Store(error)) => Err(error),
            Err(SubmitError::Refused(error)) => Err(error.into()),
        }
    }

    /// Performs what is due; `expected` holds the readings by ticket.
    fn drive(&mut self, expected: &[Acknowledged], witness: &mut Witness) -> Result<(), Error> {
        for event in self.recorder.drive(self.now)? {
            match event {
                Event::Acknowledged(acknowledgement) => {
                    let ticket = usize::try_from(acknowledgement.ticket).unwrap();
                    let mut reading = expected[ticket].clone();
                    reading.index = acknowledgement.index;
                    witness.acknowledge(reading, acknowledgement.repeated);
                }
                Event::Grown { .. } => {}
                Event::Published { size, note } => {
                    witness.published.push((size, note.clone()));
                    self.recorder.publish(size, &note)?;
                }
            }
        }
        Ok(())
    }

    fn begin_anchor(&mut self, witness: &mut Witness) -> Result<(), Error> {
        let (size, note) = witness.published.last().expect("a checkpoint before").clone();
        witness.anchor_begun = witness.anchor_begun.max(Progress::Begun);
        self.recorder.store().begin_anchor(&anchor_digest(), size, &note, 7)?;
        witness.anchor_begun = Progress::Done;
        let records = vec![(0, vec![1; 40]), (1, vec![2; 300])];
        self.write_outbox(witness, records.clone(), &records, &[])
    }

    fn finish_anchor(&mut self, witness: &mut Witness) -> Result<(), Error> {
        witness.anchor_final = witness.anchor_final.max(Progress::Begun);
        self.recorder.store().finish_anchor(&anchor_digest(), 9, Some(b"evidence"), 8)?;
        witness.anchor_final = Progress::Done;
        witness.beacon_proven = witness.beacon_proven.max(Progress::Begun);
        for (index, _) in self.recorder.store().unproven_beacons()? {
            self.recorder.store().prove_beacon(index, b"block")?;
        }
        witness.beacon_proven = Progress::Done;
        self.write_outbox(witness, vec![(0, vec![3; 40])], &[(0, vec![3; 40])], &[1])
    }

    fn write_outbox(
        &mut self,
        witness: &mut Witness,
        after: Records,
        puts: &[(u64, Vec<u8>)],
        deletes: &[u64],
    ) -> Result<(), Error> {
        witness.outbox.1 = Some(after.clone());
        self.recorder.store_mut().write_outbox(puts, deletes)?;
        witness.outbox = (after, None);
        Ok(())
    }
}

impl Witness {
    fn acknowledge(&mut self, reading: Acknowledged, repeated: bool) {
        let known = self.acknowledged.iter().find(|known| {
            reading.seq.is_some() && (known.device, known.seq) == (reading.device, reading.seq)
        });
        match known {
            Some(known) => {
                assert!(repeated, "{reading:?} is logged twice");
                assert_eq!(known.index, reading.index, "a repeat gets the first index");
            }
            None => self.acknowledged.push(reading),
        }
    }
}

/// Performs the scenario from an action on; gives the action that failed with its error.
pub(crate) fn play(
    gateway: &mut Gateway,
    from: usize,
    witness: &mut Witness,
) -> Result<(), (usize, Error)> {
    for (number, action) in SCENARIO.iter().enumerate().skip(from) {
        gateway.perform(action, witness).map_err(|error| (number, error))?;
    }
    Ok(())
}

/// A disk with 250 leaves, everything synced, and what the world knows of it.
pub(crate) fn started() -> &'static (Image, Witness) {
    static STARTED: OnceLock<(Image, Witness)> = OnceLock::new();
    STARTED.get_or_init(|| fill(true))
}

/// The same disk before a checkpoint was ever published: there is no folder for tiles yet.
pub(crate) fn unpublished() -> (Image, Witness) {
    fill(false)
}

fn fill(published: bool) -> (Image, Witness) {
    let world = World::new(Memory::new(&Image::default()));
    let mut witness = Witness::default();
    let mut gateway = Gateway::open(&world, at(DAY, 0)).unwrap();
    for round in 0..83 {
        let names = [(0, Some(round)), (1, Some(round)), (2, Some(round))];
        gateway.readings(&names[..], &mut witness).unwrap();
    }
    if published {
        gateway.perform(&Action::Publish, &mut witness).unwrap();
    }
    drop(gateway);
    (world.memory.image(), witness)
}

/// The moment at which the scenario begins.
pub(crate) fn morning() -> Now {
    at(DAY, 1_000_000)
}

pub(crate) fn at(day: u32, ms: u64) -> Now {
    let wall = Timestamp { ms: u64::from(day) * DAY_MS + ms, synchronised: true };
    Now { monotonic_ms: ms, wall }
}

pub(crate) fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::new(&[9; 32]))
}

pub(crate) fn class(device: &str) -> &'static str {
    if device == DEVICES[2] { BRIEF } else { "billing" }
}

pub(crate) fn anchor_digest() -> Digest {
    sha256(&[b"anchor"])
}

pub(crate) fn beacon() -> Beacon {
    Beacon { ledger: "embedded:test".to_owned(), number: 5, hash: sha256(&[b"block"]) }
}

pub(crate) fn payload(device: &str, seq: Option<u64>) -> Vec<u8> {
    let expires = class(device) == BRIEF && seq.is_some_and(|seq| seq <= 84);
    let secret = if expires { SECRET } else { b"" };
    let text = format!("[{{\"n\":\"{device}\",\"v\":{}}}]", seq.unwrap_or(999));
    [text.as_bytes(), secret].concat()
}

fn plan(world: &World) -> Plan {
    Plan {
        origin: ORIGIN.to_owned(),
        identity: identity().clone(),
        database: world.path("gateway.db"),
        vfs: Some(NAME.to_str().unwrap().to_owned()),
        devices: DEVICES.map(str::to_owned).to_vec(),
        commit_delay_ms: 0,
        commit_count: 1,
        max_pending: 100,
        max_payload: 1024,
    }
}

/// Keys that differ from each other, also after a restart.
fn entropy() -> Entropy {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    Box::new(|| *sha256(&[&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes()]).as_bytes())
}
