//! Alice's car signs for itself: what it may ask, what is asked twice, and what its gateway does without it.

use sluicegate_protocol::channel::{
    Participant, SigningKey,
    exchange::{
        KeyProof, OpenRequest, PayRequest, Phase as Shown, Refusal, SignAnswer, SignRequest,
        Signatures, Summary,
    },
};

use super::*;
use crate::store::channels::ChannelRow;

const CAR: &str = "car";

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

impl World {
    async fn ask(&self, ask: Ask) -> Result<Said, Denied> {
        self.sides[0].handle().device(CAR, ask).await
    }

    /// Shows a key; with whatever the gateway's challenge is.
    async fn prove(&self, key: &SigningKey) -> Result<Said, Denied> {
        let Ok(Said::Challenge(challenge)) = self.ask(Ask::Challenge).await else { panic!() };
        let proof = KeyProof::sign(key, &challenge, CAR).unwrap();
        self.ask(Ask::Prove(Box::new(proof))).await
    }

    fn request(&self, share: u8) -> Box<OpenRequest> {
        let asset = self.sides[0].account.terms().assets[0].asset.clone();
        Box::new(OpenRequest {
            peer: "bob".try_into().unwrap(),
            asset,
            own_deposit: amount(1_000),
            peer_deposit: amount(500),
            challenge_duration: CHALLENGE_S,
            share: [share; 32],
        })
    }

    /// Asks for a channel until the peer is there.
    async fn opened(&self, share: u8) -> ChannelId {
        loop {
            match self.ask(Ask::Open(self.request(share))).await {
                Ok(Said::Opened(id)) => return id,
                Err(Denied::Later(_)) => sleep(TICK).await,
                other => panic!("{other:?}"),
            }
        }
    }

    /// A channel that the car opened.
    async fn car_channel(&self) -> ChannelId {
        self.prove(&key(0x77)).await.unwrap();
        let id = self.opened(5).await;
        let request = self.pending(&id).await;
        assert_eq!(self.answer(&request).await, Ok(Said::Done));
        self.both_reach(&id, Phase::Open).await;
        id
    }

    async fn show(&self, id: &ChannelId) -> Summary {
        loop {
            match self.ask(Ask::Show(*id)).await {
                Ok(Said::Summary(summary)) => return *summary,
                // The gateway has just begun anew.
                Err(Denied::Unknown | Denied::Later(_)) => sleep(TICK).await,
                other => panic!("{other:?}"),
            }
        }
    }

    /// What waits for the car.
    async fn pending(&self, id: &ChannelId) -> SignRequest {
        loop {
            match self.show(id).await.pending {
                Some(request) => return request,
                None => sleep(TICK).await,
            }
        }
    }

    async fn answer(&self, request: &SignRequest) -> Result<Said, Denied> {
        let outcome = Ok(signed(&key(0x77), request));
        let answer = SignAnswer { number: request.number, outcome };
        self.ask(Ask::Answer(request.state.channel, Box::new(answer))).await
    }

    async fn pay_request(&self, id: &ChannelId, version: u64, units: u64) -> Ask {
        let (amount, memo) = (amount(units), "kWh".try_into().unwrap());
        Ask::Pay(*id, Box::new(PayRequest { version, amount, asset: 0, memo }))
    }

    /// A payment of the car, signed by both.
    async fn car_pays(&self, id: &ChannelId, units: u64) {
        let version = self.show(id).await.current.unwrap().version;
        let ask = self.pay_request(id, version, units).await;
        let Ok(Said::Request(request)) = self.ask(ask).await else { panic!() };
        assert_eq!(self.answer(&request).await, Ok(Said::Done));
        while self.show(id).await.current.unwrap().version == version {
            sleep(TICK).await;
        }
    }
}

fn signed(key: &SigningKey, request: &SignRequest) -> Signatures {
    let own = Participant::new(key.address());
    Signatures::of(key, &request.state, &own, 0, &request.receiver).unwrap()
}

