//! Records: round trips of any value, one encoding only, the sizes that are promised, hostile bytes.

use std::vec::Vec;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::Error;

fn written(state: &State) -> Vec<u8> {
    let mut buffer = [0; State::MAX_ENCODED];
    state.encode(&mut buffer).unwrap().to_vec()
}

fn written_params(params: &Params) -> Vec<u8> {
    let mut buffer = [0; Params::MAX_ENCODED];
    params.encode(&mut buffer).unwrap().to_vec()
}

/// As long as a state can be.
pub(super) fn longest_state() -> State {
    let rows: Vec<_> = [0, 1, 2, 3]
        .into_iter()
        .map(|at| (Asset::other(u32::MAX - at, &[1; MAX_CC]).unwrap(), amounts([0, 0])))
        .collect();
    let mut outcome = Allocation::new(&rows).unwrap();
    // Just below what a sum may be: ten amounts of 32 bytes.
    let large = Amount::from_be_bytes(core::array::from_fn(|at| if at == 0 { 0x10 } else { 0xff }));
    outcome.balances.iter_mut().for_each(|row| *row = [large; 2]);
    for at in 0..8 {
        let balances = heapless::Vec::from_slice(&[large; MAX_ASSETS]).unwrap();
        let id = ChannelId::new([at; 32]);
        let locked = SubAlloc { id, balances, index_map: [0, 1] };
        outcome.locked.push(locked).unwrap();
    }
    let data = heapless::Vec::from_slice(&[7; MAX_DATA]).unwrap();
    State { channel: params().id(), version: u64::MAX, outcome, data, is_final: true }
}

#[test]
fn the_documented_bytes() {
    let state = State { is_final: true, ..locked_state() };
    let id = bytes("342f9fe1510e78c67c17284df8bb880e5d3faa2bc9290db23708f29862148688");
    let expected = [
        &bytes("a5015820")[..],
        &id,
        &bytes("02030381850142053954"),
        &[0xaa; 20],
        &bytes("410a41140481835820"),
        &[0xcc; 32],
        &bytes("81410582000106f5"),
    ]
    .concat();
    assert_eq!(written(&state), expected);
    let params = params();
    let expected = [
        &bytes("a401183c025820")[..],
        params.nonce.as_bytes(),
        &bytes("03828154"),
        params.participants[0].address.as_bytes(),
        &bytes("8154"),
        params.participants[1].address.as_bytes(),
        &bytes("0500"),
    ]
    .concat();
    assert_eq!(written_params(&params), expected);
}

#[test]
fn the_longest_records_have_the_promised_size() {
    let state = longest_state();
    assert_eq!(written(&state).len(), State::MAX_ENCODED);
    assert_eq!(State::decode(&written(&state)), Ok(state.clone()));
    assert_eq!(state.encode(&mut [0; State::MAX_ENCODED - 1]), Err(Error::BufferFull));
    let address = |byte| Participant::with_cc(address(byte), u32::MAX, &[1; MAX_CC]).unwrap();
    let params = Params {
        challenge_duration: u64::MAX,
        participants: [address(1), address(2)],
        app: Address::new([3; 20]),
        ..params()
    };
    assert_eq!(written_params(&params).len(), Params::MAX_ENCODED);
    assert_eq!(Params::decode(&written_params(&params)), Ok(params));
}

#[test]
fn what_cannot_be_settled_is_neither_written_nor_read() {
    let mut state = locked_state();
    state.outcome.locked[0].index_map = [0, 2];
    let index_map = Error::Channel(Rule::IndexMap);
    assert_eq!(state.encode(&mut [0; State::MAX_ENCODED]), Err(index_map));
    let mut bytes = written(&locked_state());
    *bytes.last_mut().unwrap() = 2;
    assert_eq!(State::decode(&bytes), Err(index_map));
    let params = Params { challenge_duration: 0, ..params() };
    let refused = Error::Channel(Rule::NoChallengeDuration);
    assert_eq!(params.encode(&mut [0; Params::MAX_ENCODED]), Err(refused));
}

