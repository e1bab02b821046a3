//! The rules of ledger channels that every backend is run against: the spec's §5.3, each refusal included.
//!
//! A refusal may come before anything is signed, at submission, or as a transaction in a block without effect; what
//! counts is that nothing changes. Order of use: implement [`ChannelHarness`], call [`all`]. What a ledger does beyond
//! the contracts (a surplus, a deposit into a settled channel) is in its own tests.

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};

use sluicegate_protocol::channel::{Address, Amount, ChannelKind, Nonce, Params, State};

use super::{
    Harness, Verdict, Violation, ask, bury,
    case::{CHALLENGE, Case, STRANGERS, finals, perform, prepare, signed_by},
    end_of_events, expect_eq, resumes,
};
use crate::{
    Channels, Claim, EventKind, Phase, Progression, Registration, Request, SignedState, Status,
    Withdrawal,
};

/// A ledger with channels under test. Both accounts hold enough for a few hundred deposits of 100 times what an asset
/// pays at least.
pub trait ChannelHarness: Harness {
    /// The backend, with the account of [`Harness::ledger`].
    fn channels(&self) -> &dyn Channels;
    /// The same ledger with another account.
    fn other(&self) -> &dyn Channels;
    /// Lets ledger time pass, so that the next block has a time that is this much later, in seconds.
    fn advance(&self, seconds: u64);
}

/// Runs every rule, and gives those that are broken.
pub fn all<H: ChannelHarness>(h: &H) -> Vec<Violation> {
    type Rule<H> = (&'static str, fn(&H) -> Verdict);
    let rules: [Rule<H>; 20] = [
        ("deposits_add_up", deposits_add_up),
        ("a_registered_state_is_shown", a_registered_state_is_shown),
        ("a_refutation_moves_no_time", a_refutation_moves_no_time),
        ("a_refutation_needs_a_greater_version", a_refutation_needs_a_greater_version),
        ("the_same_state_again_changes_nothing", the_same_state_again_changes_nothing),
        ("a_refutation_can_be_too_late", a_refutation_can_be_too_late),
        ("a_final_state_is_not_refuted", a_final_state_is_not_refuted),
        ("signatures_are_verified", signatures_are_verified),
        ("what_is_registered_can_be_settled", what_is_registered_can_be_settled),
        ("a_conclusion_waits", a_conclusion_waits),
        ("a_final_state_overrides_a_dispute", a_final_state_overrides_a_dispute),
        ("an_underfunded_channel_gives_deposits_back", an_underfunded_channel_gives_deposits_back),
        ("withdrawals_keep_to_what_is_signed", withdrawals_keep_to_what_is_signed),
        ("a_tree_is_concluded_as_a_whole", a_tree_is_concluded_as_a_whole),
        ("a_tree_has_no_holes", a_tree_has_no_holes),
        ("a_sub_channel_is_refuted_in_its_tree", a_sub_channel_is_refuted_in_its_tree),
        ("without_apps_nothing_progresses", without_apps_nothing_progresses),
        ("who_loses_a_race_changes_nothing", who_loses_a_race_changes_nothing),
        ("a_reorg_takes_channels_back", a_reorg_takes_channels_back),
        ("channel_events_resume_from_any_cursor", resumes),
    ];
    let verdicts = rules.map(|(rule, check)| check(h).err().map(|seen| Violation { rule, seen }));
    verdicts.into_iter().flatten().collect()
}

/// What anybody deposits for a participant lies there for it, and is done when all of it is there.
pub fn deposits_add_up<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "deposits")?;
    let (half, whole) = (case.deposit(0, 40)?, case.deposit(0, 80)?);
    expect_eq("key", half.key(), whole.key())?;
    let start = end_of_events(h)?;
    expect_eq("landed before", ask(h, h.channels().landed(&half))?, None)?;
    case.done(&half)?;
    let landed = ask(h, h.channels().landed(&half))?.ok_or("a deposit is not done")?;
    expect_eq("landed final", landed.is_final, true)?;
    expect_eq("landed half", ask(h, h.channels().landed(&whole))?, None)?;
    let second = perform(h, h.other(), &half)?;
    expect_eq("holdings", case.part(0)?, case.amount(80)?)?;
    expect_eq("of the other", case.part(1)?, Amount::ZERO)?;
    let landed = ask(h, h.channels().landed(&whole))?.map(|landed| landed.transaction);
    expect_eq("landed whole", landed, Some(second.id))?;
    let paid = case.amount(40)?;
    let told = finals(h, &start)?.into_iter().filter(|kind| {
        matches!(kind, EventKind::Deposited(m) if (m.funding, m.amount) == (case.funding(0), paid))
    });
    expect_eq("events", told.count(), 2)?;
    expect_eq("settled", case.is_settled()?, false)
}

