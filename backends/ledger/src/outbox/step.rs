//! The transitions of the outbox: which answer leads where.
//!
//! Guarantees: before anything new is signed for a nonce, the account is asked first and every attempt after it, so that
//! "no attempt landed, yet the nonce is used in a final block" can't come from a transaction landing in between.
//! The table of states is in the crate's README.

use alloc::vec;

use crate::{
    Account, BlockRef, Error, Fee, Landed, Signed, Status, TransactionId, Unsigned, cbor,
    fees::{Ask, DAY_MS},
    outbox::{
        Answer, BUDGETS_KEY, Call, MAX_ATTEMPTS, MAX_TRANSACTION, News, Outbox, Output, Stage,
        intent::{Intent, Pending, Phase},
    },
};

/// How often all attempts must be found dead, with a pause between, before a new nonce is taken.
const DEAD_ROUNDS: u8 = 2;

impl Outbox {
    /// Starts whatever is due: what is under way first, then one new intent if the lane is free.
    pub(super) fn advance(&mut self, now: u64) {
        let due = |intent: &Intent| intent.phase == Phase::Waiting && intent.due <= now;
        let under_way: vec::Vec<u64> = self.keys(|i| due(i) && i.stage != Stage::Intent);
        for key in under_way {
            self.look(key);
        }
        if !self.lane_is_busy() {
            let new = self.intents.iter().filter(|(_, i)| due(i) && i.stage == Stage::Intent);
            let first = new.min_by_key(|(key, i)| (i.record.class.rank(), **key));
            if let Some(key) = first.map(|(key, _)| *key) {
                self.find(key);
            }
        }
    }

    pub(super) fn lane_is_busy(&self) -> bool {
        self.intents.values().any(|intent| intent.holds_lane() && !self.is_behind_gap(intent))
    }

    /// It can't land because a lower nonce is free and nobody of ours has it (a record was lost, or its intent failed):
    /// it must not keep the intent that will take that nonce from starting.
    fn is_behind_gap(&self, intent: &Intent) -> bool {
        let waiting = intent.phase == Phase::Waiting;
        let known = intent.account.zip(intent.record.nonce());
        known.is_some_and(|(account, nonce)| waiting && self.free_nonce(account.next_nonce) < nonce)
    }

    /// The lowest nonce from `next` on that no intent of ours has. A nonce of ours that a reorg freed is still taken:
    /// its transaction is submitted again.
    fn free_nonce(&self, next: u64) -> u64 {
        let taken = |nonce| self.intents.values().any(|i| i.record.nonce() == Some(nonce));
        (next..u64::MAX).find(|nonce| !taken(*nonce)).unwrap_or(u64::MAX)
    }

    fn has_signed(&self, key: u64) -> bool {
        self.intents.get(&key).is_some_and(|intent| !intent.record.attempts.is_empty())
    }

    pub(super) fn keys(&self, which: impl Fn(&Intent) -> bool) -> vec::Vec<u64> {
        self.intents.iter().filter(|(_, intent)| which(intent)).map(|(key, _)| *key).collect()
    }

    /// A write is durable.
    pub(super) fn persisted(&mut self, now: u64, write: u64) {
        let waits =
            |phase: &Phase| matches!(phase, Phase::Storing(w) | Phase::Saving(w) if *w == write);
        let found = self.intents.iter_mut().find(|(_, intent)| waits(&intent.phase));
        let Some((key, intent)) = found else { return };
        let key = *key;
        match intent.phase {
            Phase::Saving(_) => self.submit(key),
            _ => intent.wait(now),
        }
    }

