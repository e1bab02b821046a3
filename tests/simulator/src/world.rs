//! What an event does to the two gateways, the ledger and what is between them.
//!
//! Guarantees: an event that makes no sense now does nothing, so every part of a script is a script. Does not: judge;
//! [`crate::check`] does.

use std::collections::VecDeque;

use sluicegate_channels::{
    Phase,
    effect::Intent,
    node::{About, Now, Output, opening::Proposal},
    wire::Codec,
};
use sluicegate_ledger::Cursor;
use sluicegate_protocol::channel::{Allocation, Amount};

use crate::{
    Event, Script,
    check::Check,
    gateway::{Crash, DEVICE, Disk, Gateway, NAMES},
    ledger::{Account, Ledger},
    random::Random,
};

/// How long a dispute can be answered, in seconds.
pub const CHALLENGE_S: u64 = 120;

/// Blocks after the end in which late transactions may land and become final.
const LATE: u64 = 6;

/// Everything.
pub struct World {
    /// Monotonic time, and the wall clock of the ledger, in milliseconds.
    pub now_ms: u64,
    /// The ledger.
    pub ledger: Ledger,
    /// The two.
    pub gateways: [Gateway; 2],
    /// Messages on their way to each.
    pub wire: [VecDeque<Vec<u8>>; 2],
    /// What was seen and must hold.
    pub check: Check,
    is_connected: bool,
    crash: [Option<Crash>; 2],
    backups: [VecDeque<Disk>; 2],
    /// An outbox has lost something: only a start asks for all that is still to be done.
    has_forgotten: bool,
    thief: Account,
    /// What somebody else wants from the ledger.
    stolen: Vec<sluicegate_ledger::Request>,
    random: Random,
}

