//! A device with a participant, and a gateway that asks it for signatures over CoAP, in small blocks.

use std::collections::HashMap;

use sluicegate_device::{
    Config, Device, Event, Output,
    channel::{
        Address, Allocation, Amount, Asset, ChannelKind, Nonce, Params, Participant as Side,
        SigningKey, State,
        exchange::{
            Channels, Current, KeyChallenge, KeyProof, MAX_MESSAGE, Message as _, OpenRequest,
            Opening, PayRequest, Phase, SignAnswer, SignRequest, Signatures, Summary, Why,
        },
    },
    channels::{ChannelClient, Command, News},
    coap::option,
    participant::{self, Limit, Participant, Policy},
};

use super::*;

const SHARES: [[u8; 32]; 2] = [[5; 32], [6; 32]];
const OWNER: Address = Address::new([0xbb; 20]);
const BLOCK: usize = 64;

/// What the gateway answers, by method and path; what was posted last, by path.
#[derive(Default)]
struct Gateway {
    answers: HashMap<(Code, String), (Code, Vec<u8>)>,
    upload: Vec<u8>,
    posted: HashMap<String, Vec<u8>>,
    exchanges: usize,
}

impl Gateway {
    fn set(&mut self, method: Code, path: &str, code: Code, payload: Vec<u8>) {
        self.answers.insert((method, path.into()), (code, payload));
    }

    fn serve(&mut self, datagram: &[u8]) -> Vec<u8> {
        self.exchanges += 1;
        let message = Message::parse(datagram).unwrap();
        let path = message.options().filter(|(number, _)| *number == option::URI_PATH);
        let path: Vec<_> = path.map(|(_, segment)| str::from_utf8(segment).unwrap()).collect();
        let path = path.join("/");
        let upload = message.uint(option::BLOCK1);
        if upload.is_none_or(|block| block >> 4 == 0) {
            self.upload.clear();
        }
        self.upload.extend_from_slice(message.payload);
        if let Some(block) = upload.filter(|block| block & 8 != 0) {
            return Answer::to(datagram, Code::CONTINUE).uint(option::BLOCK1, block).bytes();
        }
        if message.code == Code::POST {
            self.posted.insert(path.clone(), self.upload.clone());
        }
        let unknown = (Code::NOT_FOUND, Vec::new());
        let (code, payload) = self.answers.get(&(message.code, path)).unwrap_or(&unknown);
        let mut answer = Answer::to(datagram, *code);
        let number = message.uint(option::BLOCK2).unwrap_or_default() >> 4;
        let start = number as usize * BLOCK;
        let end = payload.len().min(start + BLOCK);
        if payload.len() > BLOCK {
            let more = u32::from(end < payload.len()) << 3;
            answer = answer.uint(option::BLOCK2, number << 4 | more | 2);
        }
        if let Some(block) = upload {
            answer = answer.uint(option::BLOCK1, block);
        }
        answer.payload(&payload[start..end]).bytes()
    }
}

/// The firmware: everything that an application puts together.
struct Firmware {
    device: Device<1, 16>,
    own: Own,
    now: Duration,
    participant: Participant<2>,
    stored: usize,
    news: Vec<String>,
}

/// What the device is given as its application.
struct Own(ChannelClient<2>);

impl Application for Own {
    fn links(&self) -> &[Link<'_>] {
        &[]
    }

    fn serve(&mut self, _: usize, _: &Incoming<'_>, _: &mut Reply<'_>) -> Code {
        unreachable!("there are no resources")
    }

    fn body(&self) -> &dyn Body {
        &self.0
    }
}

impl Firmware {
    fn new() -> Self {
        let config = Config { seed: SEED, block: BlockSize::B64, next_seq: 1 };
        let policy =
            Policy { receiver: OWNER, elsewhere: None, takes_offers: false, least_challenge: 1 };
        let mut participant = Participant::new(key(0x11), policy);
        let limit = Limit { asset: asset(), deposit: 100_u64.into(), spending: 100_u64.into() };
        participant.set_limit(limit).unwrap();
        Self {
            device: Device::new(config),
            own: Own(ChannelClient::new(seconds(600))),
            now: seconds(0),
            participant,
            stored: 0,
            news: Vec::new(),
        }
    }

