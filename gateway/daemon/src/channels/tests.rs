//! Two gateways' channels in one process, on one embedded ledger, over a link in memory.

mod device;
mod reserve;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use sluicegate_channels::{
    Phase, Record,
    key::{Limit, device_key},
    node::{DeviceKey, Settings},
    policy::Policy,
    record::Stored as _,
    wire::{AddressMap, Envelope, Message, WireAddress},
};
use sluicegate_embedded::{
    chain,
    client::Embedded,
    owner::{ManualClock, Owner, drive},
};
use sluicegate_ledger::{
    Channels as _, Claim, Ledger as _, Registration, Request, SignedState,
    fees::{Budgets, Limits},
    outbox,
};
use sluicegate_protocol::channel::{Amount, ChannelId};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_local},
    time::sleep,
};

use super::*;
use crate::{
    anchorer::Anchorer,
    effects::Effects,
    store::channels::{Batch, Wanted},
    testing::{Parts, Place, run},
};

const GRANT: u64 = 1_000_000;
const CHALLENGE_S: u64 = 3_600;
const TICK: Duration = Duration::from_millis(10);

/// The ledger and the wire between the two.
struct World {
    clock: Arc<ManualClock>,
    sides: [Side; 2],
    _folder: tempfile::TempDir,
}

/// One gateway.
struct Side {
    name: &'static str,
    peer: &'static str,
    seed: u8,
    place: Place,
    account: Arc<Embedded>,
    running: Option<Running>,
    /// What the gateway sends is lost.
    cut: Rc<Cell<bool>>,
    /// The way to its channels as they run now.
    inbox: Rc<RefCell<Option<Handle>>>,
    /// What may leave its keys in a day.
    limit: Option<u64>,
    patience_ms: u64,
    /// Who observes its channels.
    changes: Changes,
    /// What it sets aside for each channel.
    reserve: u128,
}

struct Running {
    parts: Parts,
    handle: Handle,
    sent: Option<mpsc::UnboundedReceiver<Message>>,
    tasks: Vec<JoinHandle<()>>,
    channels: Option<JoinHandle<()>>,
}

struct Wire {
    sent: mpsc::UnboundedSender<Message>,
    cut: Rc<Cell<bool>>,
}

impl Links for Wire {
    fn send(&self, _: &str, message: Message) {
        if !self.cut.get() {
            let _ = self.sent.send(message);
        }
    }

    fn disconnect(&self, _: &str, reason: &str) {
        panic!("{reason}");
    }
}

fn address(name: &str) -> AddressMap {
    AddressMap::single(0, WireAddress::new(name, None).unwrap()).unwrap()
}

fn opening() -> Command {
    Command::Open {
        peer: "bob".into(),
        device: "meter".into(),
        own: amount(1_000),
        theirs: amount(500),
        challenge_s: None,
    }
}

