//! The rules of the port that every backend is run against, each with its real counterpart.
//!
//! Guarantees: a backend that passes can be driven by the [outbox](crate::outbox). Does not: know the ledger; a
//! [`Harness`] produces blocks, injects what the ledger supports, and drives futures, since this crate has no executor.
//!
//! Order of use: implement [`Harness`] over a fresh ledger with a funded account, call [`all`], and fail the test with
//! what it gives; for a ledger with channels, [`channels`] as well. A rule that needs a fault which the harness can't inject passes without it.

mod case;
pub mod channels;

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};

use sluicegate_protocol::{Digest, note::VerifierKey, sha256};

use crate::{
    Account, Anchors, Cursor, Error, EventKind, EventPage, Fee, Finality, Remedy, Reply, Request,
    Signed, Status, Unsigned,
};

/// A ledger under test.
pub trait Harness {
    /// The backend.
    fn ledger(&self) -> &dyn Anchors;
    /// Waits for an answer.
    fn wait<T>(&self, reply: Reply<'_, T>) -> Result<T, Error>;
    /// Lets the ledger produce a block.
    fn produce(&self);
    /// Blocks on top that make a block final.
    fn finality_blocks(&self) -> u64;
    /// Makes something go wrong; false if this ledger can't.
    fn inject(&self, fault: Fault) -> bool;
    /// The ledger's verifier key as text, if it gives evidence that verifies offline.
    fn verifier(&self) -> Option<String>;
}

/// What a rule wants to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The next submission is lost, and the answer is an error.
    LoseSubmission,
    /// The newest block is taken back with everything in it.
    Reorg,
    /// The next question is not answered.
    Unavailable,
    /// The next submission is taken, but the answer is an error.
    UnknownResult,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the rule's function.
    pub rule: &'static str,
    /// What was seen.
    pub seen: String,
}

/// The verdict of a rule: what was seen instead.
pub type Verdict = Result<(), String>;

