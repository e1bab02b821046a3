//! Money on the ledger: no unit is made or lost in any history, reorgs and restarts included, and a reorg leaves
//! exactly what was there before. And what this ledger does beyond Perun's contracts.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sluicegate_embedded::{
    Chain, Settings,
    asset::{native_asset, payout_address},
    disk::MemoryDisk,
    transaction::Body,
};
use sluicegate_ledger::{
    Claim, Conclusion, Deposit, Dispute, Error, Landed, Registration, Request, SignedState, Status,
    TransactionId, Withdrawal,
};
use sluicegate_protocol::{
    SigningKey,
    channel::{
        self, Address, Allocation, Amount, ChannelKind, FundingId, Nonce, Params, Participant,
        State, SubAlloc, WithdrawalAuth,
    },
};

const NAME: &str = "ledger.example";
const GRANT: u64 = 300;
/// What a channel holds, and what of it a sub-channel does.
const TOTAL: u64 = 100;
const LOCKED: u64 = 20;
/// Accounts that submit, and one that is only ever paid.
const ACCOUNTS: [u8; 4] = [2, 3, 4, 5];
/// Participants of the channels, and a stranger to them.
const SIGNERS: [u8; 3] = [0x11, 0x22, 0x33];

fn open(disk: &MemoryDisk, finality_blocks: u64) -> Chain {
    let settings = Settings { grant: GRANT, base_fee: 1, finality_blocks, ..Settings::new(NAME) };
    Chain::open(Box::new(disk.clone()), settings, &[1; 32], 1_000).unwrap()
}

fn account(seed: u8) -> [u8; 32] {
    SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()
}

fn signer(who: usize) -> channel::SigningKey {
    channel::SigningKey::from_bytes(&[SIGNERS[who]; 32]).unwrap()
}

fn amount(units: u64) -> Amount {
    Amount::from(units)
}

fn params(channel: u8, kind: ChannelKind) -> Params {
    let participants = [0, 1].map(|who| Participant::new(signer(who).address()));
    let (nonce, app) = (Nonce::new([channel; 32]), Address::ZERO);
    Params { challenge_duration: 10, nonce, participants, app, kind }
}

/// A version of a channel, and of the sub-channel that every second version funds.
#[derive(Debug, Clone, Copy)]
struct Version {
    channel: u8,
    version: u64,
    first: u64,
    is_final: bool,
}

impl Version {
    fn state(&self, kind: ChannelKind) -> State {
        let (nonce, total) = match kind {
            ChannelKind::Ledger if self.has_sub() => (self.channel, TOTAL - LOCKED),
            ChannelKind::Ledger => (self.channel, TOTAL),
            _ => (self.channel + 100, LOCKED),
        };
        let first = self.first * total / TOTAL;
        let row = (native_asset(NAME), [amount(first), amount(total - first)]);
        let state = State::initial(params(nonce, kind).id(), Allocation::new(&[row]).unwrap());
        State { version: self.version, ..state }
    }

    const fn has_sub(&self) -> bool {
        self.version.is_multiple_of(2) && !self.is_final
    }

    fn root(&self) -> State {
        let mut root = self.state(ChannelKind::Ledger);
        root.is_final = self.is_final;
        if self.has_sub() {
            let id = self.state(ChannelKind::Sub).channel;
            let balances = [amount(LOCKED)].into_iter().collect();
            root.outcome.locked.push(SubAlloc { id, balances, index_map: [1, 0] }).unwrap();
        }
        root
    }

    fn subs(&self) -> Vec<State> {
        self.has_sub().then(|| self.state(ChannelKind::Sub)).into_iter().collect()
    }

    fn claim(&self) -> Claim {
        claim(params(self.channel, ChannelKind::Ledger), self.root())
    }

    fn register(&self) -> Request {
        let sub = |state| claim(params(self.channel + 100, ChannelKind::Sub), state);
        let subs = self.subs().into_iter().map(sub).collect();
        Request::Register(Box::new(Registration { root: self.claim(), subs }))
    }