fn amount(value: u64) -> Amount {
    Amount::from(value)
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = chain::Settings {
            grant: GRANT,
            base_fee: 1,
            finality_blocks: 1,
            block_interval_ms: 20,
            ..chain::Settings::new("ledger.test.example")
        };
        let clock = Arc::new(ManualClock::new(1_000_000_000));
        let file = folder.path().join("ledger");
        let owner = Owner::open(&file, settings, &[1; 32], clock.clone(), true).unwrap();
        drop(spawn_local(drive(owner.clone())));
        let ticking = clock.clone();
        spawn_local(async move {
            loop {
                sleep(TICK).await;
                ticking.advance(10);
            }
        });
        let side = |name, peer, seed| Side {
            name,
            peer,
            seed,
            place: Place::new(""),
            account: Arc::new(Embedded::new(owner.clone(), &[seed; 32]).unwrap()),
            running: None,
            cut: Rc::default(),
            inbox: Rc::default(),
            limit: None,
            patience_ms: 60_000,
            changes: Changes::default(),
            reserve: 20,
        };
        let sides = [side("alice", "bob", 2), side("bob", "alice", 3)];
        let mut world = Self { clock, sides, _folder: folder };
        world.sides.iter_mut().for_each(Side::open);
        world.sides[0].start().await;
        world.sides[1].start().await;
        world.connect().await;
        world
    }

    /// A connection between the two, who both run.
    async fn connect(&mut self) {
        for from in [0, 1] {
            let inbox = self.sides[1 - from].inbox.clone();
            let (name, recipient) = (self.sides[from].name, self.sides[from].peer);
            let to = inbox.borrow().clone().unwrap();
            to.peer(PeerEvent::Connected(name.into(), address(name))).await;
            let running = self.sides[from].running.as_mut().unwrap();
            let Some(mut sent) = running.sent.take() else { continue };
            running.tasks.push(spawn_local(async move {
                while let Some(message) = sent.recv().await {
                    let (sender, recipient) = (address(name), address(recipient));
                    let envelope = Envelope { sender, recipient, message };
                    let to = inbox.borrow().clone();
                    if let Some(to) = to {
                        to.peer(PeerEvent::Message(name.into(), envelope)).await;
                    }
                }
            }));
        }
    }

    /// A side was down and runs again: the connection is a new one.
    async fn connect_again(&mut self, side: usize) {
        let other = &self.sides[1 - side];
        other.handle().peer(PeerEvent::Lost(other.peer.into())).await;
        self.connect().await;
    }

    /// Why no channel is opened, once there is a connection.
    async fn refusal(&self) -> String {
        loop {
            match self.sides[0].handle().command(opening()).await {
                Err(reason) if reason.contains("no connection") => sleep(TICK).await,
                Err(reason) => return reason,
                Ok(answer) => panic!("{answer:?}"),
            }
        }
    }

    async fn open(&self) -> ChannelId {
        let opened = loop {
            match self.sides[0].handle().command(opening()).await {
                Err(reason) if reason.contains("no connection") => sleep(TICK).await,
                other => break other,
            }
        };
        let Ok(Answer::Opened(id)) = opened else { panic!("{opened:?}") };
        self.both_reach(&id, Phase::Open).await;
        id
    }

    async fn both_reach(&self, id: &ChannelId, phase: Phase) {
        for side in &self.sides {
            side.reaches(id, |record| record.phase == phase).await;
        }
    }

    /// A side registers an old state and watches nothing from then on.
    async fn register_old(&self, side: usize, id: &ChannelId, old: Record) {
        let side = &self.sides[side];
        side.running.as_ref().unwrap().channels.as_ref().unwrap().abort();
        let current = old.current.unwrap();
        let (state, signatures) = (current.state, current.signatures);
        let root = Claim { params: old.params, signed: SignedState { state, signatures } };
        let request = Request::Register(Box::new(Registration { root, subs: vec![] }));
        let (key, request) = (*request.key().as_bytes(), request.to_bytes());
        let wanted = vec![Wanted { key, request, stake: 1_500 }];
        let batch = Batch { wanted, ..Batch::default() };
        side.store(move |store| store.commit_channels(&batch).unwrap()).await;
        while side.account.dispute(id).await.unwrap().is_none() {
            sleep(TICK).await;
        }
    }

    /// Accounts hold what they had, their fees and the moved amount taken off.
    async fn check_balances(&self, paid: u64) {
        for (side, expected) in self.sides.iter().zip([GRANT - paid, GRANT + paid]) {
            let account = side.account.account().await.unwrap();
            let expected = u128::from(expected - account.next_nonce);
            assert_eq!(account.balance, expected, "{}", side.name);
        }
    }
}

impl Side {
    fn open(&mut self) {
        let parts = self.place.open();
        let (_, sent) = mpsc::unbounded_channel();
        let handle = Handle { inputs: mpsc::channel(1).0, news: Arc::default() };
        let (tasks, channels, sent) = (Vec::new(), None, Some(sent));
        self.running = Some(Running { parts, handle, sent, tasks, channels });
    }

    /// The outbox and the channels.
    async fn start(&mut self) {
        self.start_outbox().await;
        self.start_channels();
    }

