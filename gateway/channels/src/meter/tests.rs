//! Meters in every order of readings, payments, refusals and crashes that chance gives them.

use proptest::prelude::*;

use super::*;

const STEP: u64 = 10;
const PRICES: [u64; 2] = [15, 2];
const MAX_STEPS: u32 = 3;

fn channel(place: usize) -> ChannelId {
    ChannelId::new([u8::try_from(place).unwrap() + 1; 32])
}

fn peer(place: usize) -> String {
    format!("payee-{place}")
}

fn price(place: usize) -> Price {
    Price { peer: peer(place), price: PRICES[place].into() }
}

fn tariff(side: Side) -> Tariff {
    Tariff { step: Decimal::new(1, 1), max_steps: MAX_STEPS, side }
}

fn payer() -> Tariff {
    tariff(Side::Pays(vec![price(0), price(1)]))
}

/// A channel whose ledger and peer are played.
#[derive(Debug, Clone)]
struct Played {
    deposited: u64,
    own: u64,
    under_way: Option<u64>,
    is_open: bool,
    is_connected: bool,
    /// Where the meter may have begun at the earliest: the end of the log when the channel opened.
    opened: u64,
}

impl Played {
    fn paid(&self) -> u64 {
        self.deposited - self.own
    }
}

/// What is durable, and a meter that is not.
struct World {
    log: Vec<Reading>,
    channels: Vec<Played>,
    kept: BTreeMap<ChannelId, Count>,
    meter: Meter,
    words: Vec<Word>,
    /// Effects that are still performed; then the process is dead.
    life: usize,
    value: u64,
    seq: u64,
}

impl World {
    fn new(deposit: u64) -> Self {
        let played = Played {
            deposited: deposit,
            own: deposit,
            under_way: None,
            is_open: true,
            is_connected: true,
            opened: 0,
        };
        let mut world = Self {
            log: Vec::new(),
            channels: vec![played; 2],
            kept: BTreeMap::new(),
            meter: Meter::new(payer()),
            words: Vec::new(),
            life: usize::MAX,
            value: 1_000,
            seq: 0,
        };
        world.look();
        world
    }

    fn end(&self) -> Place {
        Place { log: 1, index: self.log.len() as u64 }
    }

    fn accounts(&self) -> Vec<Account> {
        let account = |(place, played): (usize, &Played)| Account {
            channel: channel(place),
            peer: peer(place),
            is_open: played.is_open,
            is_free: played.under_way.is_none() && played.is_connected,
            deposited: played.deposited.into(),
            own: played.own.into(),
        };
        self.channels.iter().enumerate().map(account).collect()
    }