    /// Until nothing is due any more.
    fn run(&mut self, gateway: &mut Gateway) {
        loop {
            if let Some(request) = self.own.0.request(self.now) {
                self.device.request(&request).unwrap();
                self.own.0.begun();
            }
            let Some(output) = self.device.poll(self.now, &mut self.own) else { return };
            let Output::Send(datagram) = output else { panic!("{output:?}") };
            let response = gateway.serve(datagram);
            let event = self.device.handle(self.now, &response, &mut self.own);
            let Some(Event::Application(event)) = event else { continue };
            let Some(news) = self.own.0.handle(self.now, &event) else { continue };
            self.hear(news);
        }
    }

    fn hear(&mut self, news: News<'_>) {
        match news {
            News::Asked(request) => self.sign(&request),
            News::Summary(Summary { phase, pending, .. }) => {
                self.news.push(format!("{phase:?}"));
                pending.iter().for_each(|request| self.sign(request));
            }
            News::Challenge(challenge) => {
                let proof = KeyProof::sign(self.participant.key(), &challenge, "meter-1").unwrap();
                self.own.0.prove(&proof).unwrap();
            }
            news => self.news.push(format!("{news:?}")),
        }
    }

    fn sign(&mut self, request: &SignRequest) {
        self.participant.handle(request).unwrap();
        while let Some(output) = self.participant.poll() {
            match output {
                participant::Output::Store { .. } => {
                    self.stored += 1;
                    self.participant.stored();
                }
                participant::Output::Answer { channel, answer } => {
                    self.own.0.answer(&channel, answer).unwrap();
                }
            }
        }
    }
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn asset() -> Asset {
    Asset::ethereum(1337_u64, Address::new([0xaa; 20]))
}

fn params() -> Params {
    Params {
        challenge_duration: 3600,
        nonce: Nonce::from_shares(&SHARES[0], &SHARES[1]),
        participants: [key(0x11), key(0x22)].map(|key| Side::new(key.address())),
        app: Address::ZERO,
        kind: ChannelKind::Ledger,
    }
}

fn state(version: u64, balances: [u64; 2]) -> State {
    let outcome = Allocation::new(&[(asset(), balances.map(Amount::from))]).unwrap();
    State { version, ..State::initial(params().id(), outcome) }
}

fn ask(number: u64, why: Why, state: State) -> SignRequest {
    let share = Some(SHARES[1]);
    let opening = (why == Why::Open).then(|| Opening { params: params(), peer_share: share });
    SignRequest { number, opening, state, why, receiver: OWNER }
}

fn summary(phase: Phase, pending: Option<SignRequest>) -> Vec<u8> {
    let balances = [[100_u64, 50].map(Amount::from)].into_iter().collect();
    let current = Some(Current { version: 0, balances }).filter(|_| phase != Phase::Exchanging);
    let summary = Summary { id: params().id(), current, phase, pending };
    bytes(&summary)
}

fn bytes(message: &impl sluicegate_device::channel::exchange::Message) -> Vec<u8> {
    message.encode(&mut [0; MAX_MESSAGE]).unwrap().to_vec()
}

fn verified(posted: &[u8], request: &SignRequest) {
    let answer = SignAnswer::decode(posted).unwrap();
    assert_eq!(answer.number, request.number);
    let own = &params().participants[0];
    assert_eq!(answer.outcome.unwrap().verify(&request.state, own, 0, &OWNER), Ok(()));
}

#[test]
fn a_device_enrols_opens_pays_and_is_paid() {
    let (mut firmware, mut gateway) = (Firmware::new(), Gateway::default());
    let channel = format!("channels/{}", params().id());
    let signatures = format!("{channel}/signatures");
    gateway.set(Code::GET, "channels", Code::CONTENT, bytes(&Channels::default()));
    let challenge = KeyChallenge([3; 32]);
    gateway.set(Code::GET, "channels/key", Code::CONTENT, bytes(&challenge));
    gateway.set(Code::POST, "channels/key", Code::CHANGED, Vec::new());
    firmware.own.0.enrol().unwrap();
    firmware.run(&mut gateway);
    let proof = KeyProof::decode(&gateway.posted["channels/key"]).unwrap();
    assert_eq!(proof.verify(&challenge, "meter-1"), Ok(()));
    assert_eq!(firmware.news, ["Done(Prove)"]);

    // It asks for a channel, and finds the first state pending.
    let open = OpenRequest {
        peer: "charger".try_into().unwrap(),
        asset: asset(),
        own_deposit: 100_u64.into(),
        peer_deposit: 50_u64.into(),
        challenge_duration: 3600,
        share: SHARES[0],
    };
    firmware.participant.open(open.clone(), None);
    firmware.own.0.open(&open).unwrap();
    let list = Channels([params().id()].into_iter().collect());
    gateway.set(Code::GET, "channels", Code::CONTENT, bytes(&list));
    gateway.set(Code::POST, "channels", Code::CREATED, Vec::new());
    let first = ask(1, Why::Open, state(0, [100, 50]));
    gateway.set(
        Code::GET,
        &channel,
        Code::CONTENT,
        summary(Phase::Exchanging, Some(first.clone())),
    );
    // A gateway that does not want the answer, and asks for it all the same, is not answered at once.
    firmware.run(&mut gateway);
    assert_eq!(OpenRequest::decode(&gateway.posted["channels"]), Ok(open));
    verified(&gateway.posted[&signatures], &first);
    assert_eq!(firmware.stored, 1);

    // The device pays; the state comes with the response.
    gateway.set(Code::POST, &signatures, Code::CHANGED, Vec::new());
    gateway.set(Code::GET, &channel, Code::CONTENT, summary(Phase::Open, None));
    firmware.now = firmware.own.0.next_deadline().unwrap();
    assert_eq!(firmware.now, seconds(60));
    firmware.run(&mut gateway);
    let pay = ask(2, Why::Pay, state(1, [70, 80]));
    gateway.set(Code::POST, &format!("{channel}/payments"), Code::CHANGED, bytes(&pay));
    firmware.participant.pay(&params().id(), 0, 30_u64.into()).unwrap();
    let request =
        PayRequest { version: 0, amount: 30_u64.into(), asset: 0, memo: "kWh".try_into().unwrap() };
    firmware.own.0.pay(&params().id(), &request).unwrap();
    firmware.run(&mut gateway);
    verified(&gateway.posted[&signatures], &pay);

    // It is told of a change, and is paid.
    let receive = ask(3, Why::Receive, state(2, [75, 75]));
    gateway.set(Code::GET, &channel, Code::CONTENT, summary(Phase::Asked, Some(receive.clone())));
    firmware.own.0.changed(firmware.now, &params().id());
    // What is pending is asked until it is answered, so the gateway must go on.
    gateway.set(Code::POST, &signatures, Code::SERVICE_UNAVAILABLE, Vec::new());
    firmware.run(&mut gateway);
    verified(&gateway.posted[&signatures], &receive);
    assert_eq!(firmware.stored, 3);
    assert_eq!(firmware.own.0.next_deadline(), Some(seconds(120)));
    gateway.posted.clear();
    gateway.set(Code::POST, &signatures, Code::CHANGED, Vec::new());
    gateway.set(Code::GET, &channel, Code::CONTENT, summary(Phase::Open, None));
    firmware.now = seconds(120);
    firmware.run(&mut gateway);
    verified(&gateway.posted[&signatures], &receive);
    assert_eq!(firmware.stored, 3, "it was signed once");
    assert!(gateway.exchanges > 30, "the blocks are small: {}", gateway.exchanges);
}

#[test]
fn commands_are_repeated_until_the_gateway_has_decided() {
    let (mut firmware, mut gateway) = (Firmware::new(), Gateway::default());
    let id = params().id();
    let close = format!("channels/{id}/close");
    gateway.set(Code::GET, "channels", Code::CONTENT, bytes(&Channels::default()));
    gateway.set(Code::POST, &close, Code::INTERNAL_SERVER_ERROR, Vec::new());
    firmware.own.0.close(&id).unwrap();
    assert_eq!(firmware.own.0.dispute(&id), Err(sluicegate_device::Error::Busy));
    for pause in [1, 2, 4] {
        firmware.run(&mut gateway);
        let delayed = News::Delayed { code: Code::INTERNAL_SERVER_ERROR, pause: seconds(pause) };
        assert_eq!(firmware.news.pop(), Some(format!("{delayed:?}")));
        assert!(firmware.own.0.request(firmware.now).is_none());
        firmware.now = firmware.own.0.next_deadline().unwrap();
    }
    gateway.set(Code::POST, &close, Code::CHANGED, Vec::new());
    firmware.run(&mut gateway);
    assert_eq!(firmware.news.pop(), Some(format!("{:?}", News::Done(Command::Close(id)))));
    assert!(gateway.posted[&close].is_empty());

    let reason = b"the channel is closed".to_vec();
    gateway.set(Code::POST, &format!("channels/{id}/dispute"), Code::CONFLICT, reason);
    firmware.own.0.dispute(&id).unwrap();
    firmware.run(&mut gateway);
    let (command, code) = (Command::Dispute(id), Code::CONFLICT);
    let refused = News::Refused { command, code, diagnostic: b"the channel is closed" };
    assert_eq!(firmware.news.pop(), Some(format!("{refused:?}")));
}

#[test]
fn a_channel_that_cannot_be_read_holds_up_no_other() {
    let (mut firmware, mut gateway) = (Firmware::new(), Gateway::default());
    let broken = sluicegate_device::channel::ChannelId::new([1; 32]);
    let list = Channels([broken, params().id()].into_iter().collect());
    gateway.set(Code::GET, "channels", Code::CONTENT, bytes(&list));
    gateway.set(Code::GET, &format!("channels/{broken}"), Code::CONTENT, vec![0xa0; 1025]);
    let channel = format!("channels/{}", params().id());
    gateway.set(Code::GET, &channel, Code::CONTENT, summary(Phase::Open, None));
    firmware.run(&mut gateway);
    assert_eq!(firmware.news.len(), 1, "{:?}", firmware.news);
    assert!(firmware.news[0].starts_with("Malformed"), "{:?}", firmware.news);
    firmware.now = firmware.own.0.next_deadline().unwrap();
    firmware.run(&mut gateway);
    assert_eq!(firmware.news[1..], ["Open"]);
    // After a new connection both are looked at again.
    firmware.own.0.reconnected(firmware.now);
    firmware.run(&mut gateway);
    assert_eq!(firmware.news.len(), 3);
}

#[test]
fn the_longest_messages_of_a_device_have_room() {
    let half = Amount::from_be_bytes(core::array::from_fn(|at| if at == 0 { 0x7f } else { 0xff }));
    let open = OpenRequest {
        peer: "x".repeat(64).as_str().try_into().unwrap(),
        asset: Asset::other(u32::MAX, &[1; 128]).unwrap(),
        own_deposit: half,
        peer_deposit: half,
        challenge_duration: u64::MAX,
        share: SHARES[0],
    };
    let memo = "x".repeat(128).as_str().try_into().unwrap();
    let pay = PayRequest { version: u64::MAX, amount: Amount::MAX, asset: 3, memo };
    let rows: Vec<_> = (2..6).map(|at| (Asset::other(at, &[1]).unwrap(), [half; 2])).collect();
    let state = State::initial(params().id(), Allocation::new(&rows).unwrap());
    let own = &params().participants[0];
    let signatures = Signatures::of(&key(0x11), &state, own, 0, &OWNER).unwrap();
    let answer = SignAnswer { number: u64::MAX, outcome: Ok(signatures) };
    let mut client = ChannelClient::<1>::new(seconds(60));
    client.answer(&params().id(), &answer).unwrap();
    client.open(&open).unwrap();
    let mut client = ChannelClient::<1>::new(seconds(60));
    client.pay(&params().id(), &pay).unwrap();
}

#[test]
fn memory_is_what_the_readme_says() {
    assert!(size_of::<Participant<2>>() < 6 * 1024, "{}", size_of::<Participant<2>>());
    assert!(size_of::<ChannelClient<2>>() < 3 * 1024, "{}", size_of::<ChannelClient<2>>());
    assert!(size_of::<SignRequest>() < 4 * 1024, "{}", size_of::<SignRequest>());
}