/// The dispute says which state is registered and until when it can be refuted.
pub fn a_registered_state_is_shown<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "registered")?;
    let start = end_of_events(h)?;
    expect_eq("before", case.dispute()?, None)?;
    let state = case.state(3, [40, 60])?;
    case.done(&case.register(&state))?;
    let dispute = case.dispute()?.ok_or("no dispute")?;
    let shown = (dispute.version, dispute.state, dispute.phase, dispute.has_app);
    expect_eq("dispute", shown, (3, state.hash(), Phase::Dispute, false))?;
    expect_eq("duration", dispute.challenge_duration, CHALLENGE)?;
    if let Some(signed) = &dispute.signed {
        expect_eq("signed", &**signed, &case.signed(&state))?;
    }
    let event = EventKind::Registered {
        channel: state.channel,
        version: 3,
        timeout: dispute.timeout,
        signed: dispute.signed,
    };
    expect_eq("events", finals(h, &start)?, vec![event])
}

/// A newer state replaces the registered one, from either account, and leaves the time as it is.
pub fn a_refutation_moves_no_time<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "refutation")?;
    case.done(&case.register(&case.state(1, [40, 60])?))?;
    let before = case.dispute()?.ok_or("no dispute")?;
    h.advance(CHALLENGE / 2);
    let newer = case.state(7, [50, 50])?;
    perform(h, h.other(), &case.register(&newer))?;
    let after = case.dispute()?.ok_or("no dispute")?;
    expect_eq("state", (after.version, after.state), (7, newer.hash()))?;
    expect_eq("timeout", after.timeout, before.timeout)
}

/// Neither an older state nor another one of the same version replaces what is registered.
pub fn a_refutation_needs_a_greater_version<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "versions")?;
    case.done(&case.register(&case.state(5, [40, 60])?))?;
    case.refused(&case.register(&case.state(4, [50, 50])?))?;
    case.refused(&case.register(&case.state(5, [50, 50])?))
}

/// The same state is taken again without any effect, also when the time is over.
pub fn the_same_state_again_changes_nothing<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "again")?;
    let request = case.register(&case.state(5, [40, 60])?);
    case.done(&request)?;
    let (before, start) = (case.dispute()?, end_of_events(h)?);
    perform(h, h.other(), &request)?;
    h.advance(2 * CHALLENGE);
    perform(h, h.other(), &request)?;
    expect_eq("dispute", case.dispute()?, before)?;
    expect_eq("events", finals(h, &start)?, vec![])
}

/// When the time is over, not even the newest state is taken.
pub fn a_refutation_can_be_too_late<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "too late")?;
    case.done(&case.register(&case.state(1, [40, 60])?))?;
    h.advance(CHALLENGE);
    h.produce();
    case.refused(&case.register(&case.state(2, [50, 50])?))
}

/// A final state that is registered ends the dispute at once: nothing refutes it, and it can be concluded.
pub fn a_final_state_is_not_refuted<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "registered final")?;
    case.fund([40, 60])?;
    case.done(&case.register(&case.state(1, [40, 60])?))?;
    let last = State { is_final: true, ..case.state(2, [50, 50])? };
    case.done(&case.register(&last))?;
    let dispute = case.dispute()?.ok_or("no dispute")?;
    let now = ask(h, h.ledger().head())?.time_ms / 1_000;
    if dispute.timeout > now {
        return Err(format!(
            "a final state can be refuted until {}, now is {now}",
            dispute.timeout
        ));
    }
    case.refused(&case.register(&case.state(3, [60, 40])?))?;
    case.done(&case.conclude(&last, &[]))?;
    case.expect_parts([50, 50])
}