    async fn start_outbox(&mut self) {
        let running = self.running.as_mut().unwrap();
        let limits =
            Limits { per_transaction: 10, per_day: 1_000, carry_over: 0, dispute_share_bp: 1_000 };
        let settings = outbox::Settings {
            limits,
            poll_ms: 20,
            backoff_min_ms: 20,
            backoff_max_ms: 200,
            bump_after_ms: 10_000,
            capacity: 100,
        };
        let (keeper, ledger) = (running.parts.keeper.clone(), self.account.clone());
        let clock = running.parts.clock;
        let anchorer = Anchorer::new(keeper, ledger, settings, clock, Effects::none());
        let (anchorer, _) = anchorer.await.unwrap();
        running.tasks.push(spawn_local(anchorer.reserving(self.reserve).run()));
    }

    fn start_channels(&mut self) {
        let plan = self.plan();
        let running = self.running.as_mut().unwrap();
        let (to_sent, sent) = mpsc::unbounded_channel();
        self.cut.set(false);
        let links = Box::new(Wire { sent: to_sent, cut: self.cut.clone() });
        let (keeper, clock) = (running.parts.keeper.clone(), running.parts.clock);
        let (task, handle) = Channels::new(keeper, self.account.clone(), links, clock, plan);
        let task = task.telling(self.changes.clone());
        *self.inbox.borrow_mut() = Some(handle.clone());
        (running.handle, running.sent) = (handle, Some(sent));
        running.channels = Some(spawn_local(task.run()));
    }

    fn plan(&self) -> Plan {
        let terms = self.account.terms();
        let asset = terms.assets[0].asset.clone();
        let limit = |units| Limit {
            name: "daily".into(),
            device: None,
            peer: None,
            asset: asset.clone(),
            amount: amount(units),
            period_s: 86_400,
        };
        let policy = Policy {
            assets: terms.assets.clone(),
            min_challenge_s: 60,
            max_challenge_s: 7_200,
            min_channel_value: amount(10),
            max_deposit: amount(10_000),
        };
        let settings = Settings {
            address: address(self.name),
            policy,
            limits: self.limit.map(limit).into_iter().collect(),
            receiver: terms.payout.receiver,
            answer_ms: 1_000,
            patience_ms: self.patience_ms,
            max_openings: 4,
            max_channels: 4,
        };
        let key = device_key(&[self.seed; 32], "meter").unwrap();
        Plan {
            settings,
            devices: vec![("meter".into(), DeviceKey::Here(key))],
            rules: vec![Rule { peer: self.peer.into(), device: "meter".into() }],
            challenge_s: CHALLENGE_S,
            ledger_pause: Duration::from_millis(20),
            warn_s: 600,
            fee_reserve: self.reserve,
        }
    }

    /// As by a power cut: nothing is told, nothing is sent any more.
    fn kill(&mut self) {
        let running = self.running.take().unwrap();
        *self.inbox.borrow_mut() = None;
        running.tasks.iter().chain(&running.channels).for_each(JoinHandle::abort);
        running.parts.close();
    }

    async fn restart(&mut self) {
        self.kill();
        self.open();
        self.start().await;
    }

    fn handle(&self) -> &Handle {
        &self.running.as_ref().unwrap().handle
    }

    async fn store<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut crate::store::Store) -> T + Send + 'static,
    ) -> T {
        let keeper = &self.running.as_ref().unwrap().parts.keeper;
        keeper.call(|desk, _| job(desk.recorder.store_mut())).await.unwrap()
    }

    async fn record(&self, id: &ChannelId) -> Option<Record> {
        let rows = self.store(|store| store.channels().unwrap()).await;
        let row = rows.into_iter().find(|row| row.id == id.as_bytes())?;
        Some(Record::from_bytes(&row.record).unwrap())
    }

    async fn reaches(&self, id: &ChannelId, is_there: impl Fn(&Record) -> bool) -> Record {
        let mut last = None;
        for _ in 0..1_000 {
            match self.record(id).await {
                Some(record) if is_there(&record) => return record,
                other => last = other,
            }
            sleep(TICK).await;
        }
        panic!("{} does not get there: {last:#?}; {:?}", self.name, self.alarms().await)
    }

    async fn alarms(&self) -> Vec<String> {
        let keeper = &self.running.as_ref().unwrap().parts.keeper;
        let alarms = keeper.call(|desk, _| desk.alarms().iter().map(ToString::to_string).collect());
        alarms.await.unwrap()
    }

    async fn pay(&self, id: ChannelId, units: u64) {
        let paid = self.handle().command(Command::Pay(id, amount(units))).await;
        assert_eq!(paid, Ok(Answer::Done));
    }

    async fn close(&self, id: ChannelId) {
        assert_eq!(self.handle().command(Command::Close(id)).await, Ok(Answer::Done));
    }
}

