//! A malicious gateway: what it may try with a device that has paid and was paid, before and after a restart.

use super::*;

/// A device that has paid 30 and was paid 10: version 2, 80 for the device.
fn used() -> Bench {
    let mut bench = Bench::open();
    bench.pay(30);
    bench.signed(&request(Why::Pay, state(1, 70)));
    bench.signed(&request(Why::Receive, state(2, 80)));
    bench
}

fn attempts() -> Vec<(SignRequest, Refusal)> {
    let older = |version, own| request(Why::Pay, state(version, own));
    let mut sum = request(Why::Receive, state(3, 80));
    sum.state.outcome.balances[0][1] = 71_u64.into();
    let thief = Address::new([0xcc; 20]);
    let foreign = Params {
        participants: {
            let [a, b] = params().participants;
            [b, a]
        },
        ..params()
    };
    let same_nonce = State { channel: foreign.id(), ..state(0, 100) };
    let claim = Opening { params: params(), peer_share: Some(PEER_SHARE) };
    let elsewhere = Opening { params: foreign, peer_share: Some(PEER_SHARE) };
    vec![
        // Another state for a version that is signed.
        (request(Why::Receive, state(2, 81)), Refusal::Equivocation),
        (request(Why::Pay, state(2, 70)), Refusal::Equivocation),
        // An older one, also one that was signed then, to be registered in the newer one's place.
        (older(1, 70), Refusal::Older),
        (opening(), Refusal::Older),
        // Another channel with the same nonce, as itself and under this channel's parameters.
        (
            SignRequest { opening: Some(elsewhere), state: same_nonce.clone(), ..opening() },
            Refusal::Terms,
        ),
        (
            SignRequest { opening: Some(claim), state: same_nonce.clone(), ..opening() },
            Refusal::OtherChannel,
        ),
        (
            SignRequest { state: same_nonce, ..request(Why::Receive, state(3, 90)) },
            Refusal::UnknownChannel,
        ),
        // The withdrawals go to somebody else, also those of a state that is signed.
        (SignRequest { receiver: thief, ..request(Why::Receive, state(3, 90)) }, Refusal::Receiver),
        (SignRequest { receiver: thief, ..request(Why::Receive, state(2, 80)) }, Refusal::Receiver),
        // The device's balance moves to the other side, whatever the reason is called.
        (request(Why::Pay, state(3, 79)), Refusal::NotAgreed),
        (request(Why::Receive, state(3, 79)), Refusal::NotAgreed),
        (request(Why::Final, state(3, 79)), Refusal::FinalBalances),
        (request(Why::Open, state(3, 79)), Refusal::OtherStep),
        (request(Why::Pay, state(3, 0)), Refusal::NotAgreed),
        // The sum grows out of nothing.
        (sum, Refusal::SumChanged),
    ]
}

#[test]
fn every_attempt_is_refused_with_its_reason() {
    let mut bench = used();
    for (request, refusal) in attempts() {
        bench.refused(&request, refusal);
    }
    bench.signed(&request(Why::Receive, state(3, 90)));
}

#[test]
fn every_attempt_is_refused_after_a_restart_too() {
    for (request, refusal) in attempts() {
        used().reboot().refused(&request, refusal);
    }
}

#[test]
fn after_a_final_state_every_attempt_is_refused() {
    let mut bench = used();
    let last = request(Why::Final, state(3, 80));
    let bytes = bench.answer(&last);
    let mut bench = bench.reboot();
    for (request, _) in attempts() {
        assert!(bench.outcome(&request).is_err(), "{request:?}");
    }
    bench.refused(&request(Why::Receive, state(4, 150)), Refusal::AfterFinal);
    bench.refused(&request(Why::Receive, state(3, 150)), Refusal::Equivocation);
    assert_eq!(bench.answer(&last), bytes);
}

#[test]
fn a_proof_of_the_key_signs_no_state() {
    use sluicegate_device::channel::exchange::{KeyChallenge, KeyProof};
    let state = state(1, 0);
    // The gateway makes the challenge out of the hash that it wants signed.
    let challenge = KeyChallenge(*state.hash().as_bytes());
    let bench = Bench::open();
    let proof = KeyProof::sign(bench.device.key(), &challenge, "").unwrap();
    assert!(proof.signature.verify_state(&state, &bench.device.address()).is_err());
}