/// Each participant's signature, of this state.
pub fn signatures_are_verified<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "signatures")?;
    let last = State { is_final: true, ..case.state(2, [50, 50])? };
    let other = case.state(2, [51, 49])?;
    let good = case.signed(&last).signatures;
    let stranger = signed_by(STRANGERS, &last);
    let forged = [
        [good[1], good[0]],
        [good[0], good[0]],
        [good[0], stranger[1]],
        [stranger[0], good[1]],
        [good[0], case.signed(&other).signatures[1]],
    ];
    for signatures in forged {
        let signed = SignedState { state: last.clone(), signatures };
        let claim = Claim { params: case.params.clone(), signed };
        let root = claim.clone();
        case.refused(&Request::Register(Box::new(Registration { root, subs: vec![] })))?;
        case.refused(&Request::ConcludeFinal(Box::new(claim)))?;
    }
    Ok(())
}

/// Parameters and states that could trap money are not registered: another channel's, the same participant or asset
/// twice, no ledger channel.
pub fn what_is_registered_can_be_settled<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "traps")?;
    let state = State { is_final: true, ..case.state(1, [40, 60])? };
    let refused = |params: Params, state: State| {
        let root = Claim { params, signed: case.signed(&state) };
        case.refused(&Request::ConcludeFinal(Box::new(root.clone())))?;
        case.refused(&Request::Register(Box::new(Registration { root, subs: vec![] })))
    };
    let params = Params { nonce: Nonce::new([1; 32]), ..case.params.clone() };
    refused(params, state.clone())?;
    let mut params = case.params.clone();
    params.participants[1] = params.participants[0].clone();
    refused(params.clone(), State { channel: params.id(), ..state.clone() })?;
    let params = Params { kind: ChannelKind::Sub, ..case.params.clone() };
    refused(params.clone(), State { channel: params.id(), ..state.clone() })?;
    let mut twice = state;
    let (asset, row) = (twice.outcome.assets[0].clone(), twice.outcome.balances[0]);
    let full = |_| String::from("full");
    twice.outcome.assets.push(asset).map_err(|_| full(()))?;
    twice.outcome.balances.push(row).map_err(|_| full(()))?;
    refused(case.params.clone(), twice)
}

/// Only what is registered, only when the time is over, only once; anybody may do it.
pub fn a_conclusion_waits<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "conclusion")?;
    case.fund([40, 60])?;
    let state = case.state(1, [30, 70])?;
    case.refused(&case.conclude(&state, &[]))?;
    case.done(&case.register(&state))?;
    case.refused(&case.conclude(&state, &[]))?;
    h.advance(CHALLENGE);
    h.produce();
    case.refused(&case.conclude(&case.state(1, [40, 60])?, &[]))?;
    let start = end_of_events(h)?;
    perform(h, h.other(), &case.conclude(&state, &[]))?;
    let concluded = EventKind::Concluded { channel: state.channel, version: 1 };
    expect_eq("events", finals(h, &start)?, vec![concluded])?;
    expect_eq("settled", case.is_settled()?, true)?;
    expect_eq("phase", case.dispute()?.map(|d| d.phase), Some(Phase::Concluded))?;
    case.expect_parts([30, 70])?;
    let again = case.conclude(&state, &[]);
    expect_eq("done", ask(h, h.channels().landed(&again))?.is_some(), true)?;
    case.refused(&again)?;
    case.refused(&case.register(&case.state(2, [40, 60])?))
}

/// What both signed as final ends the channel at once, even if a newer state is registered; and only once.
pub fn a_final_state_overrides_a_dispute<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "final")?;
    case.fund([40, 60])?;
    case.done(&case.register(&case.state(9, [10, 90])?))?;
    case.refused(&case.conclude_final(&case.state(8, [50, 50])?))?;
    let last = State { is_final: true, ..case.state(8, [50, 50])? };
    let start = end_of_events(h)?;
    perform(h, h.other(), &case.conclude_final(&last))?;
    let concluded = EventKind::Concluded { channel: last.channel, version: 8 };
    expect_eq("events", finals(h, &start)?, vec![concluded])?;
    expect_eq("settled", case.is_settled()?, true)?;
    case.expect_parts([50, 50])?;
    let another = State { is_final: true, ..case.state(10, [60, 40])? };
    case.refused(&case.conclude_final(&another))?;
    case.refused(&case.conclude_final(&last))?;
    h.advance(CHALLENGE);
    h.produce();
    case.refused(&case.conclude(&last, &[]))
}

