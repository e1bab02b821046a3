//! Targets for the channels of a device that signs for itself.

use sluicegate_device::{
    channel::{
        Address, Amount, Participant as Side, SigningKey,
        exchange::{
            Channels, KeyChallenge, KeyProof, MAX_MESSAGE, Message, OpenRequest, PayRequest,
            SignAnswer, SignRequest, Summary,
        },
    },
    participant::{Limit, Output, Participant, Policy},
};

/// A message of any kind, or a record: what is read is written the same. A request, also one in a
/// summary, is put to a device, which answers what holds, after its record, and the same again.
pub fn device_channel(data: &[u8]) -> bool {
    let others = [
        again::<KeyChallenge>(data).is_some(),
        again::<KeyProof>(data).is_some(),
        again::<OpenRequest>(data).is_some(),
        again::<Channels>(data).is_some(),
        again::<SignAnswer>(data).is_some(),
        again::<PayRequest>(data).is_some(),
    ];
    let (summary, request) = (again::<Summary>(data), again::<SignRequest>(data));
    let is_read = others.contains(&true) || summary.is_some() || request.is_some();
    let pending = summary.and_then(|summary| summary.pending);
    request.or(pending).iter().for_each(put_to_a_device);
    let is_restored = device(Address::ZERO).restore(1, data).is_ok();
    is_read || is_restored
}

fn again<T: Message>(data: &[u8]) -> Option<T> {
    let message = T::decode(data).ok()?;
    assert_eq!(message.encode(&mut [0; MAX_MESSAGE]), Ok(data));
    Some(message)
}

fn device(receiver: Address) -> Participant<1> {
    let key = SigningKey::from_bytes(&[1; 32]).expect("a key");
    let policy = Policy { receiver, elsewhere: None, takes_offers: true, least_challenge: 1 };
    Participant::new(key, policy)
}

/// A device that takes every channel it has a part in.
fn put_to_a_device(request: &SignRequest) {
    let mut device = device(request.receiver);
    for asset in &request.state.outcome.assets {
        let limit = Limit { asset: asset.clone(), deposit: Amount::MAX, spending: Amount::ZERO };
        device.set_limit(limit).expect("room for the limits of one state");
    }
    let first = answer(&mut device, request);
    assert_eq!(answer(&mut device, request), first, "a request repeated gets the same bytes");
    let Ok(signatures) = first.outcome else { return };
    let own = Side::new(device.address());
    let opening = request.opening.as_ref().expect("the first request has parameters");
    let place = opening.params.index_of(&own.address).expect("the device has a part");
    assert_eq!(signatures.verify(&request.state, &own, place, &request.receiver), Ok(()));
}

fn answer(device: &mut Participant<1>, request: &SignRequest) -> SignAnswer {
    device.handle(request).expect("nothing else is being answered");
    let mut record = None;
    loop {
        match device.poll() {
            Some(Output::Store { slot, record: bytes }) => record = Some((slot, bytes.to_vec())),
            Some(Output::Answer { answer, .. }) => {
                let answer = answer.clone();
                record.iter().for_each(|(slot, record)| reload(request.receiver, *slot, record));
                return answer;
            }
            None => device.stored(),
        }
    }
}

fn reload(receiver: Address, slot: usize, record: &[u8]) {
    assert_eq!(device(receiver).restore(slot, record), Ok(()));
}