#[test]
fn a_channel_is_opened_used_and_closed_and_every_unit_is_there() {
    run(async {
        let world = World::new().await;
        let id = world.open().await;
        for _ in 0..10 {
            world.sides[0].pay(id, 7).await;
        }
        let refused = world.sides[0].handle().command(Command::Pay(id, amount(5_000))).await;
        assert_eq!(refused, Err("the balance in the channel is 930".to_owned()));
        world.sides[1].pay(id, 3).await;
        world.sides[0].close(id).await;
        world.both_reach(&id, Phase::Withdrawn).await;
        world.check_balances(67).await;
        for side in &world.sides {
            assert_eq!(side.alarms().await, Vec::<String>::new());
        }
    });
}

#[test]
fn a_power_cut_between_commit_and_send_loses_and_doubles_nothing() {
    run(async {
        let mut world = World::new().await;
        let id = world.open().await;
        world.sides[0].pay(id, 7).await;
        // The payment is committed; nothing of it leaves.
        world.sides[0].cut.set(true);
        let handle = world.sides[0].handle().clone();
        spawn_local(async move { handle.command(Command::Pay(id, amount(7))).await });
        let signed = |record: &Record| record.pending.as_ref().is_some_and(|p| p.own.is_some());
        world.sides[0].reaches(&id, signed).await;
        world.sides[0].kill();
        // And the peer's acceptance is committed there, and does not arrive either.
        world.sides[1].cut.set(true);
        world.sides[0].open();
        world.sides[0].start().await;
        world.connect_again(0).await;
        let version = |wanted| {
            move |record: &Record| record.state().is_some_and(|state| state.version == wanted)
        };
        world.sides[1].reaches(&id, version(2)).await;
        world.sides[1].restart().await;
        world.connect_again(1).await;
        world.sides[0].reaches(&id, version(2)).await;
        world.sides[0].pay(id, 7).await;
        world.sides[0].close(id).await;
        world.both_reach(&id, Phase::Withdrawn).await;
        world.check_balances(21).await;
    });
}

#[test]
fn an_old_state_that_is_registered_while_we_are_down_is_refuted() {
    run(async {
        let mut world = World::new().await;
        let id = world.open().await;
        let zero = world.sides[1].record(&id).await.unwrap();
        for _ in 0..10 {
            world.sides[1].pay(id, 7).await;
        }
        world.sides[0].kill();
        // The peer has paid, and wants it back.
        world.register_old(1, &id, zero).await;
        let account = world.sides[1].account.clone();
        world.sides[0].open();
        world.sides[0].start().await;
        let newest = |record: &Record| record.view.registration().is_some_and(|r| r.version == 10);
        world.sides[0].reaches(&id, newest).await;
        assert_eq!(account.dispute(&id).await.unwrap().unwrap().version, 10);
        world.clock.advance(CHALLENGE_S * 1_000);
        world.sides[0].reaches(&id, |record| record.phase == Phase::Withdrawn).await;
        // The peer comes to its senses.
        world.sides[1].start_channels();
        world.both_reach(&id, Phase::Withdrawn).await;
        let alice = world.sides[0].account.account().await.unwrap();
        assert_eq!(alice.balance, u128::from(GRANT + 70 - alice.next_nonce));
        assert!(world.sides[0].alarms().await.iter().any(|alarm| alarm.contains("is settled")));
    });
}