/// If less lies there than the outcome, each participant has its own deposits.
pub fn an_underfunded_channel_gives_deposits_back<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "underfunded")?;
    case.done(&case.deposit(0, 40)?)?;
    case.done(&case.deposit(1, 59)?)?;
    let last = State { is_final: true, ..case.state(1, [10, 90])? };
    case.done(&case.conclude_final(&last))?;
    expect_eq("settled", case.is_settled()?, true)?;
    case.expect_parts([40, 59])
}

/// Nothing leaves before the outcome is fixed, to nobody but the signed receiver, and never more than is there.
pub fn withdrawals_keep_to_what_is_signed<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "withdrawals")?;
    case.fund([40, 60])?;
    let receiver = h.channels().terms().payout.receiver;
    let good = case.withdrawal(0, 50, receiver)?;
    let request = |w: &Withdrawal| Request::Withdraw(Box::new(w.clone()));
    case.refused(&request(&good))?;
    let last = State { is_final: true, ..case.state(1, [50, 50])? };
    case.done(&case.conclude_final(&last))?;
    let mut diverted = good.clone();
    diverted.authorisation.receiver = h.other().terms().payout.receiver;
    case.refused(&request(&diverted))?;
    let mut raised = good.clone();
    raised.authorisation.amount = case.amount(49)?;
    case.refused(&request(&raised))?;
    let mut forged = good.clone();
    forged.signature = case.withdrawal(1, 50, receiver)?.signature;
    case.refused(&request(&forged))?;
    case.refused(&request(&case.withdrawal(0, 51, receiver)?))?;
    let before = ask(h, h.ledger().account())?.balance;
    let start = end_of_events(h)?;
    perform(h, h.other(), &request(&good))?;
    let paid = ask(h, h.ledger().account())?.balance - before;
    expect_eq("paid", Amount::from(paid), case.amount(50)?)?;
    case.expect_parts([0, 50])?;
    let told = finals(h, &start)?;
    let is_it = |kind: &EventKind| {
        matches!(kind, EventKind::Withdrawn { paid, receiver: to }
            if (paid.funding, *to) == (case.funding(0), receiver))
    };
    expect_eq("events", told.iter().filter(|kind| is_it(kind)).count(), 1)?;
    case.refused(&request(&good))
}

/// Sub-channels are concluded with their root, whatever their own time, and their parts go where the index maps say.
pub fn a_tree_is_concluded_as_a_whole<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "tree")?;
    case.fund([40, 60])?;
    let (below, deepest) = (case.below("tree, below")?, case.below("tree, deepest")?);
    let deep = deepest.state(2, [3, 0])?;
    let outer = below.lock([9, 8], &[(&deep, [0, 1])])?;
    let root = case.lock([30, 50], &[(&outer, [1, 0])])?;
    let tree = case.register_tree(&root, &[(&below, &outer), (&deepest, &deep)]);
    let start = end_of_events(h)?;
    case.done(&tree)?;
    expect_eq("registered", finals(h, &start)?.len(), 3)?;
    h.advance(CHALLENGE);
    h.produce();
    let start = end_of_events(h)?;
    case.refused(&case.conclude(&root, &[]))?;
    case.refused(&case.conclude(&root, &[&outer]))?;
    case.refused(&case.conclude(&root, &[&deep, &outer]))?;
    case.done(&case.conclude(&root, &[&outer, &deep]))?;
    let concluded =
        |state: &State| EventKind::Concluded { channel: state.channel, version: state.version };
    let mut told = finals(h, &start)?;
    told.sort_by_key(|kind| kind != &concluded(&root));
    expect_eq("events", told, [&root, &outer, &deep].map(concluded).to_vec())?;
    // Below, the first has 9 + 3 and the second 8; the index map of the root swaps them.
    case.expect_parts([30 + 8, 50 + 12])
}