    /// As the daemon does it: what the log holds, then the channels.
    fn look(&mut self) {
        if let Some(next) = self.meter.next() {
            let new: Vec<_> = self.log.iter().filter(|r| r.place >= next).copied().collect();
            let effects = self.meter.readings(&new, self.end());
            self.perform(effects);
        }
        let effects = self.meter.accounts(&self.accounts(), self.end());
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if self.life == 0 {
                return;
            }
            self.life -= 1;
            match effect {
                Effect::Keep(channel, count) => drop(self.kept.insert(channel, count)),
                Effect::Pay(id, amount) => self.begin(id, amount),
                Effect::Switch(_) => panic!("who pays switches nothing"),
                Effect::Tell(word) => self.words.push(word),
            }
        }
    }

    fn begin(&mut self, id: ChannelId, amount: Amount) {
        let amount = u64::try_from(u128::try_from(amount).unwrap()).unwrap();
        let place = (0..2).find(|place| channel(*place) == id).unwrap();
        let played = &mut self.channels[place];
        assert!(played.under_way.is_none() && played.is_open, "a payment into a busy channel");
        assert!(amount > 0 && amount <= played.own, "{amount} of {}", played.own);
        assert!(amount <= PRICES[place] * u64::from(MAX_STEPS), "one reading pays too much");
        played.under_way = Some(amount);
    }

    fn push(&mut self, seq: u64, value: u64) {
        let place = self.end();
        let value = Decimal::new(i64::try_from(value).unwrap(), 0);
        self.log.push(Reading { place, seq: Some(seq), value });
    }

    fn crash(&mut self) {
        self.meter = Meter::new(payer());
        self.life = usize::MAX;
        for (channel, count) in &self.kept {
            self.meter.load(*channel, *count);
        }
        self.look();
        self.look();
    }

    /// What a session that began at this leaf has delivered, counted the simple way.
    fn delivered(&self, from: u64) -> u64 {
        let (mut newest_seq, mut last, mut total) = (0, None, 0);
        for reading in self.log.iter().filter(|reading| reading.place.index >= from) {
            let (seq, value) = (reading.seq.unwrap(), reading.value.scaled(0).unwrap());
            if seq <= newest_seq && last.is_some() {
                continue;
            }
            total += last.map_or(0, |last| i64::max(value - last, 0));
            (newest_seq, last) = (seq, Some(value));
        }
        total.try_into().unwrap()
    }

    /// Never more than one step ahead of what was delivered.
    fn check(&self) {
        for (place, played) in self.channels.iter().enumerate() {
            let ahead = (self.delivered(played.opened) / STEP + 1) * PRICES[place];
            let most = if self.log.len() as u64 > played.opened { ahead } else { 0 };
            let promised = played.paid() + played.under_way.unwrap_or(0);
            assert!(promised <= most, "{promised} paid or promised to {place}, {most} is due");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Back,
    Complete(usize),
    Connect(usize, bool),
    Crash,
    Dies(usize),
    Look,
    Overtaken,
    Refuse(usize),
    Repeated,
    Rise(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Back),
        6 => (0..2_usize).prop_map(Step::Complete),
        1 => (0..2_usize, any::<bool>()).prop_map(|(place, is)| Step::Connect(place, is)),
        1 => Just(Step::Crash),
        1 => (0..4_usize).prop_map(Step::Dies),
        6 => Just(Step::Look),
        1 => Just(Step::Overtaken),
        1 => (0..2_usize).prop_map(Step::Refuse),
        1 => Just(Step::Repeated),
        6 => (0..25_u64).prop_map(Step::Rise),
    ]
}

fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Back => {
            (world.seq, world.value) = (world.seq + 1, world.value / 2);
            world.push(world.seq, world.value);
        }
        Step::Complete(place) => {
            let played = &mut world.channels[place];
            played.own -= played.under_way.take().unwrap_or(0);
        }
        Step::Connect(place, is_connected) => world.channels[place].is_connected = is_connected,
        Step::Crash => world.crash(),
        // The process dies after so many effects, wherever that is.
        Step::Dies(life) => {
            world.life = life;
            world.look();
            world.crash();
        }
        Step::Look => world.look(),
        Step::Overtaken if world.seq > 2 => world.push(world.seq - 2, world.value / 2),
        Step::Refuse(place) => {
            if world.channels[place].under_way.take().is_some() {
                let effects = world.meter.refused(&channel(place), "it does not like it");
                world.perform(effects);
            }
        }
        Step::Repeated if world.seq > 0 => world.push(world.seq, world.value),
        Step::Overtaken | Step::Repeated => {}
        Step::Rise(more) => {
            (world.seq, world.value) = (world.seq + 1, world.value + more);
            world.push(world.seq, world.value);
        }
    }
}

/// Everybody is there, nothing is refused, and the device goes on reporting the same.
fn quiesce(world: &mut World) {
    for place in 0..2 {
        world.channels[place].is_connected = true;
    }
    for _ in 0..200 {
        (0..2).for_each(|place| take(world, &Step::Complete(place)));
        take(world, &Step::Rise(0));
        world.look();
        world.check();
    }
    (0..2).for_each(|place| take(world, &Step::Complete(place)));
}