/// Runs a script and lets everything settle. The error is what did not hold.
pub fn run(script: &Script) -> Result<World, String> {
    let mut world = World::new();
    for (number, event) in script.0.iter().enumerate() {
        world.take(*event);
        let verdict = world.check.verdict();
        verdict.map_err(|error| format!("after event {number} ({event}): {error}"))?;
    }
    world.settle()?;
    Ok(world)
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Both are up and not connected.
    pub fn new() -> Self {
        let now_ms = 1_000_000_000;
        Self {
            now_ms,
            ledger: Ledger::new(now_ms),
            gateways: [Gateway::new(0), Gateway::new(1)],
            wire: [VecDeque::new(), VecDeque::new()],
            check: Check::default(),
            is_connected: false,
            crash: [None, None],
            backups: [VecDeque::new(), VecDeque::new()],
            has_forgotten: false,
            thief: Account::new(9),
            stolen: Vec::new(),
            random: Random::new(1),
        }
    }

    fn now(&self) -> Now {
        Now { ms: self.now_ms, ledger_s: self.ledger.time_s() }
    }

    /// Takes an event.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Anew { side } => self.anew(index(side)),
            Event::Blocks { count } => (0..count.min(200)).for_each(|_| self.block()),
            Event::Close { side } => self.on_channel(side, |node, id, now| node.close(id, now)),
            Event::Connect {} => self.connect(),
            Event::Crash { side, point } => {
                let point = usize::try_from(point).unwrap();
                self.crash[index(side)] =
                    Some(point.checked_sub(1).map_or(Crash::Before, Crash::After));
            }
            Event::Deliver { side } => self.deliver(index(side)),
            Event::Dispute { side } => {
                self.check.expect_disputes();
                self.on_channel(side, |node, id, now| node.dispute(id, now));
            }
            Event::Duplicate { side } => {
                if let Some(bytes) = self.wire[index(side)].front().cloned() {
                    self.wire[index(side)].push_back(bytes);
                }
                self.deliver(index(side));
            }
            Event::Events { side } => self.events(index(side)),
            Event::Forget { side } => self.forget(index(side)),
            Event::Lose {} => self.lose(),
            Event::Old { side, number } => self.register_old(index(side), number),
            Event::Open { side, own, peer } => self.open(index(side), own, peer),
            Event::Pay { side, amount } => {
                let amount = Amount::from(amount);
                self.on_channel(side, |node, id, now| node.pay(id, 0, amount, now));
            }
            Event::Reorder { side } => {
                if let Some(last) = self.wire[index(side)].pop_back() {
                    self.wire[index(side)].push_front(last);
                }
            }
            Event::Reorg { blocks } => self.ledger.reorg(blocks.min(2)),
            Event::Restore { side, batches } => self.restore(index(side), batches),
            Event::Stall { on } => self.ledger.is_stalled = on != 0,
            Event::Start { side } => self.start(index(side)),
            Event::Wait { ms } => self.wait(ms.min(10_000)),
        }
    }

    fn block(&mut self) {
        for gateway in &mut self.gateways {
            if gateway.node.is_some() {
                self.ledger.submit(&mut gateway.account, &gateway.disk.wanted);
            }
        }
        self.ledger.submit(&mut self.thief, &self.stolen);
        self.now_ms += 1_000;
        self.ledger.produce(self.now_ms);
    }

    fn connect(&mut self) {
        let are_up = self.gateways.iter().all(|gateway| gateway.node.is_some());
        if self.is_connected || !are_up {
            return;
        }
        self.is_connected = true;
        for side in 0..2 {
            self.run(side, None, |node, now| node.connected(NAMES[1 - side], now));
        }
    }

    fn lose(&mut self) {
        self.is_connected = false;
        for side in 0..2 {
            self.wire[side].clear();
            if let Some(node) = &mut self.gateways[side].node {
                node.lost(NAMES[1 - side]);
            }
        }
    }

    /// Lets a node work, and performs what it wants; a crash that waits happens there.
    fn run(
        &mut self,
        side: usize,
        cursor: Option<Cursor>,
        work: impl FnOnce(&mut sluicegate_channels::node::Node, Now) -> Vec<Output>,
    ) {
        let now = self.now();
        let Some(node) = &mut self.gateways[side].node else { return };
        let outputs = work(node, now);
        self.perform(side, outputs, cursor);
    }

    fn perform(&mut self, side: usize, outputs: Vec<Output>, cursor: Option<Cursor>) {
        if outputs.is_empty() && cursor.is_none() {
            return;
        }
        let offers: Vec<_> = outputs.iter().filter_map(offer).collect();
        if let Some(Output::Disconnect { reason, .. }) =
            outputs.iter().find(|output| matches!(output, Output::Disconnect { .. }))
        {
            self.check.fail(format!("{} threw the other out: {reason}", NAMES[side]));
        }
        let crash = self.crash[side].take();
        self.back_up(side);
        let sent = self.gateways[side].perform(outputs, cursor, crash);
        for bytes in sent {
            self.check.sent(side, &bytes, &self.gateways[side].disk);
            if self.is_connected {
                self.wire[1 - side].push_back(bytes);
            }
        }
        if self.gateways[side].node.is_none() {
            self.lose();
        }
        for proposal in offers {
            self.agree(side, &proposal);
        }
    }

    fn back_up(&mut self, side: usize) {
        let backups = &mut self.backups[side];
        backups.push_front(self.gateways[side].disk.clone());
        backups.truncate(16);
    }

    fn agree(&mut self, side: usize, proposal: &[u8; 32]) {
        let (share, now) = (self.random.bytes(), self.now());
        let Some(node) = &mut self.gateways[side].node else { return };
        if let Ok(outputs) = node.agree(proposal, DEVICE, share, now) {
            self.perform(side, outputs, None);
        }
    }

    fn open(&mut self, side: usize, own: u64, peer: u64) {
        let asset = Ledger::asset();
        let row = [Amount::from(own), Amount::from(peer)];
        let proposal = Proposal {
            peer: NAMES[1 - side].into(),
            device: DEVICE.into(),
            outcome: Allocation::new(&[(asset, row)]).unwrap(),
            challenge_duration: CHALLENGE_S,
            id: self.random.bytes(),
            nonce_share: self.random.bytes(),
        };
        let is_open = self.gateways.iter().any(|gateway| !gateway.channels().is_empty());
        let now = self.now();
        let Some(node) = &mut self.gateways[side].node else { return };
        if !is_open && let Ok(outputs) = node.propose(proposal, now) {
            self.perform(side, outputs, None);
        }
    }

    fn on_channel(
        &mut self,
        side: u64,
        command: impl FnOnce(
            &mut sluicegate_channels::node::Node,
            sluicegate_protocol::channel::ChannelId,
            Now,
        ) -> Vec<Output>,
    ) {
        self.run(index(side), None, |node, now| {
            let id = node.records().find(|record| !record.phase.is_over()).map(|record| record.id);
            id.map(|id| command(node, id, now)).unwrap_or_default()
        });
    }

    fn deliver(&mut self, side: usize) {
        if self.gateways[side].node.is_none() {
            return;
        }
        let Some(bytes) = self.wire[side].pop_front() else { return };
        let (envelope, length) = Codec::Perunio.decode(&bytes).unwrap().unwrap();
        assert_eq!(length, bytes.len(), "a message is one write");
        self.run(side, None, |node, now| node.message(NAMES[1 - side], envelope, now));
    }

    fn events(&mut self, side: usize) {
        if self.ledger.is_stalled || self.gateways[side].node.is_none() {
            return;
        }
        let (events, cursor) = self.ledger.events(self.gateways[side].cursor());
        if events.is_empty() {
            return;
        }
        self.run(side, Some(cursor), |node, now| {
            events.iter().flat_map(|event| node.ledger(event, now)).collect()
        });
    }

    fn forget(&mut self, side: usize) {
        let wanted = &mut self.gateways[side].disk.wanted;
        wanted.retain(|request| !matches!(request, sluicegate_ledger::Request::Register(_)));
        self.has_forgotten = true;
    }

    fn anew(&mut self, side: usize) {
        if self.ledger.is_stalled || self.gateways[side].node.is_none() {
            return;
        }
        let (events, cursor) = self.ledger.events(&Cursor::default());
        self.run(side, Some(cursor), |node, now| {
            let mut outputs = node.anew(now);
            outputs.extend(events.iter().flat_map(|event| node.ledger(event, now)));
            outputs
        });
    }

    fn start(&mut self, side: usize) {
        if self.gateways[side].node.is_some() {
            return;
        }
        let now = self.now();
        self.crash[side] = None;
        let outputs = self.gateways[side].start(now);
        self.perform(side, outputs, None);
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        for side in 0..2 {
            self.run(side, None, sluicegate_channels::node::Node::tick);
        }
    }

    /// Registers a state that was current once, with the signatures of both, from an account of its own.
    fn register_old(&mut self, side: usize, number: u64) {
        let history = &self.gateways[side].history;
        let signed = history.iter().filter(|record| record.current.is_some());
        let mut old: Vec<_> = signed.collect();
        old.dedup_by(|a, b| a.state() == b.state());
        let Some(record) = old.get(usize::try_from(number).unwrap()) else { return };
        self.check.expect_disputes();
        let requests = record.requests(Intent::Register, &|_, _| None);
        let known: Vec<_> = self.stolen.iter().map(sluicegate_ledger::Request::key).collect();
        let new = requests.into_iter().filter(|new| !known.contains(&new.key()));
        self.stolen.extend(new);
    }

    fn restore(&mut self, side: usize, batches: u64) {
        let Some(disk) = self.backups[side].get(usize::try_from(batches).unwrap()).cloned() else {
            return;
        };
        if disk.is_empty() {
            // A channel that is not in the backup is lost; that is for the administrator to know.
            return;
        }
        self.lose();
        self.check.expect_disputes();
        self.check.restored(side);
        let now = self.now();
        self.gateways[side].restore(disk);
        self.crash[side] = None;
        self.backups[side].clear();
        let outputs = self.gateways[side].start(now);
        self.perform(side, outputs, None);
        self.run(side, None, |node, now| {
            let ids: Vec<_> = node.records().map(|record| record.id).collect();
            ids.into_iter().flat_map(|id| node.restored(id, now)).collect()
        });
    }

    /// Everything calms down: both are up and connected, the ledger goes on, whoever can closes; then the end is checked.
    pub fn settle(&mut self) -> Result<(), String> {
        self.ledger.is_stalled = false;
        self.crash = [None, None];
        for round in 0..1_200_u64 {
            self.start(0);
            self.start(1);
            self.connect();
            self.calm();
            self.check.verdict()?;
            if self.is_settled() {
                // What was on its way to the ledger arrives.
                (0..LATE).for_each(|_| self.calm());
            }
            if self.is_settled() {
                return self.check.end(&self.gateways, &self.ledger);
            }
            if self.has_forgotten && round % 400 == 399 {
                self.lose();
                self.gateways.iter_mut().for_each(|gateway| gateway.node = None);
            }
            if round % 10 == 3 {
                let side = u64::from(round % 20 == 3);
                self.on_channel(side, |node, id, now| {
                    let is_open = node.record(&id).is_some_and(|r| r.phase == Phase::Open);
                    if is_open { node.close(id, now) } else { Vec::new() }
                });
            }
        }
        let phases = self.gateways.iter().flat_map(Gateway::channels);
        let phases: Vec<_> =
            phases.map(|record| (record.phase, record.restored, record.deadline_s)).collect();
        Err(format!("it does not come to an end: {phases:?}"))
    }

    fn calm(&mut self) {
        for side in 0..2 {
            while !self.wire[side].is_empty() && self.gateways[side].node.is_some() {
                self.deliver(side);
            }
        }
        self.wait(1_000);
        self.block();
        self.events(0);
        self.events(1);
    }

    fn is_settled(&self) -> bool {
        let is_over =
            |gateway: &Gateway| gateway.channels().iter().all(|record| record.phase.is_over());
        let is_quiet = self.wire.iter().all(VecDeque::is_empty);
        is_quiet && self.gateways.iter().all(is_over)
    }
}

fn index(side: u64) -> usize {
    usize::from(side % 2 == 1)
}

fn offer(output: &Output) -> Option<[u8; 32]> {
    match output {
        Output::Tell {
            about: About::Proposal(proposal),
            notice: sluicegate_channels::effect::Notice::Offered,
        } => Some(*proposal),
        _ => None,
    }
}