    /// An answer; one that nobody waits for is dropped.
    pub(super) fn answered(&mut self, now: u64, ticket: u64, result: Result<Answer, Error>) {
        let waits = |intent: &Intent| intent.ticket == ticket && intent.in_flight();
        let found = self.intents.iter().find(|(_, intent)| waits(intent));
        let Some((key, phase)) = found.map(|(key, intent)| (*key, intent.phase.clone())) else {
            return;
        };
        match (phase, result) {
            (Phase::Finding, Ok(Answer::Found(found))) => self.found(now, key, found),
            (Phase::Asking, Ok(Answer::Account(account))) => self.account(key, account),
            (Phase::Building(nonce), Ok(Answer::Built(unsigned))) => {
                self.built(now, key, nonce, unsigned);
            }
            (Phase::Signing(unsigned), Ok(Answer::Signed(signed))) => {
                self.signed(now, key, &unsigned, signed);
            }
            (Phase::Submitting, result) => self.submitted(now, key, result),
            (Phase::Checking(index), Ok(Answer::Status(status))) => {
                self.checked(now, key, index, status);
            }
            (Phase::Building(_), Err(error @ Error::Rejected(_))) if !self.has_signed(key) => {
                self.fail(key, error);
            }
            (_, Err(error)) => self.blocked(now, key, error),
            (_, Ok(_)) => self.blocked(now, key, Error::Mismatch("another call's answer")),
        }
    }

    /// Looks at something that is under way.
    fn look(&mut self, key: u64) {
        let Some(intent) = self.intents.get(&key) else { return };
        match intent.stage {
            Stage::Seen(Some(index)) => self.check(key, index),
            Stage::Seen(None) => self.find(key),
            Stage::Intent | Stage::Signed | Stage::Submitted => self.ask(key),
        }
    }

    fn find(&mut self, key: u64) {
        self.call(key, Phase::Finding, |intent| Call::Find(intent.record.request.clone()));
    }

    fn ask(&mut self, key: u64) {
        self.call(key, Phase::Asking, |_| Call::Account);
    }

    fn build(&mut self, key: u64, nonce: u64) {
        self.call(key, Phase::Building(nonce), |intent| {
            let fee = intent.bump.map_or(Fee::Estimate, Fee::AtLeast);
            Call::Build { request: intent.record.request.clone(), nonce, fee }
        });
    }

    fn check(&mut self, key: u64, index: usize) {
        let Some(intent) = self.intents.get(&key) else { return };
        match intent.record.attempts.get(index).map(|attempt| attempt.id) {
            Some(id) => self.call(key, Phase::Checking(index), |_| Call::Status(id)),
            None => self.ask(key),
        }
    }

    fn submit(&mut self, key: u64) {
        let newest = self.intents.get(&key).and_then(|intent| intent.record.attempts.last());
        if let Some(signed) = newest.cloned() {
            self.call(key, Phase::Submitting, |_| Call::Submit(signed));
        }
    }

    fn call(&mut self, key: u64, phase: Phase, call: impl FnOnce(&Intent) -> Call) {
        let Some(intent) = self.intents.get_mut(&key) else { return };
        self.next_ticket += 1;
        (intent.phase, intent.ticket) = (phase, self.next_ticket);
        let call = call(intent);
        self.outputs.push_back(Output::Call { ticket: self.next_ticket, call });
    }

    /// Is it done already? Asked before anything is signed, so it is not ours if it is.
    fn found(&mut self, now: u64, key: u64, found: Option<Landed>) {
        let Some(intent) = self.intents.get_mut(&key) else { return };
        match found {
            Some(landed) if landed.is_final => self.finish(key, landed.transaction, landed.block),
            Some(landed) => self.seen(now, key, None, landed.transaction, landed.block),
            None if intent.stage == Stage::Intent => self.ask(key),
            None => self.retracted(now, key, Stage::Intent),
        }
    }

    fn account(&mut self, key: u64, account: Account) {
        self.time_ms = self.time_ms.max(account.time_ms);
        self.budgets.roll(&self.settings.limits, self.time_ms);
        let free = self.free_nonce(account.next_nonce);
        let Some(intent) = self.intents.get_mut(&key) else { return };
        intent.account = Some(account);
        intent.pending = Pending::default();
        match intent.record.attempts.len().checked_sub(1) {
            None => self.build(key, free),
            Some(newest) => self.check(key, newest),
        }
    }