/// Replaces one part of a good record; it must not be read any more.
fn refused(good: &[u8], from: &str, to: &str) {
    let (from, to) = (bytes(from), bytes(to));
    let at = good.windows(from.len()).position(|window| window == from).expect("the part is there");
    let changed = [&good[..at], &to, &good[at + from.len()..]].concat();
    assert!(matches!(State::decode(&changed), Err(Error::Record(_))), "{from:02x?} {to:02x?}");
    assert!(Params::decode(&changed).is_err());
}

#[test]
fn other_encodings_of_a_state_are_refused() {
    let good = written(&State { is_final: true, ..locked_state() });
    assert!(State::decode(&good).is_ok());
    for (from, to) in [
        // Longer heads than needed.
        ("a501", "b80501"),
        ("a501", "a51801"),
        ("015820", "01590020"),
        ("0203038185", "021803038185"),
        ("0203038185", "02190003038185"),
        ("8185", "980185"),
        // Indefinite lengths, and heads that nobody knows.
        ("a501", "bf01"),
        ("a501", "bc01"),
        ("8185", "9f85"),
        // An amount with a leading zero.
        ("410a", "42000a"),
        ("410a", "4100"),
        // What is missing is not spelled out.
        ("06f5", "06f4"),
        ("06f5", "0540"),
        ("06f5", "06f6"),
        ("06f5", "0601"),
        // Fields that are not there, out of order, twice or unknown.
        ("a501", "a401"),
        ("a501", "a601"),
        ("a501", "a502"),
        ("0203038185", "0303028185"),
        ("06f5", "04f5"),
        ("06f5", "07f5"),
        // Other kinds and lengths.
        ("0203038185", "0223038185"),
        ("015820", "017820"),
        ("015820", "01581f"),
        ("820001", "83000100"),
        ("820001", "8100"),
        ("8185", "8184"),
        ("8185", "8085"),
        ("06f5", "06f500"),
        ("06f5", "06"),
    ] {
        refused(&good, from, to);
    }
}

#[test]
fn a_default_in_parameters_is_not_spelled_out() {
    let app = Params { app: address(9), ..params() };
    let mut bytes = written_params(&app);
    assert_eq!(Params::decode(&bytes), Ok(app));
    let at = bytes.len() - 22;
    bytes[at..at + 20].fill(0);
    assert_eq!(Params::decode(&bytes), Err(Error::Record("nothing is spelled out")));
    let kind = written_params(&params());
    for wrong in [3, 0x17] {
        let changed = [&kind[..kind.len() - 1], &[wrong]].concat();
        assert_eq!(
            Params::decode(&changed),
            Err(Error::Record("the kind of the channel is unknown"))
        );
    }
}

#[test]
fn a_record_that_is_cut_is_refused() {
    for good in [written(&locked_state()), written(&longest_state()), written_params(&params())] {
        for length in 0..good.len() {
            assert!(State::decode(&good[..length]).is_err());
            assert!(Params::decode(&good[..length]).is_err());
        }
    }
}

pub(super) fn any_amount() -> impl Strategy<Value = Amount> {
    // Ten of them stay below 2^256.
    let below = |bits: u32| any::<[u8; 32]>().prop_map(move |bytes| shifted(bytes, bits));
    prop_oneof![below(4), below(128), below(240), below(256)]
}

fn shifted(bytes: [u8; 32], bits: u32) -> Amount {
    let mut bytes = bytes;
    bytes[..(bits / 8) as usize].fill(0);
    bytes[0] &= 0x0f;
    Amount::from_be_bytes(bytes)
}

pub(super) fn any_address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::new)
}

pub(super) fn any_asset() -> impl Strategy<Value = Asset> {
    prop_oneof![
        (any_amount(), any_address()).prop_map(|(chain, holder)| Asset::ethereum(chain, holder)),
        (2..=u32::MAX, vec(any::<u8>(), 1..=MAX_CC))
            .prop_map(|(backend, id)| Asset::other(backend, &id).unwrap()),
    ]
}

