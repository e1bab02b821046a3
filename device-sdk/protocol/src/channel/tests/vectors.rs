//! `tests/vectors/perun-eth.json`, all of it.
//!
//! Its assets are free combinations of the ABI's fields, which [`Asset`] does not allow, so states are encoded
//! from those fields.

use std::{string::String, vec::Vec};

use serde_json::Value as Json;

use super::{
    super::encoding::{AssetFields, StateFields},
    *,
};

const VECTORS: &str = include_str!("../../../../../tests/vectors/perun-eth.json");

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

fn number(json: &Json) -> u64 {
    text(json).parse().unwrap()
}

fn amount(json: &Json) -> Amount {
    text(json).parse().unwrap()
}

fn hash32(json: &Json) -> [u8; 32] {
    array(text(json))
}

fn parsed(json: &Json) -> Address {
    let address: Address = text(json).parse().unwrap();
    assert!(address.is_zero() || text(json) == std::string::ToString::to_string(&address));
    address
}

fn list<T>(json: &Json, read: impl Fn(&Json) -> T) -> Vec<T> {
    json.as_array().unwrap().iter().map(read).collect()
}

/// Always with explicit bytes: the vectors also have none at all.
fn participant(json: &Json) -> Participant {
    let cc = bytes(text(&json["ccAddress"]));
    Participant::with_cc(parsed(&json["ethAddress"]), 2, &cc).unwrap()
}

fn read_params(json: &Json) -> Params {
    let [ledger, is_virtual] =
        ["ledgerChannel", "virtualChannel"].map(|flag| json[flag].as_bool().unwrap());
    Params {
        challenge_duration: number(&json["challengeDuration"]),
        nonce: Nonce::new(amount(&json["nonce"]).to_be_bytes()),
        participants: list(&json["participants"], participant).try_into().unwrap(),
        app: parsed(&json["app"]),
        kind: ChannelKind::from_flags(ledger, is_virtual).unwrap(),
    }
}

fn sub_alloc(json: &Json) -> SubAlloc {
    let index_map = list(&json["indexMap"], |place| place.as_u64().unwrap().try_into().unwrap());
    SubAlloc {
        id: ChannelId::new(hash32(&json["ID"])),
        balances: list(&json["balances"], amount).into_iter().collect(),
        index_map: SubAlloc::expand(&index_map).unwrap(),
    }
}

/// All but the assets.
fn read_state(json: &Json) -> State {
    let outcome = &json["outcome"];
    let row = |row: &Json| list(row, amount).try_into().unwrap();
    State {
        channel: ChannelId::new(hash32(&json["channelID"])),
        version: number(&json["version"]),
        outcome: Allocation {
            assets: heapless::Vec::new(),
            balances: list(&outcome["balances"], row).into_iter().collect(),
            locked: list(&outcome["locked"], sub_alloc).into_iter().collect(),
        },
        data: heapless::Vec::from_slice(&bytes(text(&json["appData"]))).unwrap(),
        is_final: json["isFinal"].as_bool().unwrap(),
    }
}

fn check_params(case: &Json) -> Params {
    let params = read_params(&case["params"]);
    assert_eq!(encoded(&params), bytes(text(&case["encoded_params"])));
    assert_eq!(params.id().as_bytes(), &hash32(&case["channel_id"]));
    params
}

fn check_state(case: &Json, keys: &[SigningKey]) {
    let state = read_state(&case["state"]);
    let outcome = &case["state"]["outcome"];
    let holders = list(&outcome["assets"], |asset| bytes(text(&asset["ccHolder"])));
    let backends = list(&outcome["backends"], |backend| u32::try_from(number(backend)).unwrap());
    let assets = outcome["assets"].as_array().unwrap();
    assert_eq!(assets.len(), backends.len());
    let fields = |((asset, backend), cc_holder)| {
        let asset: &Json = asset;
        let cc_holder: &Vec<u8> = cc_holder;
        let chain_id = amount(&asset["chainID"]);
        AssetFields { backend, chain_id, holder: parsed(&asset["ethHolder"]), cc_holder }
    };
    let assets: Vec<_> = assets.iter().zip(backends).zip(&holders).map(fields).collect();
    let state = StateFields { assets: &assets, state: &state };
    assert_eq!(encoded(&state), bytes(text(&case["encoded_state"])));
    let hash = hash(&state);
    assert_eq!(hash, hash32(&case["state_hash"]));
    let signatures = list(&case["state_signatures"], |signature| array(text(signature)));
    assert_eq!(signatures.len(), keys.len());
    for (key, expected) in keys.iter().zip(&signatures) {
        assert_eq!(key.sign_hash(&hash).unwrap().as_bytes(), expected);
        let signature = Signature::from_bytes(expected).unwrap();
        assert_eq!(signature.recover(&hash), Ok(key.address()));
    }
}

fn check_withdrawal(case: &Json, keys: &[SigningKey]) {
    let json = &case["withdrawal_auth"];
    let authorisation = WithdrawalAuth {
        channel: ChannelId::new(hash32(&json["channelID"])),
        participant: participant(&json["participant"]),
        receiver: parsed(&json["receiver"]),
        amount: amount(&json["amount"]),
    };
    assert_eq!(encoded(&authorisation), bytes(text(&case["encoded_withdrawal_auth"])));
    let signature = keys[0].sign_withdrawal(&authorisation).unwrap();
    assert_eq!(signature.as_bytes(), &array(text(&case["withdrawal_auth_signature"])));
    assert_eq!(signature.verify_withdrawal(&authorisation), Ok(()));
}

fn check_funding(case: &Json, params: &Params) {
    let expected = list(&case["funding_ids"], hash32);
    let ids = params.participants.each_ref().map(|it| FundingId::of(&params.id(), &it.address));
    assert_eq!(ids.map(|id| *id.as_bytes()).as_slice(), expected);
}

#[test]
fn every_case_byte_for_byte() {
    let cases: Vec<Json> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(cases.len(), 24);
    for case in &cases {
        let keys = list(&case["keys"], |key| SigningKey::from_bytes(&hash32(key)).unwrap());
        let params = check_params(case);
        let addresses: Vec<_> = keys.iter().map(SigningKey::address).collect();
        assert_eq!(addresses, params.participants.each_ref().map(|it| it.address));
        check_state(case, &keys);
        check_withdrawal(case, &keys);
        check_funding(case, &params);
        let names: Vec<String> = case.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names.len(), 12, "a field of the vectors is not checked: {names:?}");
    }
}