    fn conclude(&self) -> Request {
        let params = params(self.channel, ChannelKind::Ledger);
        let (state, subs) = (self.root(), self.subs());
        Request::Conclude(Box::new(Conclusion { params, state, subs }))
    }
}

fn claim(params: Params, state: State) -> Claim {
    let signatures = [0, 1].map(|who| signer(who).sign_state(&state).unwrap());
    Claim { params, signed: SignedState { state, signatures } }
}

fn deposit(channel: u8, who: usize, units: u64) -> Request {
    let (channel, participant) = (params(channel, ChannelKind::Ledger).id(), signer(who).address());
    let (asset, amount) = (native_asset(NAME), amount(units));
    Request::Deposit(Box::new(Deposit { channel, participant, asset, amount }))
}

fn withdraw(channel: u8, who: usize, units: u64, to: u8) -> Request {
    let authorisation = WithdrawalAuth {
        channel: params(channel, ChannelKind::Ledger).id(),
        participant: Participant::new(signer(who).address()),
        receiver: payout_address(&account(to)),
        amount: amount(units),
    };
    let signature = signer(who).sign_withdrawal(&authorisation).unwrap();
    let asset = native_asset(NAME);
    Request::Withdraw(Box::new(Withdrawal { authorisation, asset, signature }))
}

#[derive(Debug, Clone)]
enum Step {
    Submit { by: u8, ahead: u64, fee: u64, want: Want },
    Produce { seconds: u64 },
    Reorg { blocks: u64, keep: bool },
    Restart,
}

fn channel() -> impl Strategy<Value = u8> {
    1u8..3
}

/// Few different ones, so that what is concluded is often what was registered.
fn version() -> impl Strategy<Value = Version> {
    (channel(), 1u64..5, 0u64..3, any::<bool>()).prop_map(|(channel, version, first, is_final)| {
        Version { channel, version, first: first * 50, is_final }
    })
}

/// What somebody wants; what exactly depends on how the ledger stands.
#[derive(Debug, Clone)]
enum Want {
    Deposit {
        channel: u8,
        who: usize,
        units: u64,
    },
    Register(Version),
    /// What is registered, if it is one of ours.
    Conclude {
        channel: u8,
    },
    ConcludeFinal(Version),
    /// A share of what lies there, in percent.
    Withdraw {
        channel: u8,
        who: usize,
        percent: u64,
        to: usize,
    },
}