/// A tree is all there, in order, with the sums that were locked, and nothing else.
pub fn a_tree_has_no_holes<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "holes")?;
    let below = case.below("holes, below")?;
    let stranger = case.below("holes, stranger")?;
    let (state, strange) = (below.state(1, [10, 10])?, stranger.state(1, [10, 10])?);
    let root = case.lock([30, 50], &[(&state, [0, 1])])?;
    case.refused(&case.register(&root))?;
    case.refused(&case.register_tree(&root, &[(&stranger, &strange)]))?;
    let richer = below.state(2, [10, 11])?;
    case.refused(&case.register_tree(&root, &[(&below, &richer)]))?;
    case.refused(&case.register_tree(&root, &[(&below, &state), (&stranger, &strange)]))?;
    let mut forged = case.claim(&below, &state);
    forged.signed.signatures = signed_by(STRANGERS, &state);
    let registration = Registration { root: case.claim(&case, &root), subs: vec![forged] };
    case.refused(&Request::Register(Box::new(registration)))?;
    let last = State { is_final: true, ..root };
    case.refused(&case.conclude_final(&last))
}

/// With the same root again, a newer state of a sub-channel replaces the registered one; it counts at the end.
pub fn a_sub_channel_is_refuted_in_its_tree<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "sub")?;
    case.fund([40, 60])?;
    let below = case.below("sub, below")?;
    let (old, new) = (below.state(1, [10, 10])?, below.state(2, [0, 20])?);
    let root = case.lock([30, 50], &[(&old, [0, 1])])?;
    case.done(&case.register_tree(&root, &[(&below, &old)]))?;
    h.advance(CHALLENGE / 2);
    let start = end_of_events(h)?;
    perform(h, h.other(), &case.register_tree(&root, &[(&below, &new)]))?;
    expect_eq("registered", finals(h, &start)?.len(), 1)?;
    h.advance(CHALLENGE / 2);
    h.produce();
    case.refused(&case.conclude(&root, &[&old]))?;
    case.done(&case.conclude(&root, &[&new]))?;
    case.expect_parts([30, 70])
}

/// A ledger that runs no apps says so, and refuses to carry one on.
pub fn without_apps_nothing_progresses<H: ChannelHarness>(h: &H) -> Verdict {
    if h.channels().terms().apps {
        return Ok(());
    }
    let mut case = Case::new(h, "apps")?;
    case.params.app = Address::new([7; 20]);
    let (old, new) = (case.state(1, [40, 60])?, case.state(2, [50, 50])?);
    case.done(&case.register(&old))?;
    h.advance(CHALLENGE);
    h.produce();
    let signature = case.signed(&new).signatures[0];
    let params = case.params.clone();
    let step = Progression { params, old: old.clone(), new, actor: 0, signature };
    case.refused(&Request::Progress(Box::new(step)))?;
    case.refused(&case.conclude(&old, &[]))?;
    h.advance(CHALLENGE);
    h.produce();
    case.done(&case.conclude(&old, &[]))
}

/// Of two transactions that exclude each other one has its effect, the other lands without.
pub fn who_loses_a_race_changes_nothing<H: ChannelHarness>(h: &H) -> Verdict {
    let case = Case::new(h, "race")?;
    let first = prepare(h, h.channels(), &case.register(&case.state(5, [40, 60])?))?;
    let second = prepare(h, h.other(), &case.register(&case.state(5, [60, 40])?))?;
    ask(h, h.channels().submit(&first))?;
    ask(h, h.other().submit(&second))?;
    bury(h);
    let mut statuses =
        [ask(h, h.ledger().status(&first.id))?, ask(h, h.ledger().status(&second.id))?];
    statuses.sort_by_key(|status| matches!(status, Status::Failed { .. }));
    let [won, lost] = statuses;
    let is_it = matches!(won, Status::Final { .. })
        && matches!(lost, Status::Failed { is_final: true, .. });
    if is_it { Ok(()) } else { Err(format!("{won:?} and {lost:?}")) }
}

/// Each kind of event that a reorg takes back is announced, its effect is gone, and it comes again.
pub fn a_reorg_takes_channels_back<H: ChannelHarness>(h: &H) -> Verdict {
    if h.finality_blocks() == 0 {
        return Ok(());
    }
    let case = Case::new(h, "reorg")?;
    let receiver = h.channels().terms().payout.receiver;
    let state = State { is_final: true, ..case.state(1, [50, 50])? };
    case.done(&case.deposit(0, 40)?)?;
    for request in [
        case.deposit(1, 60)?,
        case.register(&state),
        case.conclude(&state, &[]),
        Request::Withdraw(Box::new(case.withdrawal(1, 50, receiver)?)),
    ] {
        case.comes_back(&request).map_err(|seen| format!("kind {}: {seen}", request.kind()))?;
    }
    case.expect_parts([50, 0])
}