fn any_locked(assets: usize) -> impl Strategy<Value = SubAlloc> {
    (any::<[u8; 32]>(), vec(any_amount(), assets), any::<[bool; 2]>()).prop_map(|it| SubAlloc {
        id: ChannelId::new(it.0),
        balances: heapless::Vec::from_slice(&it.1).unwrap(),
        index_map: it.2.map(u16::from),
    })
}

fn any_outcome() -> impl Strategy<Value = Allocation> {
    let with_assets = |assets: usize| {
        let rows = vec((any_asset(), [any_amount(), any_amount()]), assets);
        (rows, vec(any_locked(assets), 0..=MAX_LOCKED))
    };
    let outcome = (1..=MAX_ASSETS).prop_flat_map(with_assets).prop_map(|(rows, locked)| {
        let mut outcome = Allocation::default();
        for (asset, balances) in rows {
            outcome.assets.push(asset).unwrap();
            outcome.balances.push(balances).unwrap();
        }
        outcome.locked = locked.into_iter().collect();
        outcome
    });
    outcome.prop_filter("settled by a ledger", |outcome| outcome.check().is_ok())
}

pub(super) fn any_state() -> impl Strategy<Value = State> {
    let data = vec(any::<u8>(), 0..=MAX_DATA);
    (any::<[u8; 32]>(), any::<u64>(), any_outcome(), data, any::<bool>()).prop_map(|it| State {
        channel: ChannelId::new(it.0),
        version: it.1,
        outcome: it.2,
        data: heapless::Vec::from_slice(&it.3).unwrap(),
        is_final: it.4,
    })
}

fn any_participant() -> impl Strategy<Value = Participant> {
    let cc = proptest::option::of((any::<u32>(), vec(any::<u8>(), 0..=MAX_CC)));
    (any_address(), cc).prop_map(|(address, cc)| match cc {
        Some((backend, bytes)) => Participant::with_cc(address, backend, &bytes).unwrap(),
        None => Participant::new(address),
    })
}

pub(super) fn any_params() -> impl Strategy<Value = Params> {
    let kind =
        prop_oneof![Just(ChannelKind::Ledger), Just(ChannelKind::Sub), Just(ChannelKind::Virtual)];
    let app = prop_oneof![Just(Address::ZERO), any_address()];
    let participants = [any_participant(), any_participant()];
    (1..=u64::MAX, any::<[u8; 32]>(), participants, app, kind)
        .prop_map(|(challenge_duration, nonce, participants, app, kind)| Params {
            challenge_duration,
            nonce: Nonce::new(nonce),
            participants,
            app: if kind.is_virtual() { Address::ZERO } else { app },
            kind,
        })
        .prop_filter("settled by a ledger", |params| params.check().is_ok())
}

proptest! {
    #[test]
    fn states_go_through_their_record(state in any_state()) {
        let bytes = written(&state);
        prop_assert_eq!(State::decode(&bytes), Ok(state.clone()));
        prop_assert!(Params::decode(&bytes).is_err());
        // The encoding that is hashed has the size that it announces.
        prop_assert!(encoded(&state).len().is_multiple_of(32));
    }

    #[test]
    fn parameters_go_through_their_record(params in any_params()) {
        let bytes = written_params(&params);
        prop_assert_eq!(Params::decode(&bytes), Ok(params));
        prop_assert!(State::decode(&bytes).is_err());
    }

    #[test]
    fn no_bytes_harm_and_what_is_read_is_written_the_same(
        state in any_state(),
        at: prop::sample::Index,
        byte: u8,
        noise in vec(any::<u8>(), 0..200),
    ) {
        let mut changed = written(&state);
        *at.get_mut(&mut changed) = byte;
        for bytes in [&changed, &noise] {
            if let Ok(state) = State::decode(bytes) {
                prop_assert_eq!(&written(&state), bytes);
            }
            if let Ok(params) = Params::decode(bytes) {
                prop_assert_eq!(&written_params(&params), bytes);
            }
        }
    }
}
