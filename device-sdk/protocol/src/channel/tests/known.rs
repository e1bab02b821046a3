//! Known answers that were checked against the contracts' bytecode, perun-eth-backend v0.6.0.

use std::{format, string::ToString};

use super::*;
use crate::Error;

const ETHER: u64 = 1_000_000_000_000_000_000;

#[test]
fn addresses_nonce_and_channel() {
    assert_eq!(key(0x11).address().to_string(), "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A");
    assert_eq!(key(0x22).address().to_string(), "0x1563915e194D8CfBA1943570603F7606A3115508");
    let nonce = "c8ad478f4e1dd9d47dfc3b985708d92db1f8db48fe9cddd459e63c321f490402";
    assert_eq!(params().nonce.to_string(), nonce);
    let id = "342f9fe1510e78c67c17284df8bb880e5d3faa2bc9290db23708f29862148688";
    assert_eq!(params().id().to_string(), id);
    assert_eq!(encoded(&params()).len(), 576);
}

#[test]
fn state_hashes() {
    let v0 = state(0, [ETHER, 2 * ETHER]);
    let v1 = state(1, [900_000_000_000_000_000, 2_100_000_000_000_000_000]);
    let v2 = State { version: 2, is_final: true, ..v1.clone() };
    for (state, hash) in [
        (&v0, "fb9172296767a1898487633f5f156b01d9f2a1e766ef61760fa0142a26c1008b"),
        (&v1, "65c99cc758c3ddfb0dde120722bfb7b11d221eb7c393f36bb3ac43857eccd774"),
        (&v2, "6b7525d58b0c56c9bb7c3774d2106377d3c0ba8d6a31aee79d63ed2b77fa214b"),
        (&locked_state(), "e528a852875fbff37404db29ebd3f8d99a78c912298bed2885c49959e5f2b523"),
    ] {
        assert_eq!(state.hash().to_string(), hash, "version {}", state.version);
    }
    assert_eq!(encoded(&v0).len(), 832);
    assert_eq!(encoded(&locked_state()).len(), 832 + 288);
}

#[test]
fn state_signatures() {
    let v0 = state(0, [ETHER, 2 * ETHER]);
    let digest = "efbec019c4656441b4e683abafe63f8e20c506bb1d097b571c36d0cb806d080b";
    assert_eq!(eip191(v0.hash().as_bytes()), array(digest));
    let a = "c3213c90c43d6b026b7440f27afe33c7e68b43d30b1517b1fee0824204327e5e37ff17ef2abb2f374a9737ac3b849a7fb7f9f8215ae3831392b56d8b923c16031c";
    let b = "02cb06062844714c74b5c04ab7e990d4caab90292a9b0c749adef17e52698018068e7e9b0c8dc42413b4a6836958205d7f73c4c136a4595ab5f68ab9d97ad3c21b";
    let v1 = "cd63db9f8f91b8c6e988dcdc6b6ce98d734e4a15914ee76b527ca5db2caf88197a505ed0a5ea1481c124428ee971e96845451e83f171a3a9a4c247f98cd09ac31b";
    let next = state(1, [900_000_000_000_000_000, 2_100_000_000_000_000_000]);
    for (key, state, expected) in [(key(0x11), &v0, a), (key(0x22), &v0, b), (key(0x11), &next, v1)]
    {
        let signature = key.sign_state(state).unwrap();
        assert_eq!(format!("{signature:?}"), expected);
        assert_eq!(signature.verify_state(state, &key.address()), Ok(()));
        let other = signature.verify_state(state, &address(1));
        assert_eq!(other, Err(Error::Channel(Rule::OtherSigner)));
    }
}

#[test]
fn funding_ids() {
    let id = |byte| FundingId::of(&params().id(), &key(byte).address()).to_string();
    assert_eq!(id(0x11), "b7b6a4726e594fe988210c1e343909862ba15f2a102d8945489102a00c7aceaf");
    assert_eq!(id(0x22), "1490e662a4a81564ad93a72f20c65ebc2250a64298fb9754118188088b38bf95");
}

#[test]
fn withdrawal_authorisations() {
    let mut authorisation = WithdrawalAuth {
        channel: params().id(),
        participant: Participant::new(key(0x11).address()),
        receiver: address(0xbb),
        amount: 900_000_000_000_000_000_u64.into(),
    };
    let empty = "6236a98e744c9a47141819024b6fc2a514d2726c5922bbe50e213dabba877fe8";
    assert_eq!(authorisation.hash(), array(empty));
    let signature = key(0x11).sign_withdrawal(&authorisation).unwrap();
    assert_eq!(signature.verify_withdrawal(&authorisation), Ok(()));

    authorisation.participant =
        Participant::with_cc(key(0x11).address(), 2, &[0; 32]).expect("32 bytes fit");
    let zeros = "72c3449e4bf2a3174d76bbafd068d7ef9f08b840df306b9917e79ec60047eb2d";
    assert_eq!(authorisation.hash(), array(zeros));
    assert!(signature.verify_withdrawal(&authorisation).is_err());
}

#[test]
fn foreign_assets_take_the_backend_as_their_chain() {
    let id = [7; 32];
    let rows = [(Asset::other(2, &id).unwrap(), amounts([1, 2]))];
    let state = State::initial(params().id(), Allocation::new(&rows).unwrap());
    let text = encoded(&state);
    let word = |at: usize| &text[32 * at..32 * (at + 1)];
    // Behind the offset: the head of the state, that of the outcome, number and place of assets.
    let asset = 1 + 5 + 4 + 2;
    assert_eq!(word(asset), Amount::from(2_u64).to_be_bytes());
    assert_eq!(word(asset + 1), [0; 32]);
    assert_eq!(word(asset + 4), id);
    // Number and entry of backends.
    assert_eq!(word(asset + 6), Amount::from(2_u64).to_be_bytes());
}

#[test]
fn missing_addresses_are_zeros_in_parameters() {
    let mut explicit = params();
    for participant in &mut explicit.participants {
        *participant = Participant::with_cc(participant.address, 2, &[0; 32]).unwrap();
    }
    assert_eq!(explicit.id(), params().id());
    explicit.participants[0].cc = Some(CcAddress { backend: 2, bytes: heapless::Vec::new() });
    assert_ne!(explicit.id(), params().id());
}

#[test]
fn every_field_counts() {
    let base = params();
    let virtual_channel = ChannelKind::Virtual;
    for other in [
        Params { challenge_duration: 61, ..base.clone() },
        Params { nonce: Nonce::new([1; 32]), ..base.clone() },
        Params { app: address(1), ..base.clone() },
        Params { kind: ChannelKind::Sub, ..base.clone() },
        Params { kind: virtual_channel, ..base.clone() },
        Params {
            participants: {
                let [a, b] = base.participants.clone();
                [b, a]
            },
            ..base.clone()
        },
    ] {
        assert_ne!(other.id(), base.id(), "{other:?}");
    }
}