fn denied(outcome: Result<Said, Denied>, words: &str) {
    let reason = outcome.unwrap_err().to_string();
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn a_key_is_shown_by_a_challenge_and_stays_while_there_are_channels() {
    run(async {
        let mut world = World::new().await;
        let challenge = |bytes| sluicegate_protocol::channel::exchange::KeyChallenge(bytes);
        let proof = KeyProof::sign(&key(0x77), &challenge([1; 32]), CAR).unwrap();
        denied(world.ask(Ask::Prove(Box::new(proof))).await, "challenge first");
        assert!(matches!(world.ask(Ask::Challenge).await, Ok(Said::Challenge(_))));
        denied(world.ask(Ask::Prove(Box::new(proof))).await, "not of the newest");
        denied(world.ask(Ask::Open(world.request(5))).await, "has not shown its key");
        assert_eq!(world.prove(&key(0x77)).await, Ok(Said::Done));
        assert_eq!(world.ask(Ask::Prove(Box::new(proof))).await, Ok(Said::Done), "a repetition");
        let other = world.sides[0].handle().device("bus", Ask::Challenge).await;
        let Ok(Said::Challenge(challenge)) = other else { panic!("{other:?}") };
        let same = KeyProof::sign(&key(0x77), &challenge, "bus").unwrap();
        let same = world.sides[0].handle().device("bus", Ask::Prove(Box::new(same))).await;
        denied(same, "another device has this key");
        world.sides[0].restart().await;
        world.connect_again(0).await;
        let id = world.opened(5).await;
        denied(world.prove(&key(0x78)).await, "channels with another key");
        assert_eq!(world.ask(Ask::Close(id)).await, Ok(Said::Done));
        world.sides[0].reaches(&id, |record| record.phase == Phase::Abandoned).await;
        assert_eq!(world.prove(&key(0x78)).await, Ok(Said::Done));
    });
}

#[test]
fn a_car_opens_pays_and_closes_and_what_it_asks_twice_happens_once() {
    run(async {
        let mut world = World::new().await;
        world.prove(&key(0x77)).await.unwrap();
        let id = world.opened(5).await;
        assert_eq!(world.opened(5).await, id, "the share is the request's name");
        let request = world.pending(&id).await;
        let opening = request.opening.as_ref().unwrap();
        let nonce = sluicegate_protocol::channel::Nonce::from_shares(
            &[5; 32],
            &opening.peer_share.unwrap(),
        );
        assert_eq!(opening.params.nonce, nonce);
        // Nothing but the right signatures counts, and a restart asks for the same.
        let foreign = SignAnswer { number: request.number, outcome: Ok(signed(&key(1), &request)) };
        let foreign = Ask::Answer(id, Box::new(foreign));
        denied(world.ask(foreign).await, "not those of the state");
        world.sides[0].restart().await;
        world.connect_again(0).await;
        assert_eq!(world.pending(&id).await, request);
        assert_eq!(world.answer(&request).await, Ok(Said::Done));
        assert_eq!(world.answer(&request).await, Ok(Said::Done), "the same answer again");
        world.both_reach(&id, Phase::Open).await;

        let pay = world.pay_request(&id, 0, 7).await;
        let Ok(Said::Request(first)) = world.ask(pay.clone()).await else { panic!() };
        let repeated = world.ask(pay.clone()).await;
        assert_eq!(repeated, Ok(Said::Request(first.clone())), "one payment");
        assert!(first.opening.is_none());
        // Without an authorisation the signature does not count.
        let mut bare = signed(&key(0x77), &first);
        bare.withdrawals[0] = None;
        let bare = SignAnswer { number: first.number, outcome: Ok(bare) };
        denied(world.ask(Ask::Answer(id, Box::new(bare))).await, "not those of the state");
        assert_eq!(world.answer(&first).await, Ok(Said::Done));
        let paid = |record: &Record| record.state().is_some_and(|state| state.version == 1);
        world.sides[0].reaches(&id, paid).await;
        assert_eq!(world.answer(&first).await, Ok(Said::Done), "it was signed");
        denied(world.ask(pay).await, "not the newest");
        let old = SignAnswer { number: 3, outcome: Ok(signed(&key(0x77), &request)) };
        denied(world.ask(Ask::Answer(id, Box::new(old))).await, "no longer");

        assert_eq!(world.ask(Ask::Close(id)).await, Ok(Said::Done));
        let last = world.pending(&id).await;
        assert!(last.state.is_final);
        world.answer(&last).await.unwrap();
        world.both_reach(&id, Phase::Withdrawn).await;
        world.check_balances(7).await;
        // The end is listed until the car has seen it.
        let listed = |listed: Result<Said, Denied>| match listed {
            Ok(Said::Channels(list)) => list.0.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(listed(world.ask(Ask::List).await), 1);
        assert_eq!(world.show(&id).await.phase, Shown::Withdrawn);
        assert_eq!(listed(world.ask(Ask::List).await), 0);
    });
}

#[test]
fn a_device_has_no_hand_in_the_channels_of_others() {
    run(async {
        let world = World::new().await;
        let id = world.car_channel().await;
        let meters = world.open().await;
        let pay = |id| world.pay_request(id, 0, 7);
        let request = world.show(&id).await;
        assert!(request.pending.is_none());
        for ask in [Ask::Show(id), Ask::Close(id), Ask::Dispute(id), pay(&id).await] {
            let stranger = world.sides[0].handle().device("bus", ask).await;
            assert_eq!(stranger, Err(Denied::Unknown));
        }
        for ask in [Ask::Show(meters), Ask::Close(meters), pay(&meters).await] {
            assert_eq!(world.ask(ask.clone()).await, Err(Denied::Unknown));
            // Nor has one for which the gateway signs.
            let meter = world.sides[0].handle().device("meter", ask).await;
            assert_eq!(meter, Err(Denied::Unknown));
        }
        assert_eq!(world.sides[0].record(&id).await.unwrap().phase, Phase::Open);
        assert_eq!(world.sides[0].record(&meters).await.unwrap().phase, Phase::Open);
    });
}

#[test]
fn without_a_reserve_no_device_opens_a_channel_either() {
    run(async {
        let mut world = World::new().await;
        world.sides[0].reserve = u128::from(GRANT);
        world.sides[0].restart().await;
        world.connect_again(0).await;
        world.prove(&key(0x77)).await.unwrap();
        let refused = loop {
            match world.ask(Ask::Open(world.request(5))).await {
                Err(Denied::Later(reason)) if reason.contains("no connection") => sleep(TICK).await,
                other => break other,
            }
        };
        assert!(matches!(&refused, Err(Denied::Conflict(_))), "{refused:?}");
        denied(refused, "fund it with");
    });
}

#[test]
fn what_is_asked_again_is_refused_again() {
    run(async {
        let world = World::new().await;
        let id = world.car_channel().await;
        for _ in 0..2 {
            let handle = world.sides[0].handle().clone();
            let unasked = handle.begin(Command::Pay(id, amount(9))).await.unwrap();
            let request = world.pending(&id).await;
            let no = SignAnswer { number: request.number, outcome: Err(Refusal::NotAgreed) };
            let no = Ask::Answer(id, Box::new(no));
            assert_eq!(world.ask(no.clone()).await, Ok(Said::Done));
            assert_eq!(world.ask(no).await, Ok(Said::Done), "a repetition");
            let told = timeout(Duration::from_secs(5), unasked).await;
            assert!(told.expect("it is told at once").is_err());
        }
    });
}

#[test]
fn what_the_car_refuses_is_not_paid_and_the_channel_goes_on() {
    run(async {
        let world = World::new().await;
        let id = world.car_channel().await;
        let handle = world.sides[0].handle().clone();
        let unasked = spawn_local(async move { handle.command(Command::Pay(id, amount(9))).await });
        let request = world.pending(&id).await;
        let no = SignAnswer { number: request.number, outcome: Err(Refusal::NotAgreed) };
        let no = Ask::Answer(id, Box::new(no));
        assert_eq!(world.ask(no.clone()).await, Ok(Said::Done));
        let told = unasked.await.unwrap().unwrap_err();
        assert!(told.contains("more leaves than was agreed"), "{told}");
        assert_eq!(world.ask(no).await, Ok(Said::Done), "a repetition");
        world.car_pays(&id, 7).await;
        assert_eq!(world.show(&id).await.current.unwrap().balances[0][0], amount(993));
    });
}

#[test]
fn a_signature_that_comes_too_late_is_not_lost() {
    run(async {
        let world = World::new().await;
        let id = world.car_channel().await;
        let handle = world.sides[1].handle().clone();
        let paid = spawn_local(async move { handle.command(Command::Pay(id, amount(9))).await });
        // The car signs, and the network is away until the peer was refused.
        let request = world.pending(&id).await;
        let told = paid.await.unwrap().unwrap_err();
        assert!(told.contains("in time"), "{told}");
        assert!(world.show(&id).await.pending.is_none());
        assert_eq!(world.answer(&request).await, Ok(Said::Done));
        let both = |record: &Record| record.state().is_some_and(|state| state.version == 1);
        let record = world.sides[0].reaches(&id, both).await;
        world.sides[1].reaches(&id, both).await;
        assert!(record.current.unwrap().withdrawals.iter().all(Option::is_some));
        world.car_pays(&id, 2).await;
        assert_eq!(world.show(&id).await.current.unwrap().balances[0][0], amount(1_007));
    });
}

#[test]
fn a_car_that_sleeps_for_too_long_is_asked_no_more_and_the_channel_goes_on() {
    run(async {
        let mut world = World::new().await;
        world.sides[0].patience_ms = 1_500;
        world.sides[0].restart().await;
        world.connect_again(0).await;
        let id = world.car_channel().await;
        let told = world.sides[0].handle().command(Command::Pay(id, amount(9))).await.unwrap_err();
        assert!(told.contains("did not sign in time"), "{told}");
        world.car_pays(&id, 7).await;
        let summary = world.show(&id).await;
        assert_eq!((summary.phase, summary.current.unwrap().version), (Shown::Open, 2));
    });
}

#[test]
fn a_car_that_signs_after_a_while_leaves_its_peer_as_long_as_any_other() {
    run(async {
        let mut world = World::new().await;
        world.sides[0].patience_ms = 1_500;
        world.sides[0].restart().await;
        world.connect_again(0).await;
        let id = world.car_channel().await;
        let ask = world.pay_request(&id, 0, 7).await;
        let Ok(Said::Request(request)) = world.ask(ask).await else { panic!() };
        // Once it was asked again, and the first message to the peer is lost.
        sleep(Duration::from_millis(1_100)).await;
        world.sides[0].cut.set(true);
        assert_eq!(world.answer(&request).await, Ok(Said::Done));
        sleep(TICK).await;
        world.sides[0].cut.set(false);
        let paid = |record: &Record| record.state().is_some_and(|state| state.version == 1);
        let record = world.sides[0].reaches(&id, paid).await;
        assert_eq!(record.phase, Phase::Open);
    });
}

#[test]
fn without_the_car_its_gateway_refutes_and_withdraws_with_what_the_car_had_signed() {
    run(async {
        let mut world = World::new().await;
        let id = world.car_channel().await;
        let zero = world.sides[1].record(&id).await.unwrap();
        world.car_pays(&id, 7).await;
        let bob = world.sides[1].handle().clone();
        let paid = spawn_local(async move { bob.command(Command::Pay(id, amount(100))).await });
        let request = world.pending(&id).await;
        world.answer(&request).await.unwrap();
        assert_eq!(paid.await.unwrap(), Ok(Answer::Done));
        // From here on the car is never heard again. Bob wants his payment back.
        world.register_old(1, &id, zero).await;
        let newest = |record: &Record| record.view.registration().is_some_and(|r| r.version == 2);
        world.sides[0].reaches(&id, newest).await;
        world.clock.advance(CHALLENGE_S * 1_000);
        world.sides[0].reaches(&id, |record| record.phase == Phase::Withdrawn).await;
        world.sides[1].start_channels();
        world.both_reach(&id, Phase::Withdrawn).await;
        let alice = world.sides[0].account.account().await.unwrap();
        assert_eq!(alice.balance, u128::from(GRANT + 93 - alice.next_nonce));
    });
}

#[test]
fn who_observes_a_channel_is_told_what_is_to_be_signed() {
    run(async {
        let world = World::new().await;
        let changes = world.sides[0].changes.clone();
        let id = world.car_channel().await;
        let observed = place(CAR, Some(&id));
        changes.observe(observed.clone());
        let bob = world.sides[1].handle().clone();
        spawn_local(async move { bob.command(Command::Pay(id, amount(100))).await });
        let news = changes.next().await;
        use sluicegate_protocol::channel::exchange::Message as _;
        let summary = Summary::decode(&news[&observed].bytes).unwrap();
        let request = summary.pending.expect("it is to be signed");
        assert_eq!(request.state.outcome.balances[0][0], amount(1_100));
    });
}

#[test]
fn a_car_is_asked_again_for_authorisations_that_did_not_come_back() {
    run(async {
        let mut world = World::new().await;
        let id = world.car_channel().await;
        world.car_pays(&id, 7).await;
        // The state came back from the peer, after a backup: without what only the car can sign.
        let mut record = world.sides[0].record(&id).await.unwrap();
        record.current.as_mut().unwrap().withdrawals.clear();
        let row = ChannelRow {
            id: *id.as_bytes(),
            record: record.to_bytes(),
            over: false,
            enforced_from: 1,
        };
        world.sides[0].kill();
        world.sides[0].open();
        let batch = Batch { records: vec![row], ..Batch::default() };
        world.sides[0].store(move |store| store.commit_channels(&batch).unwrap()).await;
        world.sides[0].start().await;
        world.connect_again(0).await;
        assert_eq!(world.sides[0].handle().command(Command::Dispute(id)).await, Ok(Answer::Done));
        world.sides[0].reaches(&id, |record| record.phase == Phase::Disputed).await;
        world.sides[0].reaches(&id, |record| record.view.registration().is_some()).await;
        world.clock.advance(CHALLENGE_S * 1_000);
        world.sides[0].reaches(&id, |record| record.phase == Phase::Concluded).await;
        let request = world.pending(&id).await;
        assert_eq!(request.state, record.current.unwrap().state);
        let foreign = SignAnswer { number: request.number, outcome: Ok(signed(&key(1), &request)) };
        let foreign = Ask::Answer(id, Box::new(foreign));
        denied(world.ask(foreign).await, "not those of the state");
        assert_eq!(world.answer(&request).await, Ok(Said::Done));
        assert_eq!(world.answer(&request).await, Ok(Said::Done), "a repetition");
        world.both_reach(&id, Phase::Withdrawn).await;
    });
}
