//! What a ledger accepts, when it produces blocks, and what foreign bytes do to it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use sluicegate_embedded::{
    Chain, Faults, Settings,
    chain::MAX_POOL,
    disk::{FileDisk, MemoryDisk},
    record::Record,
    transaction::{Body, Transaction},
    wire::{Admin, Answer, MAX_MESSAGE, Question},
};
use sluicegate_ledger::{
    Claim, Cursor, Error, Finality, Registration, Request, SignedState, Status,
};
use sluicegate_protocol::{
    SigningKey,
    channel::{self, Address, Allocation, Asset, ChannelId, ChannelKind, FundingId},
    sha256,
};

const NAME: &str = "ledger.example";

fn open(directory: &tempfile::TempDir, settings: Settings) -> Chain {
    let disk = FileDisk::open(&directory.path().join("ledger")).unwrap();
    Chain::open(Box::new(disk), settings, &[1; 32], 1_000).unwrap()
}

fn transaction(account: u8, nonce: u64, fee: u64) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[account; 32]);
    let request = Request::Anchor(sha256(&[&[account], &nonce.to_be_bytes()]));
    Body::new(key.verifying_key().to_bytes(), nonce, fee, &request).sign(NAME, &key).to_bytes()
}

#[test]
fn the_rules_of_nonce_fee_and_balance() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = open(&directory, Settings { grant: 40, ..Settings::new(NAME) });
    let mut submit = |account, nonce, fee| chain.submit(&transaction(account, nonce, fee));
    assert_eq!(submit(2, 0, 9), Err(Error::FeeTooLow { needed: 10 }));
    assert!(submit(2, 0, 10).is_ok());
    assert!(submit(2, 0, 10).is_ok(), "the same again changes nothing");
    assert!(submit(2, 0, 20).is_ok(), "a bump");
    assert_eq!(submit(2, 0, 15), Err(Error::FeeTooLow { needed: 21 }));
    assert_eq!(submit(2, 1, 21), Err(Error::Unfunded { needed: 41, balance: 40 }));
    assert!(matches!(submit(2, 16, 10), Err(Error::Unavailable(_))));
    assert!(submit(2, 2, 20).is_ok(), "ahead of a gap");
    chain.produce(2_000).unwrap();
    let key = SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes();
    let account = chain.account(&key);
    assert_eq!((account.next_nonce, account.final_nonce, account.balance), (1, 1, 20));
    let late = chain.submit(&transaction(2, 0, 30));
    assert_eq!(late, Err(Error::NonceUsed { next: 1 }));
    let mut forged = transaction(5, 0, 10);
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(chain.submit(&forged), Err(Error::Rejected(_))));
}

#[test]
fn a_clock_step_stops_nothing_and_ledger_time_never_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = open(&directory, Settings::new(NAME));
    chain.submit(&transaction(2, 0, 10)).unwrap();
    assert_eq!(chain.tick(1_500), Ok(false));
    assert_eq!(chain.tick(90_000), Ok(true));
    chain.submit(&transaction(2, 1, 10)).unwrap();
    assert_eq!(chain.tick(5_000), Ok(true));
    assert_eq!(chain.head().time_ms, 90_000);
    assert_eq!(chain.tick(50_000), Ok(false), "nothing waits");
}

#[test]
fn blocks_come_until_the_last_transaction_is_final_and_as_heartbeat() {
    let directory = tempfile::tempdir().unwrap();
    let settings =
        Settings { finality_blocks: 2, heartbeat_ms: Some(60_000), ..Settings::new(NAME) };
    let mut chain = open(&directory, settings);
    let id = chain.submit(&transaction(2, 0, 10)).unwrap();
    let produced = (2..10).filter(|second| chain.tick(second * 1_000).unwrap()).count();
    assert_eq!(produced, 3);
    assert!(matches!(chain.status(&id), Status::Final { .. }));
    assert_eq!(chain.tick(70_000), Ok(true));
}

#[test]
fn events_and_cursors_are_the_same_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { finality_blocks: 1, ..Settings::new(NAME) };
    let mut chain = open(&directory, settings.clone());
    for nonce in 0..3 {
        chain.submit(&transaction(2, nonce, 10)).unwrap();
        chain.produce(nonce * 1_000).unwrap();
    }
    chain.reorg(9, true).unwrap();
    chain.produce(9_000).unwrap();
    let page = chain.events(&Cursor::default()).unwrap();
    let told = |finality| page.events.iter().filter(|event| event.finality == finality).count();
    let counts = [Finality::Included, Finality::Final, Finality::Retracted].map(told);
    assert_eq!(counts, [4, 2, 1]);
    let head = chain.head();
    drop(chain);
    let chain = open(&directory, settings);
    assert_eq!(chain.events(&Cursor::default()), Ok(page.clone()));
    assert_eq!(chain.events(&page.next).unwrap().events, vec![]);
    assert_eq!(chain.head(), head);
}

/// The registration of a channel whose state is long.
fn registration(n: u8) -> Request {
    let keys = [1, 2].map(|byte| channel::SigningKey::from_bytes(&[byte; 32]).unwrap());
    let params = channel::Params {
        challenge_duration: 60,
        nonce: channel::Nonce::new([n; 32]),
        participants: keys.each_ref().map(|key| channel::Participant::new(key.address())),
        app: Address::new([1; 20]),
        kind: ChannelKind::Ledger,
    };
    let row = |n: u8| (Asset::other(2, &[n; 128]).unwrap(), [channel::Amount::ZERO; 2]);
    let outcome = Allocation::new(&[row(1), row(2), row(3), row(4)]).unwrap();
    let mut state = channel::State::initial(params.id(), outcome);
    state.data.resize_default(state.data.capacity()).unwrap();
    let signatures = keys.map(|key| key.sign_state(&state).unwrap());
    let root = Claim { params, signed: SignedState { state, signatures } };
    Request::Register(Box::new(Registration { root, subs: vec![] }))
}

