//! A channel in each phase and an input of each kind, with real keys.

use sluicegate_channels::{
    Channel, Input, Opening, Phase, Record,
    classify::PeerMessage,
    effect::Refusal,
    input::PeerUpdate,
    record::{Burned, Change, OwnSignature, Pending, Registration, SignedState, View},
};
use sluicegate_protocol::channel::{
    Address, Allocation, Amount, Asset, Participant, SigningKey, State,
};

use crate::differences;

pub(crate) const NOW_S: u64 = 1_000;

pub(crate) const INPUTS: [&str; 59] = [
    "accepted",
    "agree",
    "anew",
    "authorised",
    "close",
    "concluded",
    "concluded, nothing ours",
    "connected",
    "connected, plain",
    "countersigned",
    "countersigned final",
    "crossing",
    "crossing, ours first",
    "crossing, theirs first",
    "deadline",
    "decline",
    "deposit",
    "deposit, late",
    "deposit, stranded",
    "dispute",
    "final rejected",
    "forged",
    "funded",
    "impossible",
    "no signature",
    "overdue",
    "patience over",
    "patience over, restored",
    "patience over, unsigned",
    "pay",
    "refused update",
    "refused update, plain",
    "registered newer",
    "registered older",
    "registered same",
    "rejected",
    "restored",
    "resume",
    "retracted",
    "retracted, final",
    "same update",
    "signature",
    "signature, complete",
    "signature of a final",
    "stray",
    "sync ahead",
    "sync ahead, burned",
    "sync ahead, final",
    "sync behind",
    "sync equal",
    "unsigned",
    "update",
    "update past ours",
    "update rejected",
    "update rejected, plain",
    "version 0",
    "version 0, complete",
    "withdrawn",
    "withdrawn, in part",
];

pub(crate) struct Sample {
    pub(crate) channel: Channel,
    pub(crate) input: Input,
}

pub(crate) fn sample(name: &str, phase: Phase) -> Sample {
    let channel = channel(name, phase);
    let input = input(name, &channel);
    Sample { channel, input }
}

/// What a step changed, as the file says it: a part that goes without saying is left out.
pub(crate) fn changes(before: &Channel, after: &Channel, wanted: &str) -> String {
    let (before, after) = match (before, after) {
        (Channel::Record(before), Channel::Record(after)) => (before, after),
        (_, Channel::Record(_)) => return "begun".into(),
        _ => return String::new(),
    };
    let found = differences(before, after);
    let wants = |name: &&str| wanted.split(", ").any(|wanted| wanted == *name);
    // What is current, burned or ended is pending no more; what is signed counts as signed.
    let implied = |name: &&str| {
        let by = match *name {
            "pending" => &["current", "burned", "ended", "restored", "wish"][..],
            "burned" => &["current", "pending"][..],
            _ => &[],
        };
        found.iter().any(|name| by.contains(name))
    };
    let named: Vec<_> =
        found.iter().filter(|name| wants(name) || !implied(name)).copied().collect();
    let order = |name: &&str| wanted.split(", ").position(|wanted| wanted == *name);
    let mut named = named;
    named.sort_by_key(order);
    named.join(", ")
}

fn keys() -> [SigningKey; 2] {
    [0x11, 0x22].map(|byte| SigningKey::from_bytes(&[byte; 32]).unwrap())
}

fn opening(is_ours: bool) -> Opening {
    let [ours, theirs] = keys().map(|key| Participant::new(key.address()));
    let asset = Asset::ethereum(1337_u64, Address::new([0xaa; 20]));
    let outcome = Allocation::new(&[(asset, [Amount::from(10_u64), Amount::from(5_u64)])]).unwrap();
    Opening {
        is_ours,
        proposal: [7; 32],
        peer: "station".into(),
        device: "car-1".into(),
        sluicegate: true,
        own: ours,
        receiver: Address::new([0xbb; 20]),
        nonce_share: [1; 32],
        challenge_duration: 3_600,
        outcome,
        other: Some((theirs, [2; 32])),
    }
}

fn fresh() -> Record {
    opening(true).begin(NOW_S).unwrap()
}

fn own(state: &State) -> OwnSignature {
    OwnSignature { state: keys()[0].sign_state(state).unwrap(), withdrawals: vec![None] }
}