fn want() -> impl Strategy<Value = Want> {
    let withdraw = (channel(), 0usize..3, 40u64..=110, 0usize..4);
    prop_oneof![
        4 => (channel(), 0usize..3, 20u64..90)
            .prop_map(|(channel, who, units)| Want::Deposit { channel, who, units }),
        3 => version().prop_map(Want::Register),
        3 => channel().prop_map(|channel| Want::Conclude { channel }),
        1 => version().prop_map(Want::ConcludeFinal),
        5 => withdraw.prop_map(|(channel, who, percent, to)| {
            Want::Withdraw { channel, who, percent, to }
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (2u8..5, 0u64..2, 1u64..4, want())
            .prop_map(|(by, ahead, fee, want)| Step::Submit { by, ahead, fee, want }),
        5 => (0u64..12).prop_map(|seconds| Step::Produce { seconds }),
        1 => (1u64..3, any::<bool>()).prop_map(|(blocks, keep)| Step::Reorg { blocks, keep }),
        1 => Just(Step::Restart),
    ]
}

/// All that can be seen of money and channels.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    balances: Vec<u128>,
    parts: Vec<Amount>,
    disputes: Vec<Option<Dispute>>,
    settled: Vec<bool>,
    nonces: Vec<u64>,
}

struct World {
    disk: MemoryDisk,
    chain: Chain,
    finality_blocks: u64,
    now: u64,
    submitted: BTreeMap<TransactionId, u64>,
    registered: Vec<Version>,
    /// After each block.
    history: Vec<Seen>,
}

impl World {
    fn new(finality_blocks: u64) -> Self {
        let disk = MemoryDisk::default();
        let chain = open(&disk, finality_blocks);
        let history = vec![see(&chain)];
        let (submitted, registered) = (BTreeMap::new(), vec![]);
        Self { disk, chain, finality_blocks, now: 1_000, submitted, registered, history }
    }

    fn submit(&mut self, by: u8, fee: u64, request: &Request) -> Result<TransactionId, Error> {
        self.submit_ahead(by, 0, fee, request)
    }

    fn submit_ahead(
        &mut self,
        by: u8,
        ahead: u64,
        fee: u64,
        request: &Request,
    ) -> Result<TransactionId, Error> {
        let key = SigningKey::from_bytes(&[by; 32]);
        let nonce = self.chain.account(&account(by)).next_nonce + ahead;
        let body = Body::new(account(by), nonce, fee, request);
        let id = self.chain.submit(&body.sign(NAME, &key).to_bytes())?;
        // The same once more is one transaction.
        self.submitted.insert(id, fee);
        Ok(id)
    }

    fn request(&mut self, want: &Want) -> Request {
        match *want {
            Want::Deposit { channel, who, units } => deposit(channel, who, units),
            Want::Register(version) => {
                self.registered.push(version);
                version.register()
            }
            Want::Conclude { channel } => {
                let known = self.chain.dispute(&params(channel, ChannelKind::Ledger).id());
                let mut versions = self.registered.iter().rev();
                let is_it =
                    |v: &&Version| known.as_ref().is_some_and(|d| d.state == v.root().hash());
                let other = Version { channel, version: 1, first: 0, is_final: false };
                versions.find(is_it).unwrap_or(&other).conclude()
            }
            Want::ConcludeFinal(version) => {
                let version = Version { is_final: true, ..version };
                Request::ConcludeFinal(Box::new(version.claim()))
            }
            Want::Withdraw { channel, who, percent, to } => {
                let id = params(channel, ChannelKind::Ledger).id();
                let part = self.chain.holdings(&FundingId::of(&id, &signer(who).address()));
                let part = u64::try_from(u128::try_from(part).unwrap()).unwrap();
                withdraw(channel, who, (part * percent / 100).max(1), ACCOUNTS[to])
            }
        }
    }

    fn produce(&mut self, seconds: u64) {
        self.now += seconds * 1_000;
        self.chain.produce(self.now).unwrap();
        self.history.push(see(&self.chain));
    }

    fn landed(&mut self, by: u8, request: &Request) -> Status {
        let id = self.submit(by, 1, request).unwrap();
        self.produce(1);
        self.chain.status(&id)
    }

    fn reorg(&mut self, blocks: u64, keep: bool) {
        self.chain.reorg(blocks, keep).unwrap();
        let newest = usize::try_from(self.chain.head().newest.number).unwrap();
        self.history.truncate(newest + 1);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Submit { by, ahead, fee, want } => {
                let request = self.request(want);
                drop(self.submit_ahead(*by, *ahead, *fee, &request));
            }
            Step::Produce { seconds } => self.produce(*seconds),
            Step::Reorg { blocks, keep } => self.reorg(*blocks, *keep),
            Step::Restart => self.chain = open(&self.disk, self.finality_blocks),
        }
    }

    fn fees(&self) -> u128 {
        let landed = |id| {
            let status = self.chain.status(id);
            !matches!(status, Status::Pending | Status::Unknown)
        };
        let paid = self.submitted.iter().filter(|(id, _)| landed(id));
        paid.map(|(_, fee)| u128::from(*fee)).sum()
    }

    fn check(&self) {
        let seen = see(&self.chain);
        let parts = seen.parts.iter().map(|part| u128::try_from(*part).unwrap());
        let all = seen.balances.iter().copied().chain(parts).sum::<u128>() + self.fees();
        assert_eq!(all, u128::from(GRANT) * ACCOUNTS.len() as u128, "{seen:?}");
        assert_eq!(Some(&seen), self.history.last(), "between blocks nothing moves");
    }
}

