//! Each rule alone: amounts and addresses, parameters, allocations, steps between states, signatures, sinks.

use std::{format, string::ToString};

use proptest::prelude::*;

use super::*;
use crate::Error;

type Outcome = Result<(), Error>;

fn broken(rule: Rule) -> Outcome {
    Err(Error::Channel(rule))
}

#[test]
fn amounts_are_checked_and_have_one_text() {
    let one = Amount::from(1_u64);
    assert_eq!(Amount::MAX.checked_add(one), None);
    assert_eq!(Amount::ZERO.checked_sub(one), None);
    assert_eq!(Amount::MAX.checked_mul(2_u64.into()), None);
    assert_eq!(Amount::MAX.checked_mul(one), Some(Amount::MAX));
    assert_eq!(Amount::checked_sum([Amount::MAX, one]), None);
    let max = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert_eq!(Amount::MAX.to_string(), max);
    assert_eq!(max.parse(), Ok(Amount::MAX));
    assert_eq!(format!("{max}0").parse::<Amount>(), Err(Rule::AmountTooLarge));
    assert_eq!(max.replace("935", "936").parse::<Amount>(), Err(Rule::AmountTooLarge));
    assert_eq!("0".parse(), Ok(Amount::ZERO));
    for text in ["", "00", "01", "+1", "-1", "1_0", "0x1", "1.0", " 1", "1e3", "١"] {
        assert_eq!(text.parse::<Amount>(), Err(Rule::AmountForm), "{text}");
    }
    assert_eq!(u128::try_from(Amount::from(u128::MAX)), Ok(u128::MAX));
    assert_eq!(u128::try_from(Amount::MAX), Err(Rule::AmountTooLarge));
}

#[test]
fn amounts_have_one_minimal_byte_string() {
    for (amount, bytes) in [
        (Amount::ZERO, &[][..]),
        (256_u64.into(), &[1, 0]),
        (255_u64.into(), &[255]),
        (Amount::MAX, &[255; 32]),
    ] {
        assert_eq!(amount.to_minimal(), bytes);
        assert_eq!(Amount::from_minimal(bytes), Some(amount));
    }
    assert_eq!(Amount::from_minimal(&[0]), None);
    assert_eq!(Amount::from_minimal(&[0, 1]), None);
    assert_eq!(Amount::from_minimal(&[1; 33]), None);
}

#[test]
fn addresses_are_read_only_with_their_checksum() {
    // From EIP-55.
    let text = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let address: Address = text.parse().unwrap();
    assert_eq!(address.to_string(), text);
    assert_eq!(text.to_lowercase().parse(), Ok(address));
    assert_eq!(format!("0x{}", text[2..].to_uppercase()).parse(), Ok(address));
    assert_eq!(text.replace("aA", "AA").parse::<Address>(), Err(Rule::AddressChecksum));
    for text in ["", "0x", &text[2..], &text[..41], &format!("{text}0"), &text.replace('E', "G")] {
        assert_eq!(text.parse::<Address>(), Err(Rule::AddressForm), "{text}");
    }
}

#[test]
fn parameters_that_trap_money_are_refused() {
    let base = params();
    let [first, second] = base.participants.clone();
    let nobody = Participant::new(Address::ZERO);
    let elsewhere = Participant::with_cc(first.address, 2, &[1; 32]).unwrap();
    let virtual_app = Params { kind: ChannelKind::Virtual, app: address(1), ..base.clone() };
    assert_eq!(base.check(), Ok(()));
    assert_eq!(Params { app: address(1), ..base.clone() }.check(), Ok(()));
    for (params, rule) in [
        (Params { challenge_duration: 0, ..base.clone() }, Rule::NoChallengeDuration),
        (
            Params { participants: [first.clone(), elsewhere], ..base.clone() },
            Rule::SameParticipants,
        ),
        (Params { participants: [nobody.clone(), second], ..base.clone() }, Rule::NoParticipant),
        (Params { participants: [first, nobody], ..base.clone() }, Rule::NoParticipant),
        (virtual_app, Rule::VirtualApp),
    ] {
        assert_eq!(params.check(), broken(rule), "{params:?}");
    }
    let long = Participant::with_cc(address(1), 2, &[0; MAX_CC + 1]);
    assert!(matches!(long, Err(Error::Channel(Rule::Capacity { limit: MAX_CC, .. }))));
}