fn theirs(state: &State) -> sluicegate_protocol::channel::Signature {
    keys()[1].sign_state(state).unwrap()
}

fn signed(state: State) -> SignedState {
    let signatures = [own(&state).state, theirs(&state)];
    SignedState { state, signatures, withdrawals: vec![None] }
}

/// A later state: we have paid this much.
fn later(record: &Record, version: u64, paid: u64, is_final: bool) -> State {
    let mut state = zero(record);
    let row = &mut state.outcome.balances[0];
    row[0] = row[0].checked_sub(Amount::from(paid)).unwrap();
    row[1] = row[1].checked_add(Amount::from(paid)).unwrap();
    State { version, is_final, ..state }
}

fn zero(record: &Record) -> State {
    let current = record.current.as_ref().map(|current| current.state.clone());
    let state = current.or_else(|| record.pending.as_ref().map(|pending| pending.state.clone()));
    let mut state = state.unwrap();
    state.outcome.balances[0] = [Amount::from(10_u64), Amount::from(5_u64)];
    State { version: 0, is_final: false, ..state }
}

/// A channel in this phase, prepared for this input.
fn channel(name: &str, phase: Phase) -> Channel {
    match phase {
        Phase::Proposing => return Channel::Opening(Box::new(opening(true))),
        Phase::Offered => return Channel::Opening(Box::new(opening(false))),
        _ => {}
    }
    let mut record = fresh();
    record.phase = phase;
    record.deadline_s = None;
    match phase {
        Phase::Exchanging => prepare_exchange(name, &mut record),
        Phase::Abandoned => {
            prepare_exchange(name, &mut record);
            record.ended = Some("it was too late".into());
        }
        _ => prepare(name, &mut record),
    }
    Channel::Record(Box::new(record))
}

fn prepare_exchange(name: &str, record: &mut Record) {
    let pending = record.pending.as_mut().unwrap();
    let state = pending.state.clone();
    match name {
        "version 0" | "signature" | "unsigned" => {}
        "signature, complete" => pending.peer = Some(theirs(&state)),
        _ => pending.own = Some(own(&state)),
    }
}

fn prepare(name: &str, record: &mut Record) {
    let zero = record.pending.take().unwrap().state;
    record.current = Some(signed(zero));
    if record.phase != Phase::Funding {
        let state = later(record, 3, 1, record.phase == Phase::Final);
        record.current = Some(signed(state));
        record.highest = 3;
    }
    if name == "resume" {
        record.wish = Some(Change::Close);
    }
    if name == "sync ahead, burned" {
        let state = later(record, 4, 2, false);
        record.burned = vec![Burned { own: own(&state), state }];
        record.highest = 4;
    }
    match record.phase {
        Phase::Proposed => prepare_proposed(name, record),
        Phase::Asked => {
            let state = later(record, 4, 0, name == "signature of a final");
            let peer = Some(theirs(&state));
            record.highest = 4;
            record.pending =
                Some(Pending { state, by: 1, change: Change::Receive, own: None, peer });
        }
        Phase::Disputed if name.starts_with("countersigned") => prepare_proposed(name, record),
        _ => {}
    }
}

fn prepare_proposed(name: &str, record: &mut Record) {
    let is_final =
        matches!(name, "countersigned final" | "final rejected" | "signature of a final");
    let state = later(record, 4, 2, is_final);
    let change = Change::Pay { asset: 0, amount: Amount::from(1_u64) };
    let unsigned = name.ends_with("unsigned")
        || matches!(name, "signature" | "signature of a final" | "no signature");
    let own = (!unsigned).then(|| own(&state));
    if !unsigned {
        record.highest = 4;
    }
    record.pending = Some(Pending { state, by: 0, change, own, peer: None });
}

/// An update of the peer with the version that follows: one that takes from us, or one that is fair.
pub(crate) fn said(record: &Record, takes: bool) -> PeerMessage {
    let state = later(record, 4, if takes { 5 } else { 0 }, false);
    let signature = theirs(&state);
    PeerMessage::Update { state: Box::new(state), actor: 1, signature }
}

fn view() -> View {
    let mut view = View::new(1);
    view.registrations.push_back(Registration {
        version: 1,
        hash: None,
        timeout_s: 5_000,
        state: None,
    });
    view
}

