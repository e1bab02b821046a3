//! The table of `README.md`, walked cell by cell: the file is the expectation, the code is run.
//!
//! Each cell is a channel in that phase, with real keys and signatures, and one input. What the step changed, what it
//! wants done and the phase that follows have to be what the file says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fixture;
mod readme;

use std::collections::BTreeSet;

use fixture::{Sample, sample};
use readme::{Cell, Table};
use sluicegate_channels::{
    Channel, Effect, Input, Phase, Record,
    effect::{Intent, Notice, Outgoing},
    record::Stored,
    step,
};
use sluicegate_protocol::channel::Amount;

#[test]
fn every_cell_does_what_the_file_says() {
    let table = Table::read();
    let mut wrong = Vec::new();
    for input in table.inputs() {
        for phase in Phase::ALL {
            let cell = table.cell(input, phase);
            if let Err(found) = walk(input, phase, &cell) {
                wrong.push(format!("{input} in {phase}: {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_file_has_a_row_for_every_input_and_no_other() {
    let table = Table::read();
    let rows: BTreeSet<_> = table.inputs().collect();
    let known: BTreeSet<_> = fixture::INPUTS.iter().copied().collect();
    assert_eq!(rows, known);
    for name in known {
        let Sample { input, .. } = sample(name, Phase::Proposed);
        assert_eq!(name_of(&input), name, "the sample is of another input");
    }
}

/// go-perun takes the version that follows and no other, also after an update of its own that we did not sign.
#[test]
fn what_another_implementation_was_refused_leaves_no_gap_in_our_versions() {
    for takes in [true, false] {
        let Sample { channel: Channel::Record(mut record), .. } = sample("pay", Phase::Open) else {
            panic!("no record")
        };
        record.sluicegate = false;
        let asked = record.classify(fixture::said(&record, takes));
        let mut done = step(Channel::Record(record), asked, fixture::NOW_S);
        if !takes {
            assert_eq!(done.channel.phase(), Phase::Asked);
            done = step(done.channel, Input::NoSignature("no".into()), fixture::NOW_S);
        }
        let Channel::Record(record) = done.channel else { panic!("no record") };
        let pay = record.pay(0, Amount::from(1_u64));
        let done = step(Channel::Record(record), pay, fixture::NOW_S);
        let version = done.effects.iter().find_map(|effect| match effect {
            Effect::Sign(request) => Some(request.state.version),
            _ => None,
        });
        assert_eq!(version, Some(4), "takes: {takes}");
    }
}

/// Nor after an update that was withdrawn because the device did not sign it.
#[test]
fn what_was_not_signed_in_time_leaves_another_implementation_no_gap() {
    for (sluicegate, next) in [(false, 4), (true, 5)] {
        let sample = sample("patience over, unsigned", Phase::Proposed);
        let Channel::Record(mut record) = sample.channel else { panic!("no record") };
        record.sluicegate = sluicegate;
        let done = step(Channel::Record(record), sample.input, fixture::NOW_S);
        let Channel::Record(record) = done.channel else { panic!("no record") };
        let pay = record.pay(0, Amount::from(1_u64));
        let done = step(Channel::Record(record), pay, fixture::NOW_S);
        let version = done.effects.iter().find_map(|effect| match effect {
            Effect::Sign(request) => Some(request.state.version),
            _ => None,
        });
        assert_eq!(version, Some(next));
    }
}

fn walk(name: &str, phase: Phase, cell: &Cell) -> Result<(), String> {
    let Sample { channel, input } = sample(name, phase);
    assert_eq!(channel.phase(), phase, "the sample is in another phase");
    let done = step(channel.clone(), input, fixture::NOW_S);
    let next = if cell.next == "same" { phase.name() } else { cell.next.as_str() };
    let effects: Vec<_> = done.effects.iter().map(effect_name).collect();
    expect("next", done.channel.phase().name(), next)?;
    expect("effects", &effects.join(", "), or_nothing(&cell.effects))?;
    if let Channel::Record(record) = &done.channel {
        let again = Record::from_bytes(&record.to_bytes()).map_err(|error| error.to_string())?;
        assert_eq!(again, **record, "the store gives back what was kept");
    }
    let changed = fixture::changes(&channel, &done.channel, &cell.record);
    expect("record", &changed, or_nothing(&cell.record))
}

fn or_nothing(column: &str) -> &str {
    if column == "-" { "" } else { column }
}

fn expect(what: &str, found: &str, wanted: &str) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what} is \"{found}\", not \"{wanted}\"")) }
}