    /// The fee is known: the budgets are asked before anything is signed (I5).
    fn built(&mut self, now: u64, key: u64, nonce: u64, unsigned: Unsigned) {
        let Some(intent) = self.intents.get(&key) else { return };
        if unsigned.nonce != nonce || unsigned.request != intent.record.request {
            return self.blocked(now, key, Error::Mismatch("another transaction was built"));
        }
        match self.budgets.check(&self.settings.limits, &intent.ask(unsigned.fee)) {
            Err(error) => self.blocked(now, key, error),
            Ok(()) => self.call(key, Phase::Signing(unsigned.clone()), |_| Call::Sign(unsigned)),
        }
    }

    /// Signed: durable together with what it costs, and only then submitted (I1).
    fn signed(&mut self, now: u64, key: u64, unsigned: &Unsigned, signed: Signed) {
        let Some(intent) = self.intents.get_mut(&key) else { return };
        let same = signed.nonce == unsigned.nonce && signed.fee == unsigned.fee;
        if !same || signed.bytes.len() > MAX_TRANSACTION {
            return self.blocked(now, key, Error::Mismatch("another transaction was signed"));
        }
        self.budgets.charge(&intent.ask(signed.fee));
        intent.record.attempts.push(signed);
        intent.stage = Stage::Signed;
        (intent.bump, intent.submitted_at, intent.rejected) = (None, None, None);
        let record = intent.record.to_bytes();
        let budgets = cbor::encode(&self.budgets);
        let write = self.persist(vec![(BUDGETS_KEY, budgets), (key, record)], vec![]);
        if let Some(intent) = self.intents.get_mut(&key) {
            intent.phase = Phase::Saving(write);
        }
    }

    fn submitted(&mut self, now: u64, key: u64, result: Result<Answer, Error>) {
        let settings = self.settings;
        let Some(intent) = self.intents.get_mut(&key) else { return };
        match result {
            Ok(_) => {
                intent.stage = Stage::Submitted;
                intent.submitted_at = intent.submitted_at.or(Some(now));
                intent.rest(now, &settings);
            }
            Err(Error::FeeTooLow { needed }) if intent.record.attempts.len() < MAX_ATTEMPTS => {
                intent.bump = Some(needed.max(intent.raised_fee()));
                intent.wait(now);
            }
            // Who used the nonce? Perhaps an earlier attempt.
            Err(Error::NonceUsed { .. }) => intent.back_off(now, &settings),
            Err(error) => {
                if matches!(error, Error::Rejected(_)) {
                    intent.rejected = Some(error.clone());
                }
                self.blocked(now, key, error);
            }
        }
    }

    /// What one attempt came to; the next older one is asked while none is in a block.
    fn checked(&mut self, now: u64, key: u64, index: usize, status: Status) {
        let Some(intent) = self.intents.get_mut(&key) else { return };
        let Some(id) = intent.record.attempts.get(index).map(|attempt| attempt.id) else { return };
        match status {
            Status::Final { block } => return self.finish(key, id, block),
            Status::Included { block } | Status::Failed { block, is_final: false } => {
                return self.seen(now, key, Some(index), id, block);
            }
            Status::Failed { is_final: true, .. } => {
                return self.fail(key, Error::Rejected("it landed without effect".into()));
            }
            Status::Pending | Status::Unknown if matches!(intent.stage, Stage::Seen(_)) => {
                return self.retracted(now, key, Stage::Signed);
            }
            Status::Pending if index + 1 == intent.record.attempts.len() => {
                intent.pending.newest = true;
            }
            Status::Pending => intent.pending.older = true,
            Status::Unknown => {}
        }
        match index.checked_sub(1) {
            Some(older) => self.check(key, older),
            None => self.conclude(now, key),
        }
    }