fn input(name: &str, channel: &Channel) -> Input {
    let record = match channel {
        Channel::Record(record) => record.as_ref().clone(),
        _ => fresh(),
    };
    let reason = "for a reason".to_owned();
    let pending = record.pending.as_ref().map(|pending| pending.state.clone());
    let pending = pending.unwrap_or_else(|| later(&record, 4, 2, false));
    let update = |version| {
        let state = later(&record, version, 0, false);
        PeerUpdate { signature: theirs(&state), state: Box::new(state) }
    };
    let burned = || Box::new(signed(later(&record, 4, 2, false)));
    let ahead = |is_final| {
        let version = if record.phase == Phase::Exchanging { 0 } else { 4 };
        Box::new(signed(later(&record, version, 0, is_final)))
    };
    match name {
        "accepted" => Input::Accepted(Box::new(fresh())),
        "agree" => Input::Agree(Box::new(fresh())),
        "authorised" => Input::Authorised(authorised(&pending)),
        "anew" => Input::Anew(view()),
        "close" => Input::Close,
        "concluded" => Input::Concluded(view()),
        "concluded, nothing ours" => Input::ConcludedNothingOurs(view()),
        "connected" => Input::Connected,
        "connected, plain" => Input::ConnectedPlain,
        "countersigned" => Input::Countersigned(theirs(&pending)),
        "countersigned final" => Input::CountersignedFinal(theirs(&pending)),
        "crossing" => Input::Crossing { version: 4 },
        "crossing, ours first" => Input::CrossingOursFirst { version: 4 },
        "crossing, theirs first" => Input::CrossingTheirsFirst { version: 4 },
        "deadline" => Input::Deadline,
        "decline" => Input::Decline(reason),
        "deposit" => Input::Deposit(view()),
        "deposit, late" => Input::DepositLate(view()),
        "deposit, stranded" => Input::DepositStranded(view()),
        "dispute" => Input::Dispute,
        "final rejected" => Input::FinalRejected(reason),
        "forged" => Input::Forged(reason),
        "funded" => Input::Funded(view()),
        "impossible" => Input::Impossible(Refusal::Ending),
        "no signature" => Input::NoSignature(reason),
        "overdue" => Input::Overdue,
        "patience over" => Input::PatienceOver,
        "patience over, restored" => Input::PatienceOverRestored,
        "patience over, unsigned" => Input::PatienceOverUnsigned,
        "pay" => Input::Pay { asset: 0, amount: Amount::from(1_u64) },
        "refused update" => Input::RefusedUpdate { version: 9, reason },
        "refused update, plain" => Input::RefusedUpdatePlain { version: 9, reason },
        "registered newer" => Input::RegisteredNewer(view(), Some(ahead(false))),
        "registered older" => Input::RegisteredOlder(view()),
        "registered same" => Input::RegisteredSame(view()),
        "rejected" => Input::Rejected(reason),
        "restored" => Input::Restored,
        "resume" => Input::Resume,
        "retracted" => Input::Retracted(view()),
        "retracted, final" => Input::RetractedFinal(view()),
        "same update" => Input::SameUpdate,
        "signature" => Input::Signature(own(&pending)),
        "signature, complete" => Input::SignatureComplete(own(&pending)),
        "signature of a final" => Input::SignatureOfFinal(own(&pending)),
        "stray" => Input::Stray,
        "sync ahead" => Input::SyncAhead(ahead(false)),
        "sync ahead, burned" => Input::SyncAheadBurned(burned()),
        "sync ahead, final" => Input::SyncAheadFinal(ahead(true)),
        "sync behind" => Input::SyncBehind,
        "sync equal" => Input::SyncEqual,
        "unsigned" => Input::Unsigned,
        "update" => Input::Update(update(4)),
        "update past ours" => Input::UpdatePastOurs(update(5)),
        "update rejected" => Input::UpdateRejected(reason),
        "update rejected, plain" => Input::UpdateRejectedPlain(reason),
        "version 0" => Input::VersionZero(theirs(&pending)),
        "version 0, complete" => Input::VersionZeroComplete(theirs(&pending)),
        "withdrawn" => Input::Withdrawn(view()),
        "withdrawn, in part" => Input::WithdrawnInPart(view()),
        other => panic!("no sample of {other}"),
    }
}

fn authorised(state: &State) -> OwnSignature {
    OwnSignature { withdrawals: vec![Some(theirs(state))], ..own(state) }
}
