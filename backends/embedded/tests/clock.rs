//! A host whose clock steps, and a ledger that has nothing to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use sluicegate_embedded::{
    ManualClock, Owner, Settings,
    asset::native_asset,
    transaction::Body,
    wire::{Answer, Question},
};
use sluicegate_ledger::{Claim, Conclusion, Error, Registration, Request, SignedState};
use sluicegate_protocol::{
    SigningKey,
    channel::{self, Address, Allocation, Amount, ChannelKind, Nonce, Params, Participant, State},
};

const NAME: &str = "clock.test.example";
const CHALLENGE_S: u64 = 300;
const BEGUN_MS: u64 = 1_000_000_000;

struct World {
    clock: Arc<ManualClock>,
    owner: Arc<Owner>,
    _folder: tempfile::TempDir,
}

fn params() -> Params {
    let keys = signers();
    let participants = [0, 1].map(|who: usize| Participant::new(keys[who].address()));
    let (nonce, app, kind) = (Nonce::new([1; 32]), Address::ZERO, ChannelKind::Ledger);
    Params { challenge_duration: CHALLENGE_S, nonce, participants, app, kind }
}

fn signers() -> [channel::SigningKey; 2] {
    [0x11, 0x22].map(|byte| channel::SigningKey::from_bytes(&[byte; 32]).unwrap())
}

fn state() -> State {
    let row = [Amount::from(10_u64), Amount::from(5_u64)];
    State::initial(params().id(), Allocation::new(&[(native_asset(NAME), row)]).unwrap())
}

fn register() -> Request {
    let signatures = signers().map(|key| key.sign_state(&state()).unwrap());
    let root = Claim { params: params(), signed: SignedState { state: state(), signatures } };
    Request::Register(Box::new(Registration { root, subs: vec![] }))
}

fn conclude() -> Request {
    Request::Conclude(Box::new(Conclusion { params: params(), state: state(), subs: vec![] }))
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(BEGUN_MS));
        let owner = Self::open(&folder, &clock);
        Self { clock, owner, _folder: folder }
    }

    fn open(folder: &tempfile::TempDir, clock: &Arc<ManualClock>) -> Arc<Owner> {
        let settings = Settings { base_fee: 1, ..Settings::new(NAME) };
        let file = folder.path().join("ledger");
        Owner::open(&file, settings, &[1; 32], clock.clone(), false).unwrap()
    }

    fn restart(self) -> Self {
        let Self { clock, owner, _folder: folder } = self;
        drop(owner);
        let owner = Self::open(&folder, &clock);
        Self { clock, owner, _folder: folder }
    }

    fn submit(&self, nonce: u64, request: &Request) -> Result<(), Error> {
        let key = SigningKey::from_bytes(&[9; 32]);
        let body = Body::new(key.verifying_key().to_bytes(), nonce, 1, request);
        match self.owner.answer(Question::Submit(body.sign(NAME, &key).to_bytes())) {
            Answer::Done => Ok(()),
            Answer::Error(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Time passes by every clock, and blocks come.
    fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(1_000);
            self.owner.tick().unwrap();
        }
    }

    fn time_ms(&self) -> u64 {
        match self.owner.answer(Question::Head) {
            Answer::Head { head, .. } => head.time_ms,
            other => panic!("{other:?}"),
        }
    }

    fn blocks(&self) -> u64 {
        match self.owner.answer(Question::Head) {
            Answer::Head { head, .. } => head.newest.number,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_clock_that_steps_ends_no_challenge() {
    for is_down in [false, true] {
        let mut world = World::new();
        world.submit(0, &register()).unwrap();
        world.pass(2);
        // Half a day at once: the clock was set, or the ledger was off for so long.
        world.clock.set(BEGUN_MS + 43_200_000);
        if is_down {
            world = world.restart();
        }
        world.pass(CHALLENGE_S / 2 - 2);
        let early = world.submit(1, &conclude());
        assert!(matches!(early, Err(Error::Unavailable(_))), "{early:?}");
        world.pass(CHALLENGE_S / 2);
        world.submit(1, &conclude()).unwrap();
        world.pass(2);
        assert!(world.time_ms() < BEGUN_MS + 2_000_000, "it does not step afterwards");
        world.pass(43_200 / 7);
        assert!(world.time_ms() >= BEGUN_MS + 43_200_000, "and catches up");
    }
}

#[test]
fn a_clock_that_is_set_back_holds_no_challenge_up_for_long() {
    let world = World::new();
    world.submit(0, &register()).unwrap();
    world.pass(2);
    world.clock.set(1_000);
    world.pass(2 * CHALLENGE_S + 2);
    world.submit(1, &conclude()).unwrap();
}

#[test]
fn a_ledger_that_is_started_again_and_again_ends_its_challenges() {
    let mut world = World::new();
    world.submit(0, &register()).unwrap();
    world.pass(2);
    for _ in 0..6 {
        world = world.restart();
        world.pass(CHALLENGE_S / 3);
    }
    world.submit(1, &conclude()).unwrap();
}

#[test]
fn time_goes_on_without_blocks() {
    let world = World::new();
    let blocks = world.blocks();
    world.pass(3_600);
    assert_eq!(world.time_ms(), BEGUN_MS + 3_600_000);
    assert_eq!(world.blocks(), blocks, "an idle ledger does not grow");
    let world = world.restart();
    assert!(world.time_ms() >= BEGUN_MS + 3_600_000, "nor does a start take it back");
}
