//! Seeds for the channels of `sluicegate-protocol`, and for the messages about them.

use sluicegate_device::participant::{Limit, Output, Participant as Device, Policy};
use sluicegate_protocol::{
    Error,
    channel::{
        Address, Allocation, Amount, Asset, ChannelId, ChannelKind, Nonce, Params, Participant,
        SigningKey, State, SubAlloc,
        exchange::{
            Channels, Current, KeyChallenge, KeyProof, MAX_MESSAGE, Message, OpenRequest, Opening,
            PayRequest, Phase, Refusal, SignAnswer, SignRequest, Signatures, Summary, Why,
        },
    },
};

use crate::Seed;

pub(crate) fn seeds() -> Vec<Seed> {
    [records(), messages()]
        .into_iter()
        .flat_map(|it| it.expect("the seeds can be settled"))
        .collect()
}

fn records() -> Result<Vec<Seed>, Error> {
    let mut buffer = [0; State::MAX_ENCODED];
    let mut record = |state: &State| state.encode(&mut buffer).map(<[u8]>::to_vec);
    let (open, locked) = (state()?, locked()?);
    let closed = State { version: 2, is_final: true, ..open.clone() };
    let mut spelled_out = record(&closed)?;
    spelled_out.pop();
    spelled_out.push(0xf4);
    let mut buffer = [0; Params::MAX_ENCODED];
    let mut params_record = |params: &Params| params.encode(&mut buffer).map(<[u8]>::to_vec);
    let [plain, foreign] = params()?;
    Ok(vec![
        ("channel_state", "open", record(&open)?),
        ("channel_state", "final", record(&closed)?),
        ("channel_state", "not-final-spelled-out", spelled_out),
        ("channel_state", "locked", record(&locked)?),
        ("channel_state", "params", params_record(&plain)?),
        ("channel_state", "params-with-app", params_record(&foreign)?),
    ])
}

/// Each message once; the requests are those of a channel that the target's device takes.
fn messages() -> Result<Vec<Seed>, Error> {
    let key = SigningKey::from_bytes(&[1; 32])?;
    let own = Participant::new(key.address());
    let [plain, _] = params()?;
    let params = Params { participants: [own.clone(), plain.participants[1].clone()], ..plain };
    let id = params.id();
    let state = |version| Ok::<_, Error>(State { channel: id, version, ..state()? });
    let receiver = Address::new([0xbb; 20]);
    let opening = Some(Opening { params, peer_share: None });
    let open = SignRequest { number: 1, opening, state: state(0)?, why: Why::Open, receiver };
    let (number, why) = (2, Why::Receive);
    let receive = SignRequest { number, opening: None, state: state(1)?, why, receiver };
    let mut closed = SignRequest { why: Why::Final, ..receive.clone() };
    closed.state.is_final = true;
    let signatures = Signatures::of(&key, &state(0)?, &own, 0, &receiver)?;
    let challenge = KeyChallenge([3; 32]);
    let asked = OpenRequest {
        peer: "charger".try_into().expect("the name is short"),
        asset: Asset::other(2, &[7, 8])?,
        own_deposit: 1000_u64.into(),
        peer_deposit: Amount::ZERO,
        challenge_duration: 3600,
        share: [5; 32],
    };
    let memo = "2 kWh".try_into().expect("the memo is short");
    let pay = PayRequest { version: 4, amount: 300_u64.into(), asset: 0, memo };
    let balances = state(0)?.outcome.balances;
    let current = Some(Current { version: 0, balances });
    let pending = Some(receive.clone());
    let summary = Summary { id, current, phase: Phase::Asked, pending };
    let quiet =
        Summary { current: None, pending: None, phase: Phase::Exchanging, ..summary.clone() };
    let proof = KeyProof::sign(&key, &challenge, "meter-1")?;
    let record = record_after(key.clone(), &open);
    Ok(vec![
        ("device_channel", "record", record),
        message("challenge", &challenge)?,
        message("proof", &proof)?,
        message("open", &asked)?,
        message("list", &Channels([id].into_iter().collect()))?,
        message("summary", &summary)?,
        message("summary-quiet", &quiet)?,
        message("request-open", &open)?,
        message("request-receive", &receive)?,
        message("request-final", &closed)?,
        message("answer", &SignAnswer { number, outcome: Ok(signatures) })?,
        message("refusal", &SignAnswer { number, outcome: Err(Refusal::Older) })?,
        message("pay", &pay)?,
    ])
}

/// What a device stores with its first signature.
fn record_after(key: SigningKey, open: &SignRequest) -> Vec<u8> {
    let receiver = open.receiver;
    let policy = Policy { receiver, elsewhere: None, takes_offers: true, least_challenge: 1 };
    let mut device: Device<1> = Device::new(key, policy);
    let asset = open.state.outcome.assets[0].clone();
    let limit = Limit { asset, deposit: Amount::MAX, spending: Amount::ZERO };
    device.set_limit(limit).expect("there is room for one");
    device.handle(open).expect("the device has nothing else to do");
    match device.poll() {
        Some(Output::Store { record, .. }) => record.to_vec(),
        output => unreachable!("an offer within the limit is signed: {output:?}"),
    }
}

fn message(name: &'static str, message: &impl Message) -> Result<Seed, Error> {
    Ok(("device_channel", name, message.encode(&mut [0; MAX_MESSAGE])?.to_vec()))
}

fn params() -> Result<[Params; 2], Error> {
    let [first, second] = [1, 2].map(|byte| Address::new([byte; 20]));
    let plain = Params {
        challenge_duration: 3600,
        nonce: Nonce::from_shares(&[1; 32], &[2; 32]),
        participants: [Participant::new(first), Participant::new(second)],
        app: Address::ZERO,
        kind: ChannelKind::Ledger,
    };
    let elsewhere = Participant::with_cc(second, 2, &[4; 121])?;
    let participants = [Participant::new(first), elsewhere];
    let foreign = Params {
        participants,
        app: Address::new([9; 20]),
        kind: ChannelKind::Sub,
        ..plain.clone()
    };
    Ok([plain, foreign])
}

fn state() -> Result<State, Error> {
    let asset = Asset::ethereum(1337_u64, Address::new([0xaa; 20]));
    let balances = [900_000_000_000_000_000_u64, 2_100_000_000_000_000_000].map(Amount::from);
    let outcome = Allocation::new(&[(asset, balances)])?;
    Ok(State { version: 1, ..State::initial(ChannelId::new([3; 32]), outcome) })
}

fn locked() -> Result<State, Error> {
    let balances = [0_u64, u64::MAX].map(Amount::from);
    let rows = [
        (Asset::ethereum(1_u64, Address::new([0xaa; 20])), balances),
        (Asset::other(2, &[0xbb; 32])?, balances),
    ];
    let mut outcome = Allocation::new(&rows)?;
    for (id, index_map) in [(5, [0, 1]), (6, [1, 0])] {
        let locked = SubAlloc {
            id: ChannelId::new([id; 32]),
            balances: balances.into_iter().collect(),
            index_map,
        };
        outcome.locked.push(locked).expect("there is room for two");
    }
    let data = [7; 40].into_iter().collect();
    Ok(State { data, ..State::initial(ChannelId::new([3; 32]), outcome) })
}