#[test]
fn kinds_and_flags_match() {
    for kind in [ChannelKind::Ledger, ChannelKind::Sub, ChannelKind::Virtual] {
        assert_eq!(ChannelKind::from_flags(kind.is_ledger(), kind.is_virtual()), Some(kind));
    }
    assert_eq!(ChannelKind::from_flags(true, true), None);
}

/// What an allocation breaks after one change to [`locked_state`].
fn after(change: impl FnOnce(&mut Allocation)) -> Outcome {
    let mut outcome = locked_state().outcome;
    change(&mut outcome);
    outcome.check()
}

#[test]
fn allocations_that_no_ledger_settles_are_refused() {
    assert_eq!(after(|_| ()), Ok(()));
    assert_eq!(Allocation::default().check(), broken(Rule::NoAsset));
    let rows = Rule::BalanceRows { balances: 2, assets: 1 };
    assert_eq!(after(|it| it.balances.push(amounts([1, 2])).unwrap()), broken(rows));
    let rows = Rule::BalanceRows { balances: 0, assets: 1 };
    assert_eq!(after(|it| it.balances.clear()), broken(rows));
    let twice = |it: &mut Allocation| {
        it.assets.push(it.assets[0].clone()).unwrap();
        it.balances.push(amounts([1, 2])).unwrap();
        it.locked.clear();
    };
    assert_eq!(after(twice), broken(Rule::SameAsset));
    let other_chain = |it: &mut Allocation| {
        twice(it);
        it.assets[1] = Asset::ethereum(1338_u64, address(0xaa));
    };
    assert_eq!(after(other_chain), Ok(()));
    let locked_rows = |it: &mut Allocation| {
        other_chain(it);
        it.locked = locked_state().outcome.locked;
    };
    assert_eq!(after(locked_rows), broken(Rule::LockedBalances { balances: 1, assets: 2 }));
    let same_locked = |it: &mut Allocation| it.locked.push(it.locked[0].clone()).unwrap();
    assert_eq!(after(same_locked), broken(Rule::SameLocked));
    assert_eq!(after(|it| it.locked[0].index_map = [1, 2]), broken(Rule::IndexMap));
    assert_eq!(after(|it| it.locked[0].index_map = [1, 0]), Ok(()));
    let id = heapless::Vec::from_slice(&[1]).unwrap();
    let in_disguise = Asset::Other { backend: ETHEREUM, id };
    assert_eq!(after(|it| it.assets[0] = in_disguise), broken(Rule::AssetForm));
    assert_eq!(Asset::other(2, &[]), Err(Error::Channel(Rule::AssetForm)));
}

#[test]
fn sums_stay_below_two_to_the_256() {
    let max = |it: &mut Allocation| {
        let rest = Amount::MAX.checked_sub(amounts([15])[0]).unwrap();
        it.balances[0] = [rest, amounts([10])[0]];
    };
    // With the five that are locked just the largest amount, and then one more.
    assert_eq!(after(max), Ok(()));
    let more = |it: &mut Allocation| {
        max(it);
        it.locked[0].balances[0] = 6_u64.into();
    };
    assert_eq!(after(more), broken(Rule::AmountTooLarge));
}

#[test]
fn too_many_assets_are_refused() {
    let row = |chain: u64| (Asset::ethereum(chain, address(1)), amounts([1, 2]));
    let rows: Vec<_> = (0..5).map(row).collect();
    assert!(Allocation::new(&rows[..4]).is_ok());
    let capacity = Rule::Capacity { what: "assets", limit: MAX_ASSETS };
    assert_eq!(Allocation::new(&rows), Err(Error::Channel(capacity)));
}