proptest! {
    #[test]
    fn in_every_order_each_step_is_paid_once(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new(1_000_000);
        let mut paid = [0, 0];
        for step in &steps {
            take(&mut world, step);
            world.check();
            for (before, played) in paid.iter_mut().zip(&world.channels) {
                prop_assert!(played.paid() >= *before, "a payment was taken back");
                *before = played.paid();
            }
        }
        quiesce(&mut world);
        let due = world.delivered(0) / STEP + 1;
        prop_assert_eq!(world.channels[0].paid(), due * PRICES[0]);
        prop_assert_eq!(world.channels[1].paid(), due * PRICES[1]);
    }

    #[test]
    fn a_small_deposit_is_paid_out_and_no_more(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new(100);
        for step in &steps {
            take(&mut world, step);
            world.check();
        }
        quiesce(&mut world);
        for (played, price) in world.channels.iter().zip(PRICES) {
            let delivered = world.delivered(0) / STEP * price;
            let expected = if delivered + price <= 100 { delivered + price } else { delivered.min(100) };
            // The step ahead may have been the last one that was paid.
            prop_assert!(played.paid() == expected || delivered + price > 100 && played.paid() > expected);
        }
    }
}

fn told(world: &World, part: &str) -> usize {
    world.words.iter().filter(|word| word.to_string().contains(part)).count()
}

#[test]
fn the_first_reading_after_the_opening_is_where_it_counts_from() {
    let mut world = World::new(1_000);
    world.look();
    assert_eq!(world.channels[0].under_way, None, "nothing before the first reading");
    take(&mut world, &Step::Rise(500));
    world.look();
    assert_eq!((world.channels[0].under_way, world.channels[1].under_way), (Some(15), Some(2)));
    quiesce(&mut world);
    assert_eq!((world.channels[0].paid(), world.channels[1].paid()), (15, 2));
}

/// What a start reads again is bounded, and payloads that were erased meanwhile are not missed.
#[test]
fn a_count_is_kept_with_the_first_reading_and_often_enough() {
    let mut world = World::new(1_000_000);
    take(&mut world, &Step::Rise(0));
    world.look();
    assert_eq!(world.kept[&channel(0)].last, Some(Decimal::new(1_000, 0)));
    for _ in 0..200 {
        take(&mut world, &Step::Rise(1));
        world.look();
    }
    let behind = world.end().index - world.kept[&channel(0)].next.index;
    assert!(behind <= u64::from(SNAPSHOT), "{behind} readings would be read again");
}

#[test]
fn a_refused_payment_waits_for_the_next_reading_and_the_other_payee_does_not() {
    let mut world = World::new(1_000);
    take(&mut world, &Step::Rise(0));
    world.look();
    take(&mut world, &Step::Refuse(0));
    for _ in 0..5 {
        world.look();
        take(&mut world, &Step::Complete(1));
    }
    assert_eq!((world.channels[0].under_way, world.channels[1].paid()), (None, 2));
    assert_eq!(told(&world, "it does not like it"), 1);
    take(&mut world, &Step::Rise(12));
    world.look();
    assert_eq!((world.channels[0].under_way, world.channels[1].under_way), (Some(30), Some(2)));
}

#[test]
fn the_same_refusal_with_other_numbers_is_told_once() {
    let mut world = World::new(1_000);
    for (seq, left) in [5, 4, 3].into_iter().enumerate() {
        take(&mut world, &Step::Rise(if seq == 0 { 0 } else { 10 }));
        world.look();
        world.channels[0].under_way = None;
        let effects = world.meter.refused(&channel(0), &format!("the limit leaves {left}"));
        world.perform(effects);
    }
    assert_eq!((told(&world, "the limit leaves"), told(&world, "refused")), (1, 1));
    let effects = world.meter.refused(&channel(0), "the device does not want it");
    world.perform(effects);
    assert_eq!(told(&world, "refused"), 2);
}