#[test]
fn a_page_of_long_events_fits_a_message() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = open(&directory, Settings::new(NAME));
    let key = SigningKey::from_bytes(&[2; 32]);
    for n in 0..90 {
        let body = Body::new(key.verifying_key().to_bytes(), n.into(), 10, &registration(n));
        chain.submit(&body.sign(NAME, &key).to_bytes()).unwrap();
        chain.produce(2_000).unwrap();
    }
    let (mut cursor, mut told, mut bytes) = (Cursor::default(), 0, 0);
    while told < 90 {
        let page = chain.events(&cursor).unwrap();
        let message = Answer::Events(page.clone()).to_bytes();
        assert!(message.len() <= MAX_MESSAGE && !page.events.is_empty());
        assert_eq!(Answer::decode(&message), Ok(Answer::Events(page.clone())));
        (told, cursor, bytes) = (told + page.events.len(), page.next, bytes + message.len());
    }
    assert!(bytes > MAX_MESSAGE, "one page would have been too long");
}

#[test]
fn the_file_has_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(&directory, Settings::new(NAME));
    let second = FileDisk::open(&directory.path().join("ledger"));
    assert!(matches!(second, Err(sluicegate_embedded::Error::Owned(_))));
    drop(chain);
    assert!(FileDisk::open(&directory.path().join("ledger")).is_ok());
}

#[test]
fn questions_round_trip() {
    let digest = sha256(&[b"x"]);
    let faults = Faults { delay_ms: 1, fail: 2, unknown: 3, lose: 4, base_fee: Some(5) };
    for question in [
        Question::Describe,
        Question::Head,
        Question::Fee,
        Question::Account([1; 32]),
        Question::Newest([1; 32]),
        Question::Submit(vec![1, 2]),
        Question::Events(Cursor(vec![1])),
        Question::Find(digest),
        Question::Landed(digest),
        Question::Dispute(ChannelId::new([1; 32])),
        Question::Settled(ChannelId::new([1; 32])),
        Question::Holdings(FundingId::new([1; 32])),
        Question::AnchorEvidence(digest),
        Question::BlockEvidence(300),
        Question::Admin(Admin::Produce),
        Question::Admin(Admin::Reorg { blocks: 2, keep: true }),
        Question::Admin(Admin::Faults(faults)),
    ] {
        assert_eq!(Question::decode(&question.to_bytes()), Ok(question));
    }
}

#[test]
fn errors_keep_their_remedy_over_the_wire() {
    for error in [
        Error::CursorUnknown,
        Error::FeeTooLow { needed: 7 },
        Error::NonceUsed { next: 3 },
        Error::NotFinal,
        Error::NotFound,
        Error::Rejected("é".repeat(9)),
        Error::ResultUnknown("x".into()),
        Error::Unavailable("x".into()),
        Error::Unfunded { needed: u128::MAX, balance: 1 },
    ] {
        let answer = Answer::Error(error);
        assert_eq!(Answer::decode(&answer.to_bytes()), Ok(answer));
    }
    let long = Answer::Error(Error::Rejected("é".repeat(999))).to_bytes();
    assert!(matches!(Answer::decode(&long), Ok(Answer::Error(Error::Rejected(_)))));
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Transaction::decode(&bytes);
        let _ = Record::decode(&bytes);
        let _ = Question::decode(&bytes);
        let _ = Answer::decode(&bytes);
    }

    #[test]
    fn changed_messages_are_read_strictly(at in 0usize..200, bit in 0u8..8) {
        let mut bytes = Question::Submit(transaction(2, 0, 10)).to_bytes();
        let place = at % bytes.len();
        bytes[place] ^= 1 << bit;
        if let Ok(question) = Question::decode(&bytes) {
            prop_assert_eq!(question.to_bytes(), bytes);
        }
    }
}

/// A transaction of one of many accounts.
fn of_many(account: usize, nonce: u64, fee: u64) -> Vec<u8> {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&account.to_be_bytes());
    let key = SigningKey::from_bytes(&seed);
    let request = Request::Anchor(sha256(&[&seed, &nonce.to_be_bytes()]));
    Body::new(key.verifying_key().to_bytes(), nonce, fee, &request).sign(NAME, &key).to_bytes()
}

#[test]
fn what_no_block_can_hold_keeps_nobody_out() {
    let mut chain =
        Chain::open(Box::<MemoryDisk>::default(), Settings::new(NAME), &[1; 32], 1_000).unwrap();
    for number in 0..MAX_POOL {
        let nonce = u64::try_from(number % 15).unwrap() + 1;
        chain.submit(&of_many(number / 15, nonce, 10)).unwrap();
    }
    assert!(matches!(chain.submit(&of_many(9_999, 1, 10)), Err(Error::Unavailable(_))));
    let id = chain.submit(&transaction(2, 0, 10)).unwrap();
    chain.produce(2_000).unwrap();
    assert!(matches!(chain.status(&id), Status::Final { .. }));
}

#[test]
fn the_highest_fee_comes_first_whoever_pays_it() {
    let mut chain =
        Chain::open(Box::<MemoryDisk>::default(), Settings::new(NAME), &[1; 32], 1_000).unwrap();
    for number in 0..600 {
        chain.submit(&of_many(number, 0, 10)).unwrap();
    }
    let ids: Vec<_> =
        (1..20).map(|account| chain.submit(&transaction(account, 0, 11)).unwrap()).collect();
    chain.produce(2_000).unwrap();
    assert!(ids.iter().all(|id| matches!(chain.status(id), Status::Final { .. })));
}