#[test]
fn index_maps_are_expanded() {
    assert_eq!(SubAlloc::expand(&[]), Ok([0, 1]));
    assert_eq!(SubAlloc::expand(&[1]), Ok([1, 0]));
    assert_eq!(SubAlloc::expand(&[1, 0]), Ok([1, 0]));
    assert_eq!(SubAlloc::expand(&[1, 0, 0]), Err(Error::Channel(Rule::IndexMap)));
}

#[test]
fn states_belong_to_their_parameters() {
    let base = params();
    assert_eq!(locked_state().check(&base), Ok(()));
    let other = Params { challenge_duration: 61, ..base.clone() };
    assert_eq!(state(0, [1, 2]).check(&other), broken(Rule::OtherChannel));
    let data = heapless::Vec::from_slice(&[1]).unwrap();
    let with_data = State { data, ..state(0, [1, 2]) };
    assert_eq!(with_data.check(&base), broken(Rule::DataWithoutApp));
    let app = Params { app: address(1), ..base.clone() };
    assert_eq!(State { channel: app.id(), ..with_data }.check(&app), Ok(()));
    let virtual_channel = Params { kind: ChannelKind::Virtual, ..base };
    let locked = State { channel: virtual_channel.id(), ..locked_state() };
    assert_eq!(locked.check(&virtual_channel), broken(Rule::VirtualLocked));
}

#[test]
fn steps_break_one_rule_each() {
    let before = locked_state();
    let step = |version, balances| State {
        outcome: Allocation {
            balances: heapless::Vec::from_slice(&[amounts(balances)]).unwrap(),
            ..before.outcome.clone()
        },
        ..State { version, ..before.clone() }
    };
    let good = step(4, [9, 21]);
    assert_eq!(good.successor_of(&before, Versions::Next), Ok(()));
    assert_eq!(step(4, [30, 0]).successor_of(&before, Versions::Next), Ok(()));
    assert_eq!(step(9, [9, 21]).successor_of(&before, Versions::Greater), Ok(()));
    let final_before = State { is_final: true, ..before.clone() };
    assert_eq!(good.successor_of(&final_before, Versions::Next), broken(Rule::AfterFinal));
    let mut other_backend = good.clone();
    other_backend.outcome.assets[0] = Asset::other(2, &[0xaa; 20]).unwrap();
    let mut other_map = good.clone();
    other_map.outcome.locked[0].index_map = [1, 0];
    for (after, rule) in [
        (State { channel: ChannelId::new([1; 32]), ..good.clone() }, Rule::OtherChannel),
        (step(3, [9, 21]), Rule::VersionNotGreater),
        (step(2, [9, 21]), Rule::VersionNotGreater),
        (step(5, [9, 21]), Rule::VersionGap),
        (other_backend, Rule::AssetsChanged),
        (step(4, [9, 22]), Rule::SumChanged { asset: 0 }),
        (step(4, [9, 20]), Rule::SumChanged { asset: 0 }),
        (other_map, Rule::LockedChanged),
    ] {
        assert_eq!(after.successor_of(&before, Versions::Next), broken(rule));
    }
}

#[test]
fn locking_keeps_the_sum() {
    let (before, mut after) = (state(3, [12, 23]), State { version: 4, ..locked_state() });
    assert_eq!(after.relocking_successor_of(&before, Versions::Next), Ok(()));
    assert_eq!(after.successor_of(&before, Versions::Next), broken(Rule::LockedChanged));
    assert_eq!(after.total(0), before.total(0));
    after.outcome.locked[0].balances[0] = 6_u64.into();
    let result = after.relocking_successor_of(&before, Versions::Next);
    assert_eq!(result, broken(Rule::SumChanged { asset: 0 }));
}

