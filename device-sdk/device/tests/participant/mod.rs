//! Channels of a device that signs for itself: a gateway that asks for signatures, and a flash that may lose power.

mod agreements;
mod hostile;
mod openings;
mod properties;
mod reload;
mod rules;

use sluicegate_device::{
    channel::{
        Address, Allocation, Amount, Asset, ChannelKind, Nonce, Params, Participant as Side,
        SigningKey, State, SubAlloc,
        exchange::{
            MAX_MESSAGE, Message as _, OpenRequest, Opening, Refusal, SignAnswer, SignRequest,
            Signatures, Why,
        },
    },
    participant::{Allowance, Limit, Output, Participant, Policy},
};

/// What the device and its peer have at first, and where the device's money goes.
const DEPOSITS: [u64; 2] = [100, 50];
const OWNER: Address = Address::new([0xbb; 20]);

const OWN_SHARE: [u8; 32] = [5; 32];
const PEER_SHARE: [u8; 32] = [6; 32];

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn asset() -> Asset {
    Asset::ethereum(1337_u64, Address::new([0xaa; 20]))
}

fn policy() -> Policy {
    Policy { receiver: OWNER, elsewhere: None, takes_offers: false, least_challenge: 600 }
}

fn limit() -> Limit {
    Limit { asset: asset(), deposit: 100_u64.into(), spending: 80_u64.into() }
}

fn open_request() -> OpenRequest {
    OpenRequest {
        peer: "charger".try_into().unwrap(),
        asset: asset(),
        own_deposit: DEPOSITS[0].into(),
        peer_deposit: DEPOSITS[1].into(),
        challenge_duration: 3600,
        share: OWN_SHARE,
    }
}

fn params() -> Params {
    Params {
        challenge_duration: 3600,
        nonce: Nonce::from_shares(&OWN_SHARE, &PEER_SHARE),
        participants: [key(0x11), key(0x22)].map(|key| Side::new(key.address())),
        app: Address::ZERO,
        kind: ChannelKind::Ledger,
    }
}

/// A state of the channel in which the device has this much.
fn state(version: u64, own: u64) -> State {
    let balances = [own, DEPOSITS[0] + DEPOSITS[1] - own].map(Amount::from);
    let outcome = Allocation::new(&[(asset(), balances)]).unwrap();
    State { version, ..State::initial(params().id(), outcome) }
}

fn request(why: Why, state: State) -> SignRequest {
    let is_final = why == Why::Final;
    SignRequest {
        number: 1,
        opening: None,
        state: State { is_final, ..state },
        why,
        receiver: OWNER,
    }
}

fn opening() -> SignRequest {
    let opening = Opening { params: params(), peer_share: Some(PEER_SHARE) };
    SignRequest { opening: Some(opening), ..request(Why::Open, state(0, DEPOSITS[0])) }
}

/// What is in the flash of a device with two channels.
type Flash = [Vec<u8>; 4];

struct Bench {
    device: Participant<2>,
    flash: Flash,
}

impl Bench {
    /// A device that has not asked for anything.
    fn new(policy: Policy) -> Self {
        let mut device = Participant::new(key(0x11), policy);
        device.set_limit(limit()).unwrap();
        Self { device, flash: Flash::default() }
    }

    /// A device with the channel that it asked for.
    fn open() -> Self {
        let mut bench = Self::new(policy());
        bench.device.open(open_request(), Some(key(0x22).address()));
        bench.signed(&opening());
        bench
    }

    /// A device that starts with what is in the flash.
    fn reboot(self) -> Self {
        Self::started(self.flash)
    }

    fn started(flash: Flash) -> Self {
        let mut bench = Self { flash, ..Self::new(policy()) };
        for (slot, record) in bench.flash.iter().enumerate() {
            assert_eq!(bench.device.restore(slot, record).is_ok(), !record.is_empty());
        }
        bench
    }

    /// What is answered, as bytes; it comes after the record.
    fn answer(&mut self, request: &SignRequest) -> Vec<u8> {
        self.device.handle(request).unwrap();
        if let Some(Output::Store { slot, record }) = self.device.poll() {
            self.flash[slot] = record.to_vec();
            assert_eq!(
                self.device.poll(),
                None,
                "nothing is answered before the record is durable"
            );
            self.device.stored();
        } else {
            // An answer that needed no record has been given already.
            self.device.handle(request).unwrap();
        }
        let Some(Output::Answer { channel, answer }) = self.device.poll() else {
            panic!("there is an answer");
        };
        assert_eq!(channel, request.state.channel);
        assert_eq!(answer.number, request.number);
        answer.encode(&mut [0; MAX_MESSAGE]).unwrap().to_vec()
    }

    fn outcome(&mut self, request: &SignRequest) -> Result<Signatures, Refusal> {
        SignAnswer::decode(&self.answer(request)).unwrap().outcome
    }

    /// The signatures, which hold.
    fn signed(&mut self, request: &SignRequest) -> Signatures {
        let signatures = self.outcome(request).unwrap();
        let own = &params().participants[0];
        assert_eq!(signatures.verify(&request.state, own, 0, &OWNER), Ok(()));
        signatures
    }

    /// Refused for this reason, and with no change: the channel goes on where it was.
    fn refused(&mut self, request: &SignRequest, refusal: Refusal) {
        let (flash, books) = (self.flash.clone(), self.books());
        assert_eq!(self.outcome(request), Err(refusal), "{request:?}");
        assert_eq!(self.flash, flash);
        assert_eq!(self.books(), books);
    }

    fn books(&self) -> String {
        self.device.books().map(|book| format!("{book:?}")).collect()
    }

    fn pay(&mut self, amount: u64) {
        self.device.pay(&params().id(), 0, amount.into()).unwrap();
    }

    fn allow(&mut self, per_step: u64, total: u64) {
        let allowance = Allowance { per_step: per_step.into(), total: total.into() };
        self.device.allow(&params().id(), 0, Some(allowance)).unwrap();
    }

    fn spent(&self) -> Amount {
        self.device.book(&params().id()).unwrap().spent(0).unwrap()
    }
}
