//! Seeds for the channels of `sluicegate-protocol`.

use sluicegate_protocol::{
    Error,
    channel::{
        Address, Allocation, Amount, Asset, ChannelId, ChannelKind, Nonce, Params, Participant,
        State, SubAlloc,
    },
};

use crate::Seed;

pub(crate) fn seeds() -> Vec<Seed> {
    records().expect("the seeds can be settled")
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