#[test]
fn signatures_of_another_form_are_refused() {
    let hash = [9; 32];
    let signature = key(1).sign_hash(&hash).unwrap();
    assert_eq!(signature.recover(&hash), Ok(key(1).address()));
    let with_last = |last| {
        let mut bytes = *signature.as_bytes();
        bytes[64] = last;
        bytes
    };
    let last = signature.as_bytes()[64];
    for wrong in (0..=255).filter(|byte| !(27..=28).contains(byte)) {
        let rule = Error::Channel(Rule::RecoveryByte);
        assert_eq!(Signature::from_bytes(&with_last(wrong)), Err(rule), "{wrong}");
        let of_go_perun = Signature::from_go_perun(&with_last(wrong));
        assert_eq!(of_go_perun.is_ok(), wrong < 2, "{wrong}");
    }
    assert_eq!(Signature::from_go_perun(&with_last(last - 27)), Ok(signature));
    assert_eq!(Signature::from_go_perun(&with_last(last)), Ok(signature));
    let flipped = Signature::from_bytes(&with_last(27 + 28 - last)).unwrap();
    assert_ne!(flipped.recover(&hash), Ok(key(1).address()));
}

/// The other signature that everybody can make: s and the parity of r's point negated.
#[test]
fn the_signature_with_the_high_s_is_refused() {
    let signature = key(1).sign_hash(&[9; 32]).unwrap();
    let order: [u8; 32] = array("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let s: [u8; 32] = signature.as_bytes()[32..64].try_into().unwrap();
    let high = Amount::from_be_bytes(order).checked_sub(Amount::from_be_bytes(s)).unwrap();
    let mut bytes = *signature.as_bytes();
    bytes[32..64].copy_from_slice(&high.to_be_bytes());
    bytes[64] = 27 + 28 - bytes[64];
    let refused = Err(Error::Channel(Rule::HighS));
    assert_eq!(Signature::from_bytes(&bytes), refused);
    bytes[64] -= 27;
    assert_eq!(Signature::from_go_perun(&bytes), refused);
    let zero = [&[0; 64][..], &[27]].concat().try_into().unwrap();
    assert_eq!(Signature::from_bytes(&zero), Err(Error::Channel(Rule::NoSigner)));
}

#[test]
fn keys_are_in_range_and_show_nothing() {
    let order = array("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    for bytes in [[0; 32], order, [255; 32]] {
        assert!(SigningKey::from_bytes(&bytes).is_err());
    }
    assert_eq!(format!("{:?}", key(0x11)), "SigningKey(..)");
}

#[test]
fn a_buffer_that_is_too_small_says_so() {
    let mut bytes = [0; 4];
    let mut buffer = Buffer::new(&mut bytes);
    buffer.put(&[1, 2, 3]);
    buffer.put(&[4, 5]);
    buffer.put(&[6]);
    assert_eq!(buffer.finish(), Err(Error::BufferFull));
    let mut buffer = Buffer::new(&mut bytes);
    buffer.put(&[1, 2, 3, 4]);
    assert_eq!(buffer.finish(), Ok(&[1, 2, 3, 4][..]));
}

proptest! {
    #[test]
    fn sums_are_those_of_wide_numbers(a: [u64; 4], locked: [u64; 4]) {
        let mut state = state(0, [a[0], a[1]]);
        for (at, amount) in (0..).zip(locked) {
            let id = ChannelId::new([at; 32]);
            let balances = heapless::Vec::from_slice(&amounts([amount])).unwrap();
            let locked = SubAlloc { id, balances, index_map: [0, 1] };
            state.outcome.locked.push(locked).unwrap();
        }
        let expected: u128 = [a[0], a[1]].iter().chain(&locked).copied().map(u128::from).sum();
        prop_assert_eq!(state.total(0), Ok(Amount::from(expected)));
        let product = u128::from(a[2]) * u128::from(a[3]);
        let [x, y] = amounts([a[2], a[3]]);
        prop_assert_eq!(x.checked_mul(y), Some(Amount::from(product)));
    }

    #[test]
    fn amounts_go_through_text_and_bytes(bytes: [u8; 32]) {
        let amount = Amount::from_be_bytes(bytes);
        prop_assert_eq!(amount.to_be_bytes(), bytes);
        prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        prop_assert_eq!(Amount::from_minimal(&amount.to_minimal()), Some(amount));
    }
}