/// Runs every rule, and gives those that are broken.
pub fn all<H: Harness>(h: &H) -> Vec<Violation> {
    type Rule<H> = (&'static str, fn(&H) -> Verdict);
    let rules: [Rule<H>; 12] = [
        ("an_anchor_becomes_final", an_anchor_becomes_final),
        ("an_unknown_transaction_is_unknown", an_unknown_transaction_is_unknown),
        ("submitting_twice_pays_once", submitting_twice_pays_once),
        ("a_used_nonce_is_refused", a_used_nonce_is_refused),
        ("one_nonce_lands_once", one_nonce_lands_once),
        ("signing_refuses_another_content", signing_refuses_another_content),
        ("an_unknown_result_can_be_looked_up", an_unknown_result_can_be_looked_up),
        ("a_lost_submission_can_be_repeated", a_lost_submission_can_be_repeated),
        ("an_outage_says_retry_later", an_outage_says_retry_later),
        ("events_resume_from_any_cursor", events_resume_from_any_cursor),
        ("a_reorg_is_announced", a_reorg_is_announced),
        ("evidence_verifies", evidence_verifies),
    ];
    let verdicts = rules.map(|(rule, check)| check(h).err().map(|seen| Violation { rule, seen }));
    verdicts.into_iter().flatten().collect()
}

/// What was submitted is pending or included, then final; it can be found, and is the newest.
pub fn an_anchor_becomes_final<H: Harness>(h: &H) -> Verdict {
    let digest = digest("final");
    expect_eq("found before", ask(h, h.ledger().find(&digest))?, None)?;
    let signed = anchor(h, digest, Fee::Estimate)?;
    ask(h, h.ledger().submit(&signed))?;
    finalise(h, &signed)?;
    let found = ask(h, h.ledger().find(&digest))?.ok_or("not found when final")?;
    expect_eq(
        "found",
        (found.digest, found.transaction, found.is_final),
        (digest, signed.id, true),
    )?;
    expect_eq("account", &found.account, &h.ledger().description().account)?;
    expect_eq("newest", ask(h, h.ledger().newest())?, Some(found))
}

/// A transaction that was never submitted is unknown.
pub fn an_unknown_transaction_is_unknown<H: Harness>(h: &H) -> Verdict {
    let signed = anchor(h, digest("never submitted"), Fee::Estimate)?;
    expect_eq("status", ask(h, h.ledger().status(&signed.id))?, Status::Unknown)
}

/// The same bytes again are fine before and after they landed, and cost nothing more.
pub fn submitting_twice_pays_once<H: Harness>(h: &H) -> Verdict {
    let before = account(h)?;
    let signed = anchor(h, digest("twice"), Fee::Estimate)?;
    ask(h, h.ledger().submit(&signed))?;
    ask(h, h.ledger().submit(&signed))?;
    finalise(h, &signed)?;
    ask(h, h.ledger().submit(&signed))?;
    h.produce();
    let after = account(h)?;
    expect_eq("nonce", after.next_nonce, before.next_nonce + 1)?;
    let paid = before.balance.saturating_sub(after.balance);
    if paid <= signed.fee { Ok(()) } else { Err(format!("paid {paid} for {}", signed.fee)) }
}

/// A nonce that a block holds is refused with the one that is free.
pub fn a_used_nonce_is_refused<H: Harness>(h: &H) -> Verdict {
    let nonce = account(h)?.next_nonce;
    let signed = anchor(h, digest("uses the nonce"), Fee::Estimate)?;
    ask(h, h.ledger().submit(&signed))?;
    finalise(h, &signed)?;
    let late = with_nonce(h, digest("comes late"), nonce, Fee::Estimate)?;
    let refused = h.wait(h.ledger().submit(&late));
    expect_eq("late", refused, Err(Error::NonceUsed { next: nonce + 1 }))
}

/// A fee bump replaces what waits; in the end one of the two has landed, and the account's final nonce says so.
pub fn one_nonce_lands_once<H: Harness>(h: &H) -> Verdict {
    let before = account(h)?;
    let digest = digest("bumped");
    let first = anchor(h, digest, Fee::Estimate)?;
    ask(h, h.ledger().submit(&first))?;
    let raised = Fee::AtLeast(first.fee + first.fee / 8 + 1);
    let second = with_nonce(h, digest, first.nonce, raised)?;
    let taken = h.wait(h.ledger().submit(&second));
    if !matches!(taken, Ok(()) | Err(Error::NonceUsed { .. })) {
        return Err(format!("the bump was answered {taken:?}"));
    }
    bury(h);
    let status = |signed: &Signed| ask(h, h.ledger().status(&signed.id));
    let landed = [status(&first)?, status(&second)?];
    let count = landed.iter().filter(|status| matches!(status, Status::Final { .. })).count();
    expect_eq(&format!("landed of {landed:?}"), count, 1)?;
    let after = account(h)?;
    expect_eq("final nonce", after.final_nonce, before.next_nonce + 1)
}

/// The signature is given only for exactly what was checked.
pub fn signing_refuses_another_content<H: Harness>(h: &H) -> Verdict {
    let nonce = account(h)?.next_nonce;
    let request = Request::Anchor(digest("checked"));
    let unsigned = ask(h, h.ledger().build(&request, nonce, Fee::Estimate))?;
    let request = Request::Anchor(digest("smuggled"));
    for wrong in [
        Unsigned { request, ..unsigned.clone() },
        Unsigned { nonce: nonce + 1, ..unsigned.clone() },
        Unsigned { fee: unsigned.fee.saturating_sub(1), ..unsigned.clone() },
        Unsigned { bytes: vec![], ..unsigned },
    ] {
        if h.ledger().sign(&wrong).is_ok() {
            return Err(format!("signed {wrong:?}"));
        }
    }
    Ok(())
}

/// After an unknown result the transaction is found, and repeating it is fine.
pub fn an_unknown_result_can_be_looked_up<H: Harness>(h: &H) -> Verdict {
    let signed = anchor(h, digest("unknown result"), Fee::Estimate)?;
    if h.inject(Fault::UnknownResult) {
        expect_unknown(h.wait(h.ledger().submit(&signed)))?;
        if ask(h, h.ledger().status(&signed.id))? == Status::Unknown {
            return Err("taken, but its status is unknown".into());
        }
    }
    ask(h, h.ledger().submit(&signed))?;
    finalise(h, &signed)
}

/// A lost submission leaves nothing behind and can be repeated.
pub fn a_lost_submission_can_be_repeated<H: Harness>(h: &H) -> Verdict {
    let signed = anchor(h, digest("lost"), Fee::Estimate)?;
    if h.inject(Fault::LoseSubmission) {
        expect_unknown(h.wait(h.ledger().submit(&signed)))?;
        expect_eq("status", ask(h, h.ledger().status(&signed.id))?, Status::Unknown)?;
    }
    ask(h, h.ledger().submit(&signed))?;
    finalise(h, &signed)
}

/// A ledger that can't answer says so, and answers again afterwards.
pub fn an_outage_says_retry_later<H: Harness>(h: &H) -> Verdict {
    if h.inject(Fault::Unavailable) {
        match h.wait(h.ledger().head()) {
            Err(error) if error.remedy() == Remedy::RetryLater => {}
            other => return Err(format!("an outage gives {other:?}")),
        }
    }
    ask(h, h.ledger().head()).map(|_| ())
}

/// From every cursor of the stream the same events follow, and a foreign cursor is refused.
pub fn events_resume_from_any_cursor<H: Harness>(h: &H) -> Verdict {
    for text in ["first event", "second event"] {
        let signed = anchor(h, digest(text), Fee::Estimate)?;
        ask(h, h.ledger().submit(&signed))?;
        finalise(h, &signed)?;
    }
    resumes(h)?;
    let pages = pages(h)?;
    let events = || pages.iter().flat_map(|page| &page.events);
    for text in ["first event", "second event"] {
        let last = events().rfind(|event| is_of(&event.kind, &digest(text)));
        expect_eq(text, last.map(|event| event.finality), Some(Finality::Final))?;
    }
    let foreign = h.wait(h.ledger().events(&Cursor(vec![0xff; 8])));
    expect_eq("foreign cursor", foreign.err(), Some(Error::CursorUnknown))
}

/// All events there are.
fn pages<H: Harness>(h: &H) -> Result<Vec<EventPage>, String> {
    let (mut cursor, mut pages) = (Cursor::default(), vec![]);
    loop {
        let page = ask(h, h.ledger().events(&cursor))?;
        if page.events.is_empty() {
            return Ok(pages);
        }
        cursor = page.next.clone();
        pages.push(page);
    }
}

/// Behind each page the next one follows.
fn resumes<H: Harness>(h: &H) -> Verdict {
    for pair in pages(h)?.windows(2) {
        let [page, next] = pair else { continue };
        let again = ask(h, h.ledger().events(&page.next))?;
        expect_eq("resumed", &again.events, &next.events)?;
    }
    Ok(())
}

/// What a reorg takes back is announced, is not found any more, and lands when it is submitted again.
pub fn a_reorg_is_announced<H: Harness>(h: &H) -> Verdict {
    if h.finality_blocks() == 0 {
        return Ok(());
    }
    let digest = digest("reorg");
    let start = end_of_events(h)?;
    let signed = anchor(h, digest, Fee::Estimate)?;
    ask(h, h.ledger().submit(&signed))?;
    h.produce();
    let included = ask(h, h.ledger().status(&signed.id))?;
    if !matches!(included, Status::Included { .. }) || !h.inject(Fault::Reorg) {
        return finalise(h, &signed);
    }
    expect_eq("status", ask(h, h.ledger().status(&signed.id))?, Status::Unknown)?;
    expect_eq("found", ask(h, h.ledger().find(&digest))?, None)?;
    ask(h, h.ledger().submit(&signed))?;
    finalise(h, &signed)?;
    let events = ask(h, h.ledger().events(&start))?.events;
    let told = events.into_iter().filter(|event| is_of(&event.kind, &digest));
    let told: Vec<_> = told.map(|event| event.finality).collect();
    let expected = [Finality::Included, Finality::Retracted, Finality::Included, Finality::Final];
    expect_eq("events", told, expected.to_vec())
}

/// Evidence exists only for what is final, and verifies with the ledger's key.
pub fn evidence_verifies<H: Harness>(h: &H) -> Verdict {
    let Some(text) = h.verifier() else { return Ok(()) };
    let key = VerifierKey::parse(&text).map_err(|error| format!("{error}"))?;
    let digest = digest("evidence");
    let missing = h.wait(h.ledger().anchor_evidence(&digest));
    expect_eq("before", missing.err(), Some(Error::NotFound))?;
    let signed = anchor(h, digest, Fee::Estimate)?;
    ask(h, h.ledger().submit(&signed))?;
    h.produce();
    if h.finality_blocks() > 0 {
        let early = h.wait(h.ledger().anchor_evidence(&digest));
        expect_eq("not final", early.err(), Some(Error::NotFinal))?;
    }
    finalise(h, &signed)?;
    let evidence = ask(h, h.ledger().anchor_evidence(&digest))?;
    let facts = evidence.verify(&key).map_err(|error| format!("{error}"))?;
    expect_eq("facts", (facts.digest, facts.transaction), (digest, signed.id.0))?;
    let ledger = evidence.ledger_id().map_err(|error| format!("{error}"))?;
    expect_eq("ledger", &ledger, &h.ledger().description().ledger)?;
    let beacon = ask(h, h.ledger().block_evidence(facts.block.number))?;
    let beacon = beacon.verify(&key).map_err(|error| format!("{error}"))?;
    expect_eq("beacon", beacon.hash, facts.block.hash)
}

fn digest(text: &str) -> Digest {
    sha256(&[b"sluicegate/conformance/", text.as_bytes()])
}

fn is_of(kind: &EventKind, wanted: &Digest) -> bool {
    matches!(kind, EventKind::Anchored { digest, .. } if digest == wanted)
}

fn ask<H: Harness, T>(h: &H, reply: Reply<'_, T>) -> Result<T, String> {
    h.wait(reply).map_err(|error| format!("unexpected error: {error}"))
}

fn account<H: Harness>(h: &H) -> Result<Account, String> {
    ask(h, h.ledger().account())
}

fn anchor<H: Harness>(h: &H, digest: Digest, fee: Fee) -> Result<Signed, String> {
    let nonce = account(h)?.next_nonce;
    with_nonce(h, digest, nonce, fee)
}

fn with_nonce<H: Harness>(h: &H, digest: Digest, nonce: u64, fee: Fee) -> Result<Signed, String> {
    let unsigned = ask(h, h.ledger().build(&Request::Anchor(digest), nonce, fee))?;
    ask(h, Box::pin(core::future::ready(h.ledger().sign(&unsigned))))
}

/// Produces blocks until what is submitted is final.
fn bury<H: Harness>(h: &H) {
    (0..=h.finality_blocks()).for_each(|_| h.produce());
}

fn finalise<H: Harness>(h: &H, signed: &Signed) -> Verdict {
    bury(h);
    let status = ask(h, h.ledger().status(&signed.id))?;
    if matches!(status, Status::Final { .. }) { Ok(()) } else { Err(format!("{status:?}")) }
}

fn end_of_events<H: Harness>(h: &H) -> Result<Cursor, String> {
    let mut cursor = Cursor::default();
    loop {
        let page = ask(h, h.ledger().events(&cursor))?;
        if page.events.is_empty() {
            return Ok(cursor);
        }
        cursor = page.next;
    }
}

fn expect_unknown(result: Result<(), Error>) -> Verdict {
    match result {
        Err(Error::ResultUnknown(_)) => Ok(()),
        other => Err(format!("an unknown result gives {other:?}")),
    }
}

fn expect_eq<T: PartialEq + core::fmt::Debug>(what: &str, seen: T, expected: T) -> Verdict {
    if seen == expected { Ok(()) } else { Err(format!("{what}: {seen:?}, not {expected:?}")) }
}