#[test]
fn a_jump_is_paid_in_parts_and_told() {
    let mut world = World::new(10_000);
    take(&mut world, &Step::Rise(0));
    take(&mut world, &Step::Rise(1_000));
    for _ in 0..3 {
        world.look();
        take(&mut world, &Step::Complete(0));
    }
    assert_eq!(world.channels[0].paid(), 45, "three steps with one reading");
    assert_eq!(told(&world, "more than 3 steps are due to payee-0"), 1);
    take(&mut world, &Step::Rise(0));
    world.look();
    assert_eq!(world.channels[0].under_way, Some(45));
}

#[test]
fn a_payee_without_a_channel_is_told_of_and_the_other_is_paid() {
    let mut world = World::new(1_000);
    world.channels[1].is_open = false;
    for more in [0, 3, 5] {
        take(&mut world, &Step::Rise(more));
        world.look();
    }
    assert_eq!((world.channels[0].under_way, world.channels[1].under_way), (Some(15), None));
    assert_eq!(told(&world, "no open channel with payee-1"), 1);
}

#[test]
fn without_any_channel_nothing_is_said() {
    let mut world = World::new(1_000);
    world.channels.iter_mut().for_each(|played| played.is_open = false);
    world.look();
    world.words.clear();
    take(&mut world, &Step::Rise(5));
    world.look();
    assert_eq!((world.meter.next(), &world.words), (None, &vec![]));
}

#[test]
fn a_low_balance_is_told_before_it_is_exhausted() {
    let mut world = World::new(40);
    let mut told_so_far = Vec::new();
    for more in [0, 10, 0, 10, 0] {
        take(&mut world, &Step::Rise(more));
        world.look();
        take(&mut world, &Step::Complete(0));
        world.look();
        told_so_far.push((told(&world, "less than one step"), told(&world, "what is due")));
    }
    assert_eq!(told_so_far, [(0, 0), (1, 0), (1, 0), (1, 1), (1, 1)]);
    assert_eq!(world.channels[0].paid(), 30, "two steps; the third is not paid ahead");
}

#[test]
fn the_end_of_the_channel_is_the_end_of_the_session() {
    let mut world = World::new(1_000);
    take(&mut world, &Step::Rise(0));
    world.look();
    world.channels[0].is_open = false;
    world.look();
    assert_eq!(told(&world, "the session ends"), 1);
    take(&mut world, &Step::Rise(100));
    world.look();
    assert_eq!(world.meter.standings()[0].channel, None);
}

/// A seller, its only channel, and what it was told to do.
struct Shop {
    meter: Meter,
    own: u64,
    index: u64,
}

impl Shop {
    fn new() -> Self {
        let meter = Meter::new(tariff(Side::Sells(price(0))));
        Self { meter, own: 500, index: 0 }
    }

    fn account(&self, is_open: bool) -> Account {
        let (channel, peer) = (channel(0), peer(0));
        let (deposited, own) = (500_u64.into(), self.own.into());
        Account { channel, peer, is_open, is_free: true, deposited, own }
    }

    fn paid(&mut self, amount: u64) -> Option<bool> {
        self.own += amount;
        let effects = self.meter.accounts(&[self.account(true)], Place::default());
        switched(&effects)
    }

    fn reads(&mut self, value: i32) -> Option<bool> {
        let place = Place { log: 1, index: self.index };
        self.index += 1;
        let effects = self
            .meter
            .readings(&[Reading { place, seq: None, value: Decimal::from(value) }], place);
        assert_eq!(switched(&effects), None, "only a view of the channels decides");
        self.paid(0)
    }
}

fn switched(effects: &[Effect]) -> Option<bool> {
    let mut switches = effects.iter().filter_map(|effect| match effect {
        Effect::Switch(on) => Some(*on),
        _ => None,
    });
    let first = switches.next();
    assert_eq!(switches.next(), None, "one switch at a time");
    first
}

