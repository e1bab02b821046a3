//! Seeds of payment channels for `sluicegate-ledger` and `sluicegate-embedded`: a channel with a sub-channel, from its
//! deposits to its withdrawal.

use sluicegate_embedded::{
    Chain,
    asset::{native_asset, payout_address},
    disk::MemoryDisk,
    transaction::{Body, Transaction},
    wire::{Answer, Question},
};
use sluicegate_fuzz::{LEDGER, open_ledger, records_of};
use sluicegate_ledger::{
    Claim, Conclusion, Cursor, Deposit, Registration, Request, SignedState, Withdrawal,
    outbox::Record,
};
use sluicegate_protocol::channel::{
    Address, Allocation, Amount, ChannelKind, Nonce, Params, Participant, SigningKey, State,
    SubAlloc, WithdrawalAuth,
};

use crate::{Seed, key};

const START_MS: u64 = 1_795_180_000_000;

pub(crate) fn seeds() -> Vec<Seed> {
    [transactions(), records(), questions(), life()].concat()
}

fn transactions() -> Vec<Seed> {
    let names = ["deposit", "deposit-other", "register", "conclude", "withdraw"];
    let signed = requests().into_iter().zip(0..).map(|(request, n)| transaction(n, &request));
    let seeds = names.into_iter().zip(signed);
    seeds.map(|(name, transaction)| ("transaction", name, transaction.to_bytes())).collect()
}

fn records() -> Vec<Seed> {
    let names = ["deposit", "deposit-other", "register", "conclude", "withdraw"];
    let record = |request: Request| {
        let class = request.class(1_000);
        Record { request, class, attempts: Vec::new() }.to_bytes()
    };
    let seeds = names.into_iter().zip(requests().into_iter().map(record));
    seeds.map(|(name, bytes)| ("outbox_record", name, bytes)).collect()
}

fn questions() -> Vec<Seed> {
    let (channel, funding) = (root().channel, deposit(0).funding());
    let landed = requests()[0].key();
    let seed = |name, question: Question| ("ledger_question", name, question.to_bytes());
    vec![
        seed("dispute", Question::Dispute(channel)),
        seed("holdings", Question::Holdings(funding)),
        seed("landed", Question::Landed(landed)),
        seed("settled", Question::Settled(channel)),
    ]
}

/// The channel on a ledger: its file, and what it answers.
fn life() -> Vec<Seed> {
    let disk = MemoryDisk::default();
    let mut chain = open_ledger(&disk).expect("an empty disk becomes a ledger");
    for (request, nonce) in requests().into_iter().zip(0..) {
        let bytes = transaction(nonce, &request).to_bytes();
        chain.submit(&bytes).expect("each follows from the one before");
        for block in [0, 61_000] {
            chain.produce(START_MS + nonce * 122_000 + block).expect("memory takes all");
        }
    }
    let events = chain.events(&Cursor(Vec::new())).expect("an empty cursor is the beginning");
    [vec![("ledger_file", "channel", records_of(&disk))], answers(&chain)]
        .concat()
        .into_iter()
        .chain([("ledger_answer", "channel-events", Answer::Events(events).to_bytes())])
        .collect()
}

fn answers(chain: &Chain) -> Vec<Seed> {
    let (channel, funding) = (root().channel, deposit(1).funding());
    let seed = |name, answer: Answer| ("ledger_answer", name, answer.to_bytes());
    vec![
        seed("dispute", Answer::Dispute(chain.dispute(&channel).map(Box::new))),
        seed("no-dispute", Answer::Dispute(None)),
        seed("holdings", Answer::Holdings(chain.holdings(&funding))),
        seed("landed", Answer::Landed(chain.landed(&requests()[0].key()))),
        seed("not-landed", Answer::Landed(None)),
        seed("settled", Answer::Settled(chain.is_settled(&channel))),
    ]
}

/// From the first deposit to the withdrawal.
fn requests() -> [Request; 5] {
    let registration = Registration {
        root: claim(params(ChannelKind::Ledger), root()),
        subs: vec![claim(params(ChannelKind::Sub), below())],
    };
    let conclusion =
        Conclusion { params: params(ChannelKind::Ledger), state: root(), subs: vec![below()] };
    [
        Request::Deposit(Box::new(deposit(0))),
        Request::Deposit(Box::new(deposit(1))),
        Request::Register(Box::new(registration)),
        Request::Conclude(Box::new(conclusion)),
        Request::Withdraw(Box::new(withdrawal())),
    ]
}

fn keys() -> [SigningKey; 2] {
    [0x11, 0x22].map(|byte| SigningKey::from_bytes(&[byte; 32]).expect("small, but a key"))
}

fn params(kind: ChannelKind) -> Params {
    let nonce = Nonce::new([if kind.is_ledger() { 1 } else { 2 }; 32]);
    let participants = keys().map(|key| Participant::new(key.address()));
    Params { challenge_duration: 60, nonce, participants, app: Address::ZERO, kind }
}

fn state(kind: ChannelKind, version: u64, balances: [u64; 2]) -> State {
    let row = (native_asset(LEDGER), balances.map(Amount::from));
    let outcome = Allocation::new(&[row]).expect("one asset, small balances");
    State { version, ..State::initial(params(kind).id(), outcome) }
}

fn below() -> State {
    state(ChannelKind::Sub, 2, [3, 7])
}

fn root() -> State {
    let mut root = state(ChannelKind::Ledger, 4, [30, 60]);
    let balances = [Amount::from(10u64)].into_iter().collect();
    let locked = SubAlloc { id: below().channel, balances, index_map: SubAlloc::IDENTITY };
    root.outcome.locked.push(locked).expect("it is the first");
    root
}

fn claim(params: Params, state: State) -> Claim {
    let signatures = keys().map(|key| key.sign_state(&state).expect("it can be signed"));
    Claim { params, signed: SignedState { state, signatures } }
}

fn deposit(who: usize) -> Deposit {
    Deposit {
        channel: root().channel,
        participant: keys()[who].address(),
        asset: native_asset(LEDGER),
        amount: Amount::from(50u64),
    }
}

fn withdrawal() -> Withdrawal {
    let authorisation = WithdrawalAuth {
        channel: root().channel,
        participant: Participant::new(keys()[0].address()),
        receiver: payout_address(&key().verifying_key().to_bytes()),
        amount: Amount::from(33u64),
    };
    let signature = keys()[0].sign_withdrawal(&authorisation).expect("it can be signed");
    Withdrawal { authorisation, asset: native_asset(LEDGER), signature }
}

fn transaction(nonce: u64, request: &Request) -> Transaction {
    let account = key().verifying_key().to_bytes();
    Body::new(account, nonce, 10, request).sign(LEDGER, &key())
}