fn see(chain: &Chain) -> Seen {
    let accounts = ACCOUNTS.map(|seed| chain.account(&account(seed)));
    let ledger = [1, 2].map(|channel| params(channel, ChannelKind::Ledger).id());
    let subs = [101, 102].map(|channel| params(channel, ChannelKind::Sub).id());
    let funding = |id| [0, 1, 2].map(|who| FundingId::of(id, &signer(who).address()));
    Seen {
        balances: accounts.iter().map(|account| account.balance).collect(),
        parts: ledger.iter().flat_map(funding).map(|id| chain.holdings(&id)).collect(),
        disputes: ledger.iter().chain(&subs).map(|id| chain.dispute(id)).collect(),
        settled: ledger.iter().map(|id| chain.is_settled(id)).collect(),
        nonces: accounts.iter().map(|account| account.next_nonce).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn no_history_makes_or_loses_money(
        finality_blocks in 0u64..4,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(finality_blocks);
        for step in &steps {
            world.step(step);
            world.check();
        }
    }
}

/// A channel with these deposits, by these accounts for these participants, ends with this split.
fn ends(deposits: &[(u8, usize, u64)], first: u64) -> World {
    let mut world = World::new(0);
    for (by, who, units) in deposits {
        let status = world.landed(*by, &deposit(1, *who, *units));
        assert!(matches!(status, Status::Final { .. }));
    }
    let last = Version { channel: 1, version: 1, first, is_final: true };
    let status = world.landed(4, &Request::ConcludeFinal(Box::new(last.claim())));
    assert!(matches!(status, Status::Final { .. }));
    world.check();
    world
}

fn balance(world: &World, seed: u8) -> u128 {
    world.chain.account(&account(seed)).balance
}

#[test]
fn a_surplus_goes_back_to_who_paid_last() {
    let world = ends(&[(2, 0, 40), (3, 1, 60), (3, 1, 40), (2, 0, 5)], 50);
    let seen = see(&world.chain);
    assert_eq!(seen.parts[..2], [amount(50), amount(50)]);
    assert_eq!(balance(&world, 2), u128::from(GRANT) - 40 - 2);
    assert_eq!(balance(&world, 3), u128::from(GRANT) - 60 - 2);
    let early = ends(&[(2, 0, 70), (3, 1, 60)], 50);
    assert_eq!(balance(&early, 2), u128::from(GRANT) - 70 - 1, "the newest comes back first");
    assert_eq!(balance(&early, 3), u128::from(GRANT) - 30 - 1);
}

#[test]
fn a_deposit_for_a_stranger_goes_back() {
    let world = ends(&[(2, 0, 40), (2, 2, 30), (3, 1, 60)], 50);
    let seen = see(&world.chain);
    assert_eq!(seen.parts[..3], [amount(50), amount(50), amount(0)]);
    assert_eq!(balance(&world, 2), u128::from(GRANT) - 40 - 2);
    let underfunded = ends(&[(2, 2, 90), (3, 1, 60)], 50);
    assert_eq!(see(&underfunded.chain).parts[..3], [amount(0), amount(60), amount(0)]);
    assert_eq!(balance(&underfunded, 2), u128::from(GRANT) - 1);
}

#[test]
fn a_settled_channel_takes_no_deposit() {
    let mut world = ends(&[(2, 0, 40), (3, 1, 60)], 50);
    let late = world.submit(2, 1, &deposit(1, 0, 5));
    assert!(matches!(late, Err(Error::Rejected(_))), "{late:?}");
}

#[test]
fn an_account_is_paid_before_it_is_used() {
    let mut world = ends(&[(2, 0, 40), (3, 1, 60)], 50);
    world.landed(2, &withdraw(1, 0, 50, 5));
    assert_eq!(balance(&world, 5), u128::from(GRANT) + 50);
    let more = deposit(2, 0, GRANT + 40);
    assert!(matches!(world.landed(5, &more), Status::Final { .. }));
    assert_eq!(balance(&world, 5), 9);
    let unfunded = world.submit(5, 1, &deposit(2, 0, 9));
    assert_eq!(unfunded, Err(Error::Unfunded { needed: 10, balance: 9 }));
}

#[test]
fn what_loses_a_race_is_paid_for_and_not_done() {
    let mut world = World::new(0);
    let at = |first| Version { channel: 1, version: 1, first, is_final: true }.register();
    let ids = [2, 3].map(|by| world.submit(by, 2, &at(u64::from(by))).unwrap());
    world.produce(1);
    let failed = ids.map(|id| matches!(world.chain.status(&id), Status::Failed { .. }));
    assert_eq!(failed.iter().filter(|failed| **failed).count(), 1);
    assert_eq!([2, 3].map(|seed| balance(&world, seed)), [u128::from(GRANT) - 2; 2]);
    let landed = [2, 3].map(|by| world.chain.landed(&at(by).key()));
    assert!(matches!(landed, [Some(Landed { is_final: true, .. }), None] | [None, Some(_)]));
    world.check();
}

#[test]
fn a_challenge_ends_without_a_transaction() {
    let mut world = World::new(0);
    let version = Version { channel: 1, version: 1, first: 50, is_final: false };
    world.landed(2, &version.register());
    assert_eq!(world.chain.tick(11_999), Ok(false));
    assert!(matches!(world.submit(2, 1, &version.conclude()), Err(Error::Unavailable(_))));
    assert_eq!(world.chain.tick(12_000), Ok(true));
    assert_eq!(world.chain.tick(60_000), Ok(false), "nothing waits");
    world.submit(2, 1, &version.conclude()).unwrap();
}

#[test]
fn the_second_counts() {
    let mut world = World::new(0);
    let at = |version| Version { channel: 1, version, first: 50, is_final: false };
    world.landed(2, &at(1).register());
    let end = world.chain.dispute(&at(1).root().channel).unwrap().timeout;
    world.produce(end - 1 - world.now / 1_000);
    assert!(matches!(world.submit(2, 1, &at(1).conclude()), Err(Error::Unavailable(_))));
    let refutation = world.submit(2, 1, &at(3).register()).unwrap();
    world.produce(0);
    assert!(matches!(world.chain.status(&refutation), Status::Final { .. }));
    world.produce(1);
    assert!(matches!(world.submit(2, 1, &at(5).register()), Err(Error::Rejected(_))));
    assert!(matches!(world.landed(2, &at(3).conclude()), Status::Final { .. }));
}

#[test]
fn what_failed_in_a_block_that_is_taken_back_was_never_there() {
    let mut failed = 0;
    for (concludes, deposits) in [(2, 3), (3, 2)] {
        let mut world = World::new(2);
        world.landed(4, &deposit(1, 0, 40));
        let before = world.chain.landed(&deposit(1, 0, 40).key());
        let last = Version { channel: 1, version: 1, first: 50, is_final: true };
        world.submit(concludes, 1, &Request::ConcludeFinal(Box::new(last.claim()))).unwrap();
        let late = world.submit(deposits, 1, &deposit(1, 0, 5)).unwrap();
        world.produce(1);
        failed += usize::from(matches!(world.chain.status(&late), Status::Failed { .. }));
        world.reorg(1, false);
        world.check();
        assert_eq!(world.chain.landed(&deposit(1, 0, 40).key()), before);
    }
    assert_eq!(failed, 1, "the order of accounts in a block decides");
}