    /// No attempt is in a block: wait, raise the fee, submit again, or begin anew.
    fn conclude(&mut self, now: u64, key: u64) {
        let settings = self.settings;
        let Some(intent) = self.intents.get_mut(&key) else { return };
        let Some((nonce, account)) = intent.record.nonce().zip(intent.account) else { return };
        let Pending { newest, older } = intent.pending;
        if account.final_nonce > nonce {
            return self.dead(now, key);
        }
        intent.dead_rounds = 0;
        if newest || older {
            intent.rejected = None;
        } else if let Some(error) = intent.rejected.take() {
            return self.fail(key, error);
        } else if account.next_nonce > nonce {
            // A block that is not final holds a foreign transaction with this nonce.
            return intent.back_off(now, &settings);
        }
        if newest && intent.is_stuck(now, settings.bump_after_ms) {
            intent.bump = Some(intent.raised_fee());
        }
        if intent.bump.is_some() && intent.record.attempts.len() < MAX_ATTEMPTS {
            self.build(key, nonce);
        } else if newest {
            intent.stage = Stage::Submitted;
            intent.submitted_at = intent.submitted_at.or(Some(now));
            intent.rest(now, &settings);
        } else {
            self.submit(key);
        }
    }

    /// A final block holds a foreign transaction with our nonce: ours can never land.
    fn dead(&mut self, now: u64, key: u64) {
        let settings = self.settings;
        let Some(intent) = self.intents.get_mut(&key) else { return };
        intent.dead_rounds = intent.dead_rounds.saturating_add(1);
        if intent.dead_rounds < DEAD_ROUNDS {
            return intent.back_off(now, &settings);
        }
        intent.record.attempts.clear();
        intent.stage = Stage::Intent;
        (intent.dead_rounds, intent.bump, intent.rejected) = (0, None, None);
        intent.wait(now);
    }

    fn seen(
        &mut self,
        now: u64,
        key: u64,
        index: Option<usize>,
        transaction: TransactionId,
        block: BlockRef,
    ) {
        let settings = self.settings;
        let Some(intent) = self.intents.get_mut(&key) else { return };
        let news = intent.stage != Stage::Seen(index);
        intent.stage = Stage::Seen(index);
        (intent.dead_rounds, intent.submitted_at, intent.rejected) = (0, None, None);
        intent.rest(now, &settings);
        if news {
            self.notify(key, News::Seen { transaction, block });
        }
    }

    fn retracted(&mut self, now: u64, key: u64, stage: Stage) {
        let Some(intent) = self.intents.get_mut(&key) else { return };
        intent.stage = stage;
        intent.wait(now);
        self.notify(key, News::Retracted);
    }

    fn finish(&mut self, key: u64, transaction: TransactionId, block: BlockRef) {
        self.close(key, News::Final { transaction, block });
    }

    fn fail(&mut self, key: u64, error: Error) {
        self.close(key, News::Failed(error));
    }

    /// Tells first and forgets after: a crash between the two tells again.
    fn close(&mut self, key: u64, news: News) {
        self.notify(key, news);
        self.intents.remove(&key);
        self.persist(vec![], vec![key]);
    }

    /// Something went wrong that a later try may pass: told once for each remedy.
    fn blocked(&mut self, now: u64, key: u64, error: Error) {
        let tomorrow = now.saturating_add(DAY_MS - self.time_ms % DAY_MS);
        let settings = self.settings;
        let Some(intent) = self.intents.get_mut(&key) else { return };
        let remedy = Some(error.remedy());
        let told = intent.blocked == remedy;
        intent.back_off(now, &settings);
        if intent.stage == Stage::Intent && matches!(error, Error::CeilingPerDay { .. }) {
            intent.wait(tomorrow);
        }
        intent.blocked = remedy;
        if !told {
            self.notify(key, News::Blocked(error));
        }
    }
}

impl Intent {
    const fn in_flight(&self) -> bool {
        !matches!(self.phase, Phase::Saving(_) | Phase::Storing(_) | Phase::Waiting)
    }

    fn ask(&self, fee: u128) -> Ask {
        let balance = self.account.map_or(0, |account| account.balance);
        Ask { class: self.record.class, fee, charged: self.record.charged(), balance }
    }

    /// An eighth more than the newest attempt, the least that ledgers take for a replacement.
    fn raised_fee(&self) -> u128 {
        let fee = self.record.attempts.last().map_or(0, |attempt| attempt.fee);
        fee.saturating_add(fee / 8).saturating_add(1)
    }

    fn is_stuck(&self, now: u64, after_ms: u64) -> bool {
        self.submitted_at.is_some_and(|since| now.saturating_sub(since) >= after_ms)
    }
}