/// Fails to compile when an input is added, so that the file gets its row.
fn name_of(input: &Input) -> &'static str {
    match input {
        Input::Accepted(_) => "accepted",
        Input::Agree(_) => "agree",
        Input::Authorised(_) => "authorised",
        Input::Anew(_) => "anew",
        Input::Close => "close",
        Input::Concluded(_) => "concluded",
        Input::ConcludedNothingOurs(_) => "concluded, nothing ours",
        Input::Connected => "connected",
        Input::ConnectedPlain => "connected, plain",
        Input::Countersigned(_) => "countersigned",
        Input::CountersignedFinal(_) => "countersigned final",
        Input::Crossing { .. } => "crossing",
        Input::CrossingOursFirst { .. } => "crossing, ours first",
        Input::CrossingTheirsFirst { .. } => "crossing, theirs first",
        Input::Deadline => "deadline",
        Input::Decline(_) => "decline",
        Input::Deposit(_) => "deposit",
        Input::DepositLate(_) => "deposit, late",
        Input::DepositStranded(_) => "deposit, stranded",
        Input::Dispute => "dispute",
        Input::FinalRejected(_) => "final rejected",
        Input::Forged(_) => "forged",
        Input::Funded(_) => "funded",
        Input::Impossible(_) => "impossible",
        Input::NoSignature(_) => "no signature",
        Input::Overdue => "overdue",
        Input::PatienceOver => "patience over",
        Input::PatienceOverRestored => "patience over, restored",
        Input::PatienceOverUnsigned => "patience over, unsigned",
        Input::Pay { .. } => "pay",
        Input::RefusedUpdate { .. } => "refused update",
        Input::RefusedUpdatePlain { .. } => "refused update, plain",
        Input::RegisteredNewer(..) => "registered newer",
        Input::RegisteredOlder(_) => "registered older",
        Input::RegisteredSame(_) => "registered same",
        Input::Rejected(_) => "rejected",
        Input::Restored => "restored",
        Input::Resume => "resume",
        Input::Retracted(_) => "retracted",
        Input::RetractedFinal(_) => "retracted, final",
        Input::SameUpdate => "same update",
        Input::Signature(_) => "signature",
        Input::SignatureComplete(_) => "signature, complete",
        Input::SignatureOfFinal(_) => "signature of a final",
        Input::Stray => "stray",
        Input::SyncAhead(_) => "sync ahead",
        Input::SyncAheadBurned(_) => "sync ahead, burned",
        Input::SyncAheadFinal(_) => "sync ahead, final",
        Input::SyncBehind => "sync behind",
        Input::SyncEqual => "sync equal",
        Input::Unsigned => "unsigned",
        Input::Update(_) => "update",
        Input::UpdatePastOurs(_) => "update past ours",
        Input::UpdateRejected(_) => "update rejected",
        Input::UpdateRejectedPlain(_) => "update rejected, plain",
        Input::VersionZero(_) => "version 0",
        Input::VersionZeroComplete(_) => "version 0, complete",
        Input::Withdrawn(_) => "withdrawn",
        Input::WithdrawnInPart(_) => "withdrawn, in part",
    }
}

fn effect_name(effect: &Effect) -> String {
    match effect {
        Effect::Hold(_) => "hold".into(),
        Effect::Ledger(intent) => format!("ledger {}", intent_name(*intent)),
        Effect::Refuse(_) => "refuse".into(),
        Effect::Send(message) => format!("send {}", message_name(message)),
        Effect::Sign(_) => "sign".into(),
        Effect::Tell(notice) => format!("tell {}", notice_name(notice)),
    }
}

const fn intent_name(intent: Intent) -> &'static str {
    match intent {
        Intent::CancelDeposit => "cancel deposit",
        Intent::Conclude => "conclude",
        Intent::ConcludeFinal => "conclude-final",
        Intent::Deposit => "deposit",
        Intent::Register => "register",
        Intent::Withdraw => "withdraw",
    }
}

const fn message_name(message: &Outgoing) -> &'static str {
    match message {
        Outgoing::Acceptance { .. } => "acceptance",
        Outgoing::Accepted => "accepted",
        Outgoing::Rejected(_) => "rejected",
        Outgoing::Rejection { .. } => "rejection",
        Outgoing::Sync { .. } => "sync",
        Outgoing::Update { .. } => "update",
        Outgoing::VersionZero(_) => "version 0",
    }
}

const fn notice_name(notice: &Notice) -> &'static str {
    match notice {
        Notice::Abandoned(_) => "abandoned",
        Notice::Closing => "closing",
        Notice::Concluded => "concluded",
        Notice::Dispute(_) => "dispute",
        Notice::Endangered(_) => "endangered",
        Notice::Forged(_) => "forged",
        Notice::Offered => "offered",
        Notice::Open => "open",
        Notice::Paid(_) => "paid",
        Notice::Received => "received",
        Notice::Recovered => "recovered",
        Notice::Refused(_) => "refused",
        Notice::Restored => "restored",
        Notice::Settled => "settled",
    }
}

/// What differs between two records, in the order of the file's legend.
fn differences(before: &Record, after: &Record) -> Vec<&'static str> {
    let burned = before.burned != after.burned || before.highest != after.highest;
    let parts = [
        ("current", before.current != after.current),
        ("restored", before.restored != after.restored),
        ("burned", burned),
        ("pending", before.pending != after.pending),
        ("view", before.view != after.view),
        ("wish", before.wish != after.wish),
        ("ended", before.ended != after.ended),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
