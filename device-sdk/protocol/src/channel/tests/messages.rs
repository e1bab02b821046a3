//! Messages between a device and its gateway: vectors, limits of length, round trips, hostile bytes.

use std::{fmt::Debug, format, string::String, vec::Vec};

use proptest::{collection::vec, option, prelude::*};

use super::{
    super::exchange::{
        Channels, Current, KeyChallenge, KeyProof, MAX_LISTED, MAX_MEMO, MAX_MESSAGE, MAX_NAME,
        Message, OpenRequest, Opening, PayRequest, Phase, Refusal, SignAnswer, SignRequest,
        Signatures, Summary, Why,
    },
    record::{any_address, any_amount, any_asset, any_params, any_state, longest_state},
    *,
};
use crate::Error;

const TOO_LONG: Error =
    Error::Channel(Rule::Capacity { what: "bytes of a message", limit: MAX_MESSAGE });

fn written(message: &impl Message) -> Vec<u8> {
    message.encode(&mut [0; MAX_MESSAGE]).unwrap().to_vec()
}

/// Pieces of hexadecimal digits, one after the other; what stands behind `;` explains.
fn vector(lines: &str) -> Vec<u8> {
    let digits: String = lines.lines().filter_map(|line| line.split(';').next()).collect();
    bytes(&digits.replace(' ', ""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(message: &(impl Message + PartialEq + Debug), lines: &str) {
    let expected = vector(lines);
    assert_eq!(hex(&written(message)), hex(&expected), "{message:?}");
    let read = <_ as MessageOf>::decode_as(message, &expected);
    assert_eq!(&read.unwrap(), message);
}

/// Decodes as the type of a value at hand.
trait MessageOf: Message {
    fn decode_as(&self, bytes: &[u8]) -> Result<Self, Error>;
}

impl<T: Message> MessageOf for T {
    fn decode_as(&self, bytes: &[u8]) -> Result<Self, Error> {
        T::decode(bytes)
    }
}

fn open_request() -> OpenRequest {
    OpenRequest {
        peer: "charger".try_into().unwrap(),
        asset: Asset::ethereum(1337_u64, address(0xaa)),
        own_deposit: 1000_u64.into(),
        peer_deposit: Amount::ZERO,
        challenge_duration: 3600,
        share: [5; 32],
    }
}

fn sign_request() -> SignRequest {
    let state = state(1, [9, 21]);
    SignRequest { number: 7, opening: None, state, why: Why::Pay, receiver: address(0xbb) }
}

fn summary() -> Summary {
    let balances = [amounts([10, 20])].into_iter().collect();
    Summary {
        id: params().id(),
        current: Some(Current { version: 0, balances }),
        phase: Phase::Proposed,
        pending: Some(sign_request()),
    }
}

fn signatures(state: &State) -> Signatures {
    let own = &params().participants[0];
    Signatures::of(&key(0x11), state, own, 0, &address(0xbb)).unwrap()
}

#[test]
fn the_proof_of_a_key() {
    let challenge = KeyChallenge([3; 32]);
    check(
        &challenge,
        "a1 01 5820 0303030303030303030303030303030303030303030303030303030303030303 ; challenge",
    );
    let address = key(0x11).address();
    let hash = "a76a3158b943214f72dbdb10d4393edd47efe219e60fc64cb8265b9169cddd87";
    assert_eq!(hex(&challenge.hash(&address, "meter-1")), hash);
    let proof = KeyProof::sign(&key(0x11), &challenge, "meter-1").unwrap();
    check(
        &proof,
        "a2                                               ; two fields
         01 54 19e7e376e7c213b7e7e7e46cc70a5dd086daff2a   ; the address
         02 5841 ; the signature:
             13c6d8c7cde5348804cc02dfe79b11331eae324a583beadb626b20cd46d4b615 ; r
             3a88b5ad410599af0ad111b8752f01e95c6440d8f03549b51f4c019c77548f501c ; s, 28",
    );
}

#[test]
fn a_request_for_a_channel() {
    check(
        &open_request(),
        "a6                                               ; six fields
         01 67 63686172676572                             ; the peer: charger
         02 83 01 420539                                  ; the asset: Ethereum, chain 1337,
               54 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ; and its holder
         03 42 03e8                                       ; own deposit 1000
         04 40                                            ; peer's deposit 0
         05 190e10                                        ; an hour
         06 5820 0505050505050505050505050505050505050505050505050505050505050505",
    );
    let other = OpenRequest { asset: Asset::other(2, &[7, 8]).unwrap(), ..open_request() };
    let text = hex(&written(&other));
    assert!(text.contains("02820242070803"), "{text}");
}

#[test]
fn a_payment() {
    let memo = "2 kWh".try_into().unwrap();
    let pay = PayRequest { version: 4, amount: 300_u64.into(), asset: 0, memo };
    check(
        &pay,
        "a4               ; four fields
         01 04            ; on top of version 4
         02 42 012c       ; 300
         03 00            ; of the first asset
         04 65 32206b5768 ; for 2 kWh",
    );
    check(&PayRequest { memo: Default::default(), ..pay }, "a3 01 04 02 42 012c 03 00");
}

#[test]
fn requests_and_summaries() {
    let id = params().id();
    let state = format!(
        "a3 01 5820 {id}           ; the state: its channel,
         02 01                     ; version 1,
         03 81 85 01 420539        ; one asset, of Ethereum, chain 1337,
            54 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ; its holder,
            41 09 41 15            ; 9 for the device and 21 for the peer"
    );
    let request = format!(
        "a4 01 07                  ; number 7
         04 {state}
         05 01                     ; the device pays
         06 54 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ; the receiver"
    );
    check(&sign_request(), &request);
    let whole = format!(
        "a5 01 5820 {id}           ; the channel
         02 00                     ; version 0 is signed by both,
         03 81 82 41 0a 41 14      ; with 10 for the device and 20 for the peer
         04 03                     ; an update is under way:
         05 {request}"
    );
    check(&summary(), &whole);
    let quiet = Summary { current: None, pending: None, phase: Phase::Exchanging, ..summary() };
    check(&quiet, &format!("a2 01 5820 {id} 04 00"));
    let mut record = [0; Params::MAX_ENCODED];
    let record = hex(params().encode(&mut record).unwrap());
    let opening = Opening { params: params(), peer_share: Some([6; 32]) };
    let first = SignRequest { opening: Some(opening), why: Why::Open, ..sign_request() };
    check(
        &first,
        &format!(
            "a6 01 07
             02 {record}           ; the parameters
             03 5820 0606060606060606060606060606060606060606060606060606060606060606
             04 {state}
             05 00                 ; the channel opens
             06 54 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        ),
    );
    check(&Channels::default(), "a0");
    check(&Channels([id].into_iter().collect()), &format!("a1 01 81 5820 {id}"));
}

#[test]
fn answers() {
    let state = state(0, [900_000_000_000_000_000, 0]);
    let signatures = signatures(&state);
    let [Some(withdrawal)] = signatures.withdrawals[..] else { panic!("one asset") };
    let lines = format!(
        "a3 01 07                  ; number 7
         02 5841 {:?}              ; the state's signature
         03 81 5841 {withdrawal:?} ; and the one to withdraw the only balance",
        signatures.state
    );
    check(&SignAnswer { number: 7, outcome: Ok(signatures) }, &lines);
    let refused = SignAnswer { number: 7, outcome: Err(Refusal::Equivocation) };
    check(&refused, "a2 01 07 04 02 ; another state with this version was signed");
    // Nothing to withdraw is an empty byte string.
    let nothing = super::state(0, [0, 5]);
    let signatures = self::signatures(&nothing);
    assert_eq!(signatures.withdrawals[..], [None]);
    let text = hex(&written(&SignAnswer { number: 0, outcome: Ok(signatures) }));
    assert!(text.ends_with("038140"), "{text}");
}

#[test]
fn a_proof_holds_for_one_challenge_one_name_and_one_key() {
    let (challenge, other) = (KeyChallenge([3; 32]), KeyChallenge([4; 32]));
    let proof = KeyProof::sign(&key(0x11), &challenge, "meter-1").unwrap();
    let another = Err(Error::Channel(Rule::OtherSigner));
    assert_eq!(proof.verify(&challenge, "meter-1"), Ok(()));
    assert_eq!(proof.verify(&challenge, "meter-2"), another);
    assert_eq!(proof.verify(&challenge, ""), another);
    assert_eq!(proof.verify(&other, "meter-1"), another);
    let stolen = KeyProof { address: key(0x22).address(), ..proof };
    assert_eq!(stolen.verify(&challenge, "meter-1"), another);
}

#[test]
fn signatures_are_of_this_state_and_these_withdrawals() {
    let (state, participants) = (state(1, [9, 21]), params().participants);
    let good = signatures(&state);
    let verify = |it: &Signatures| it.verify(&state, &participants[0], 0, &address(0xbb));
    assert_eq!(verify(&good), Ok(()));
    let another = Err(Error::Channel(Rule::OtherSigner));
    assert_eq!(good.verify(&state, &participants[0], 0, &address(0xbc)), another);
    assert_eq!(good.verify(&state, &participants[0], 1, &address(0xbb)), another);
    assert_eq!(good.verify(&state, &participants[1], 1, &address(0xbb)), another);
    let later = super::state(2, [9, 21]);
    assert_eq!(good.verify(&later, &participants[0], 0, &address(0xbb)), another);
    let others = Err(Error::Record("the authorisations are not those of the balances"));
    let mut more = good.clone();
    more.withdrawals.push(None).unwrap();
    assert_eq!(verify(&more), others);
    let missing = Signatures { withdrawals: [None].into_iter().collect(), ..good };
    assert_eq!(verify(&missing), others);
}

#[test]
fn lists_and_texts_end_where_they_must() {
    let ids = (0..MAX_LISTED as u8).map(|at| ChannelId::new([at; 32]));
    assert_eq!(written(&Channels(ids.collect())).len(), MAX_MESSAGE);
    let mut request = open_request();
    for _ in request.peer.len()..MAX_NAME {
        request.peer.push('x').unwrap();
    }
    let good = written(&request);
    assert_eq!(OpenRequest::decode(&good), Ok(request));
    let mut long = good.clone();
    long[3] += 1;
    long.insert(4, b'x');
    let rule = Rule::Capacity { what: "bytes of a name", limit: MAX_NAME };
    assert_eq!(OpenRequest::decode(&long), Err(Error::Channel(rule)));
    let mut control = good.clone();
    control[4] = b'\n';
    assert_eq!(OpenRequest::decode(&control), Err(Error::Record("a text has control characters")));
    control[4] = 0xff;
    assert_eq!(OpenRequest::decode(&control), Err(Error::Record("a text is not UTF-8")));
    let nobody = OpenRequest { peer: Default::default(), ..open_request() };
    let empty = Err(Error::Record("a text is empty"));
    assert_eq!(nobody.encode(&mut [0; MAX_MESSAGE]), empty);
}

#[test]
fn what_makes_no_sense_is_neither_written_nor_read() {
    let room = &mut [0; MAX_MESSAGE];
    let none = OpenRequest { challenge_duration: 0, ..open_request() };
    assert_eq!(none.encode(room), Err(Rule::NoChallengeDuration.into()));
    let peer_deposit = Amount::MAX;
    let much = OpenRequest { peer_deposit, ..open_request() };
    assert_eq!(much.encode(room), Err(Rule::AmountTooLarge.into()));
    let asset = Asset::Other { backend: 1, id: [7].into_iter().collect() };
    let ethereum = OpenRequest { asset, ..open_request() };
    assert_eq!(ethereum.encode(room), Err(Rule::AssetForm.into()));
    let id = ChannelId::new([9; 32]);
    assert_eq!(Summary { id, ..summary() }.encode(room), Err(Rule::OtherChannel.into()));
    let mut bytes = written(&summary());
    bytes[4] ^= 1;
    assert_eq!(Summary::decode(&bytes), Err(Rule::OtherChannel.into()));
    for text in ["a3 01 04 02 40 03 00", "a3 01 04 02 41 01 03 04"] {
        assert!(matches!(PayRequest::decode(&vector(text)), Err(Error::Record(_))), "{text}");
    }
    let refusals = Refusal::ALL.len();
    let unknown = vector(&format!("a2 01 07 04 {refusals:02x}"));
    assert_eq!(SignAnswer::decode(&unknown), Err(Error::Record("a number has no meaning here")));
}

/// A request of a channel with assets and addresses elsewhere, each as long as it gets.
fn largest(assets: u32) -> SignRequest {
    let participant = |byte| Participant::with_cc(address(byte), 3, &[1; 121]).unwrap();
    let params = Params { participants: [participant(1), participant(2)], ..params() };
    let asset = |at| Asset::other(3, &[at as u8; 40]).unwrap();
    let large = [Amount::from(u128::MAX); 2];
    let rows: Vec<_> = (0..assets).map(|at| (asset(at), large)).collect();
    let state = State::initial(params.id(), Allocation::new(&rows).unwrap());
    let opening = Some(Opening { params, peer_share: Some([1; 32]) });
    SignRequest { number: u64::MAX, opening, state, why: Why::Open, receiver: address(1) }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    // Room for a channel with the longest addresses and four assets, and its summary besides.
    let request = largest(4);
    let (id, balances) = (request.state.channel, request.state.outcome.balances.clone());
    let current = Some(Current { version: u64::MAX, balances });
    let whole = Summary { id, current, phase: Phase::Open, pending: Some(request) };
    let bytes = written(&whole);
    assert!(bytes.len() > MAX_MESSAGE - 100, "{}", bytes.len());
    assert_eq!(Summary::decode(&bytes), Ok(whole));
    // None for the longest state that a channel can have.
    let state = longest_state();
    let request = SignRequest { state, ..sign_request() };
    assert_eq!(request.encode(&mut [0; 4096]), Err(TOO_LONG));
    assert_eq!(Summary::decode(&[0xa0; MAX_MESSAGE + 1]), Err(TOO_LONG));
    // A short buffer is another matter.
    assert_eq!(summary().encode(&mut [0; 100]), Err(Error::BufferFull));
}

#[test]
fn the_longest_data_that_fits() {
    let id = params().id();
    let with = |bytes: usize| {
        let data = std::vec![7; bytes];
        let mut state = locked_state();
        for at in 1..8 {
            let locked =
                SubAlloc { id: ChannelId::new([at; 32]), ..state.outcome.locked[0].clone() };
            state.outcome.locked.push(locked).unwrap();
        }
        state.data = heapless::Vec::from_slice(&data).unwrap();
        SignRequest { state: State { channel: id, ..state }, ..largest(1) }
    };
    let fits = (0..=MAX_DATA).rev().find(|bytes| with(*bytes).encode(&mut [0; 2048]).is_ok());
    let fits = fits.expect("without data it fits");
    assert!(fits < MAX_DATA);
    assert_eq!(written(&with(fits)).len(), MAX_MESSAGE);
    assert_eq!(with(fits + 1).encode(&mut [0; 2048]), Err(TOO_LONG));
}

/// The same bytes again, if they are a message.
fn again<T: Message>(bytes: &[u8]) {
    if let Ok(message) = T::decode(bytes) {
        assert_eq!(message.encode(&mut [0; MAX_MESSAGE]).unwrap(), bytes);
    }
}

fn again_as_any(bytes: &[u8]) {
    again::<KeyChallenge>(bytes);
    again::<KeyProof>(bytes);
    again::<OpenRequest>(bytes);
    again::<Channels>(bytes);
    again::<Summary>(bytes);
    again::<SignRequest>(bytes);
    again::<SignAnswer>(bytes);
    again::<PayRequest>(bytes);
}

#[test]
fn messages_that_are_cut_or_go_on_are_refused() {
    let answer = SignAnswer { number: 1, outcome: Ok(signatures(&state(0, [1, 2]))) };
    let bytes = written(&answer);
    for length in 0..bytes.len() {
        assert!(SignAnswer::decode(&bytes[..length]).is_err());
    }
    let bytes = written(&summary());
    for length in 0..bytes.len() {
        assert!(Summary::decode(&bytes[..length]).is_err());
    }
    let more = [&bytes[..], &[0]].concat();
    assert_eq!(Summary::decode(&more), Err(Error::Record("bytes behind the end")));
}

fn any_request() -> impl Strategy<Value = SignRequest> {
    let why = prop::sample::select(&[Why::Open, Why::Pay, Why::Receive, Why::Final, Why::Lock][..]);
    let opening = option::of((any_params(), option::of(any::<[u8; 32]>())));
    (any::<u64>(), opening, any_state(), why, any_address()).prop_map(|it| {
        let opening = it.1.map(|(params, peer_share)| Opening { params, peer_share });
        SignRequest { number: it.0, opening, state: it.2, why: it.3, receiver: it.4 }
    })
}

fn any_open() -> impl Strategy<Value = OpenRequest> {
    let terms = (any_asset(), any_amount(), any_amount(), 1..=u64::MAX);
    ("[a-z]{1,64}", terms, any::<[u8; 32]>())
        .prop_map(|(peer, (asset, own_deposit, peer_deposit, challenge_duration), share)| {
            let peer = peer.as_str().try_into().unwrap();
            OpenRequest { peer, asset, own_deposit, peer_deposit, challenge_duration, share }
        })
        .prop_filter("sums fit", |it| it.own_deposit.checked_add(it.peer_deposit).is_some())
}

fn any_pay() -> impl Strategy<Value = PayRequest> {
    let amount = any_amount().prop_filter("something", |amount| !amount.is_zero());
    let memo = proptest::string::string_regex("[^\\p{Cc}]{0,32}").unwrap();
    (any::<u64>(), amount, 0..MAX_ASSETS as u8, memo).prop_map(|(version, amount, asset, memo)| {
        assert!(memo.len() <= MAX_MEMO);
        PayRequest { version, amount, asset, memo: memo.as_str().try_into().unwrap() }
    })
}

proptest! {
    #[test]
    fn requests_go_through_if_they_fit(request in any_request(), is_shown: bool) {
        let room = &mut [0; 4096];
        let id = request.state.channel;
        let balances = request.state.outcome.balances.clone();
        let current = is_shown.then_some(Current { version: 1, balances });
        match request.encode(room) {
            Ok(bytes) => prop_assert_eq!(SignRequest::decode(bytes), Ok(request.clone())),
            Err(error) => prop_assert_eq!(error, TOO_LONG),
        }
        let summary = Summary { id, current, phase: Phase::Asked, pending: Some(request) };
        match summary.encode(room) {
            Ok(bytes) => prop_assert_eq!(Summary::decode(bytes), Ok(summary)),
            Err(error) => prop_assert_eq!(error, TOO_LONG),
        }
    }

    #[test]
    fn what_the_device_asks_for_goes_through(open in any_open(), pay in any_pay()) {
        prop_assert_eq!(OpenRequest::decode(&written(&open)), Ok(open));
        prop_assert_eq!(PayRequest::decode(&written(&pay)), Ok(pay));
    }

    #[test]
    fn no_bytes_harm_and_a_message_has_one_form(
        which in 0..8_usize,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
        noise in vec(any::<u8>(), 0..100),
    ) {
        let challenge = KeyChallenge([3; 32]);
        let mut bytes = match which {
            0 => written(&challenge),
            1 => written(&KeyProof::sign(&key(0x11), &challenge, "meter-1").unwrap()),
            2 => written(&open_request()),
            3 => written(&Channels([params().id()].into_iter().collect())),
            4 => written(&summary()),
            5 => written(&largest(1)),
            6 => written(&SignAnswer { number: 1, outcome: Ok(signatures(&state(0, [1, 2]))) }),
            _ => written(&SignAnswer { number: 1, outcome: Err(Refusal::Older) }),
        };
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        again_as_any(&bytes);
        again_as_any(&noise);
    }
}