#[test]
fn a_store_that_signed_more_than_its_record_knows_signs_nothing_more() {
    run(async {
        let world = World::new().await;
        let id = world.open().await;
        world.sides[0].pay(id, 7).await;
        // Another state with version 2 was signed, by whomever.
        let (channel, signature) = (*id.as_bytes(), Some(vec![9; 65]));
        let other = crate::store::channels::Signature {
            channel,
            version: 2,
            hash: Some([9; 32]),
            signature,
        };
        let batch = Batch { signatures: vec![other], ..Batch::default() };
        world.sides[0].store(move |store| store.commit_channels(&batch).unwrap()).await;
        let paid = world.sides[0].handle().command(Command::Pay(id, amount(7))).await;
        assert!(paid.is_err(), "{paid:?}");
        let record = world.sides[0].reaches(&id, |record| record.restored).await;
        assert_eq!(record.state().unwrap().version, 1);
        let bob = world.sides[1].record(&id).await.unwrap();
        assert_eq!(bob.state().unwrap().version, 1, "version 2 was shown");
        let alarms = world.sides[0].alarms().await;
        assert!(alarms.iter().any(|alarm| alarm.contains("version 2")), "{alarms:?}");
    });
}

#[test]
fn a_restored_backup_is_settled_and_signs_nothing() {
    run(async {
        let mut world = World::new().await;
        let id = world.open().await;
        world.sides[0].pay(id, 7).await;
        world.sides[0].kill();
        world.sides[0].open();
        let keeper = world.sides[0].running.as_ref().unwrap().parts.keeper.clone();
        keeper.call(|desk, _| desk.declare_restored().unwrap()).await.unwrap();
        world.sides[0].start().await;
        world.connect_again(0).await;
        world.sides[0].reaches(&id, |record| record.restored).await;
        let paid = world.sides[0].handle().command(Command::Pay(id, amount(7))).await;
        assert!(paid.is_err(), "{paid:?}");
        let told = world.sides[0].store(|store| store.channels_restored().unwrap()).await;
        assert!(!told, "it is told again at every start");
    });
}

#[test]
fn what_a_limit_has_counted_and_set_aside_survives_a_restart() {
    run(async {
        let mut world = World::new().await;
        world.sides[0].limit = Some(100);
        world.sides[0].restart().await;
        world.connect_again(0).await;
        let id = world.open().await;
        world.sides[0].pay(id, 60).await;
        world.sides[0].restart().await;
        world.connect_again(0).await;
        let over = loop {
            match world.sides[0].handle().command(Command::Pay(id, amount(41))).await {
                Err(reason) if reason.contains("no such channel") => sleep(TICK).await,
                over => break over,
            }
        };
        let reason = over.unwrap_err();
        assert!(reason.contains("the limit daily leaves 40"), "{reason}");
        world.sides[0].pay(id, 40).await;
        let reserved = || world.sides[0].store(|store| store.reserves_due().unwrap());
        assert!(reserved().await.iter().all(Vec::is_empty), "fees of a dispute are not set aside");
        world.sides[0].close(id).await;
        world.both_reach(&id, Phase::Withdrawn).await;
        for _ in 0..200 {
            sleep(TICK).await;
            let budgets = world.sides[0].store(|store| store.outbox().unwrap()).await;
            let budgets = budgets.into_iter().find(|(key, _)| *key == outbox::BUDGETS_KEY);
            let budgets = budgets.map(|(_, bytes)| Budgets::decode(&bytes).unwrap()).unwrap();
            if budgets.reserve() == 0 {
                return;
            }
        }
        panic!("the fees are not given back");
    });
}

#[test]
fn what_was_deposited_is_known_while_the_ledger_is_read_anew() {
    run(async {
        let mut world = World::new().await;
        let id = world.open().await;
        world.sides[0].pay(id, 7).await;
        let mut record = world.sides[0].record(&id).await.unwrap();
        let sluicegate_channels::Input::Anew(view) = record.anew() else { panic!() };
        record.view = view;
        let (bytes, id) = (record.to_bytes(), *id.as_bytes());
        let row = rows::ChannelRow { id, record: bytes, over: false, enforced_from: 1 };
        world.sides[0].kill();
        world.sides[0].open();
        let batch = Batch { records: vec![row], ..Batch::default() };
        world.sides[0].store(move |store| store.commit_channels(&batch).unwrap()).await;
        world.sides[0].start().await;
        let accounts = world.sides[0].handle().command(Command::Accounts("meter".into())).await;
        let Ok(Answer::Accounts(accounts)) = accounts else { panic!("{accounts:?}") };
        assert_eq!((accounts[0].deposited, accounts[0].own), (amount(1_000), amount(993)));
    });
}