proptest! {
    /// In every order of readings and payments it is on only while a step is paid and less than half of one is owed, and
    /// whenever that is so.
    #[test]
    fn who_sells_is_owed_less_than_half_a_step(
        steps in prop::collection::vec((any::<bool>(), 0..20_i32), 1..60),
    ) {
        let mut shop = Shop::new();
        let (mut counter, mut first) = (1_000, None);
        shop.paid(0);
        for (is_reading, more) in steps {
            if is_reading {
                counter += more;
                first.get_or_insert(counter);
                shop.reads(counter);
            } else {
                shop.paid(u64::from(more.unsigned_abs()));
            }
            let delivered = first.map_or(0, |first| u64::from((counter - first).unsigned_abs()));
            let paid = (shop.own - 500) / PRICES[0];
            let may = first.is_some() && paid >= 1 && 2 * delivered < 2 * paid * STEP + STEP;
            prop_assert_eq!(shop.meter.is_on(), Some(may));
        }
    }
}

#[test]
fn who_sells_begins_when_a_step_is_paid_and_stops_half_a_step_behind() {
    let mut shop = Shop::new();
    assert_eq!(shop.paid(0), Some(false), "off at first, whatever it was");
    assert_eq!(shop.reads(1_000), None);
    assert_eq!(shop.paid(14), None);
    assert_eq!(shop.paid(1), Some(true));
    assert_eq!(
        (shop.reads(1_010), shop.reads(1_014), shop.reads(1_015)),
        (None, None, Some(false))
    );
    assert_eq!(shop.paid(15), Some(true));
    assert_eq!((shop.paid(30), shop.reads(1_044), shop.reads(1_045)), (None, None, Some(false)));
}

/// Who pays has counted less, and pays for the next step only when more has come.
#[test]
fn counters_that_differ_a_little_do_not_stop_each_other() {
    let mut shop = Shop::new();
    let mut car = Meter::new(payer());
    let account = |own: u64| Account {
        channel: channel(0),
        peer: peer(0),
        is_open: true,
        is_free: true,
        deposited: 1_000_u64.into(),
        own: own.into(),
    };
    let mut left = 1_000;
    shop.reads(0);
    car.accounts(&[account(left)], Place::default());
    for index in 0..20_u64 {
        let place = Place { log: 1, index };
        // The car loses 4 on the way to its counter.
        let counted = (3 * i32::try_from(index).unwrap() - 4).max(0);
        car.readings(&[Reading { place, seq: None, value: Decimal::from(counted) }], place);
        for effect in car.accounts(&[account(left)], Place::default()) {
            if let Effect::Pay(_, amount) = effect {
                let amount = u64::try_from(u128::try_from(amount).unwrap()).unwrap();
                left -= amount;
                shop.paid(amount);
            }
        }
        shop.reads(3 * i32::try_from(index).unwrap());
        assert_eq!(shop.meter.is_on(), Some(true), "{index}");
    }
}

#[test]
fn while_the_channels_can_t_be_seen_it_is_off() {
    let mut shop = Shop::new();
    assert_eq!(switched(&shop.meter.unseen()), Some(false));
    assert_eq!((shop.paid(15), shop.reads(0)), (None, Some(true)));
    assert_eq!(switched(&shop.meter.unseen()), Some(false));
    assert_eq!(switched(&shop.meter.unseen()), None);
    assert_eq!(shop.paid(0), Some(true), "the session goes on");
    assert_eq!(Meter::new(payer()).unseen(), []);
}

#[test]
fn without_a_channel_it_is_off() {
    let mut shop = Shop::new();
    shop.reads(0);
    shop.paid(0);
    shop.reads(0);
    assert_eq!(shop.paid(15), Some(true));
    let ended = shop.meter.accounts(&[shop.account(false)], Place::default());
    assert_eq!(switched(&ended), Some(false));
}
