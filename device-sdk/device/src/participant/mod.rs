//! A device that signs for itself: what of its channels it signs, and what it keeps of that.
//!
//! Guarantees: the device computes every id and every hash itself. One version, one state (I2): a state that was
//! signed is signed again as the same bytes, no other one with its version, no older one, and nothing after a final
//! one, also after a restart. What a signature commits to is durable before the signature leaves (I1). Nothing leaves
//! the device's balance without an agreement of the application and within its limit (I5). A request that breaks a
//! rule gets that rule for an answer and changes nothing (I6, I7). Does not: know a ledger, whether a deposit is there,
//! or that an address belongs to the peer of that name; trust the gateway's summaries; bound what it agrees to by time.
//!
//! Order of calls, once after a start: [`Participant::restore`] for every record in the storage, then
//! [`Participant::set_limit`]. Then, for each [`SignRequest`]: [`Participant::handle`], and [`Participant::poll`] until
//! it gives nothing. [`Output::Store`] comes first: write the record, sync, call [`Participant::stored`], and poll
//! again for the [`Output::Answer`].
//!
//! **What leaves** is the fall of the own balance since the last signature, funds that are locked included. It is
//! agreed to by [`Participant::pay`], for one payment, or by [`Participant::allow`], for many small ones. What comes in
//! needs no agreement and refills nothing. Agreements are not durable: after a restart there is none. A state that was
//! signed need not have been signed by the peer, so a later one may leave the device more than it, never less; that
//! holds for a final one too.
//!
//! **Duties of the storage.** It has `2 * N` slots of [`MAX_RECORD`] bytes; channels use two in turns, so the write
//! that a power cut tears leaves the record before it, and nothing was answered by the torn one. Torn records are told
//! by their checksum. What was reported as stored must stay readable: if it rots, the device may sign an older version
//! again. A device that lost its storage signs nothing in its old channels: it has no books to judge by.
//!
//! `tests/participant/` shows each rule, and what a malicious gateway may try.

mod agreement;
mod book;
mod record;
mod rules;

use core::array;

use sluicegate_protocol::channel::{
    Address, Amount, CcAddress, ChannelId, MAX_ASSETS, SigningKey,
    exchange::{OpenRequest, Refusal, SignAnswer, SignRequest, Signatures},
};

pub use agreement::{Allowance, Limit};
pub use book::Book;
pub use record::MAX_RECORD;

use crate::{Bytes, Error};
use agreement::Agreed;
use rules::Terms;

/// What the owner sets for every channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Who is paid by every withdrawal of the device. A channel keeps the receiver it was opened with.
    pub receiver: Address,
    /// The device's address on another backend, if its channels have assets there.
    pub elsewhere: Option<CcAddress>,
    /// Whether the device takes channels that a peer proposes, within its limits.
    pub takes_offers: bool,
    /// The shortest challenge of such a channel, in seconds.
    pub least_challenge: u64,
}

/// What is to be done, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'a> {
    /// Write this record into this slot and sync; then call [`Participant::stored`].
    Store {
        /// From 0 to `2 * N - 1`.
        slot: usize,
        /// What the slot holds from now on.
        record: &'a [u8],
    },
    /// Send this answer to the gateway.
    Answer {
        /// The channel of the request.
        channel: ChannelId,
        /// The signatures, or the rule that the request broke.
        answer: &'a SignAnswer,
    },
}

/// The device's side in up to `N` channels.
#[derive(Debug)]
pub struct Participant<const N: usize> {
    key: SigningKey,
    policy: Policy,
    limits: [Option<Limit>; MAX_ASSETS],
    places: [Place; N],
    /// The channel that the application asked for, and the peer's address if it knows it.
    asked: Option<(OpenRequest, Option<Address>)>,
    work: Option<Work>,
    record: Bytes<MAX_RECORD>,
}

/// The room for one channel.
#[derive(Debug, Default)]
struct Place {
    /// Of the newest record; it stays when the channel is forgotten, so that the next one's records are newer.
    counter: u64,
    book: Option<Book>,
    agreed: Agreed,
}

/// A request that is being answered.
#[derive(Debug)]
struct Work {
    channel: ChannelId,
    answer: SignAnswer,
    /// What changes in the books with it.
    entry: Option<Entry>,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Store,
    Storing,
    Answer,
    Answered,
}

/// A change of the books.
#[derive(Debug)]
struct Entry {
    place: usize,
    counter: u64,
    book: Book,
}

impl<const N: usize> Participant<N> {
    /// A device without channels.
    pub fn new(key: SigningKey, policy: Policy) -> Self {
        Self {
            key,
            policy,
            limits: array::from_fn(|_| None),
            places: array::from_fn(|_| Place::default()),
            asked: None,
            work: None,
            record: Bytes::EMPTY,
        }
    }

    /// The address of the device's key.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The device's key, to prove that it has it.
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Takes what a slot of the storage holds; of a channel's two the newer one counts, in any order.
    ///
    /// Errors: [`Error::Record`] for a slot that is empty, torn or another device's. Then the slot is as if it were
    /// empty, which is right after a power cut.
    pub fn restore(&mut self, slot: usize, record: &[u8]) -> Result<(), Error> {
        let (counter, book) = record::read(record)?;
        if book.participant.address != self.key.address() {
            return Err(Error::Record("it is another key's"));
        }
        let place = self.places.get_mut(slot / 2).ok_or(Error::Record("there is no such slot"))?;
        if slot_of(slot / 2, counter) != slot {
            return Err(Error::Record("it belongs into another slot"));
        }
        if counter > place.counter {
            (place.counter, place.book) = (counter, Some(book));
        }
        Ok(())
    }

    /// Sets what may leave of an asset; without a limit nothing does.
    ///
    /// Errors: [`Error::Full`] if there are limits for [`MAX_ASSETS`] others.
    pub fn set_limit(&mut self, limit: Limit) -> Result<(), Error> {
        let is_it =
            |known: &Option<Limit>| known.as_ref().is_some_and(|it| it.asset == limit.asset);
        let place = self.limits.iter().position(is_it);
        let place = place.or_else(|| self.limits.iter().position(Option::is_none));
        let room = place.and_then(|place| self.limits.get_mut(place));
        *room.ok_or(Error::Full("limits"))? = Some(limit);
        Ok(())
    }

    /// Agrees to one channel with these terms: what is sent to the gateway is the request. If `peer` is given, nobody
    /// else may be at the other end.
    ///
    /// The share must be random; with it the device knows that the channel is new. A second call replaces the first.
    pub fn open(&mut self, request: OpenRequest, peer: Option<Address>) {
        self.asked = Some((request, peer));
    }

    /// The request for a channel that is not answered yet.
    pub fn asked(&self) -> Option<&OpenRequest> {
        self.asked.as_ref().map(|(request, _)| request)
    }

    /// Takes the agreement to open a channel back.
    pub fn cancel_open(&mut self) {
        self.asked = None;
    }

    /// Agrees to one payment of this much; over with the next signature that pays.
    ///
    /// Errors: [`Error::UnknownChannel`]; [`Error::Busy`] while another payment of the channel is under way.
    pub fn pay(&mut self, channel: &ChannelId, asset: u8, amount: Amount) -> Result<(), Error> {
        self.agreed(channel)?.pay(asset, amount)
    }

    /// Takes the agreement to a payment back, if it is not signed yet.
    pub fn cancel_payment(&mut self, channel: &ChannelId) {
        if let Ok(agreed) = self.agreed(channel) {
            agreed.cancel_payment();
        }
    }

    /// Agrees to payments that nobody asks the device about one by one, as for something that is metered.
    ///
    /// It replaces the allowance for this asset of the channel; `None` revokes it.
    pub fn allow(
        &mut self,
        channel: &ChannelId,
        asset: u8,
        allowance: Option<Allowance>,
    ) -> Result<(), Error> {
        self.agreed(channel)?.allow(asset, allowance)
    }

    /// What is left of an allowance.
    pub fn allowance(&self, channel: &ChannelId, asset: u8) -> Option<Allowance> {
        let place = self.places.get(self.place_of(channel)?)?;
        place.agreed.allowance(asset.into())
    }

    /// What was signed last in a channel.
    pub fn book(&self, channel: &ChannelId) -> Option<&Book> {
        self.places.get(self.place_of(channel)?)?.book.as_ref()
    }

    /// The books of all channels.
    pub fn books(&self) -> impl Iterator<Item = &Book> {
        self.places.iter().filter_map(|place| place.book.as_ref())
    }

    /// Forgets a channel and gives its room to others. Only for a channel whose end is known from elsewhere than its
    /// gateway, or by one that is trusted with what the channel held: who is forgotten can be asked to sign again.
    ///
    /// After a restart it is known again, if its room has not been used since.
    pub fn forget(&mut self, channel: &ChannelId) {
        let is_it =
            |place: &&mut Place| place.book.as_ref().is_some_and(|it| it.channel == *channel);
        for place in self.places.iter_mut().filter(is_it) {
            (place.book, place.agreed) = (None, Agreed::default());
        }
    }

    /// Takes a request of the gateway; [`Participant::poll`] gives the answer.
    ///
    /// Errors: [`Error::Busy`] while another one is being answered.
    pub fn handle(&mut self, request: &SignRequest) -> Result<(), Error> {
        self.idle()?;
        let answer = |outcome| SignAnswer { number: request.number, outcome };
        let (outcome, entry) = match self.judge(request) {
            Ok((signatures, entry)) => (Ok(signatures), entry),
            Err(refusal) => (Err(refusal), None),
        };
        let step = if entry.is_some() { Step::Store } else { Step::Answer };
        let channel = request.state.channel;
        self.work = Some(Work { channel, answer: answer(outcome), entry, step });
        Ok(())
    }

    /// Answers a request with the device's own no.
    pub fn decline(&mut self, request: &SignRequest) -> Result<(), Error> {
        self.idle()?;
        let answer = SignAnswer { number: request.number, outcome: Err(Refusal::Unwilling) };
        let channel = request.state.channel;
        self.work = Some(Work { channel, answer, entry: None, step: Step::Answer });
        Ok(())
    }

    /// What is to be done next; call it until it gives nothing.
    pub fn poll(&mut self) -> Option<Output<'_>> {
        let work = self.work.as_mut()?;
        match (work.step, &work.entry) {
            (Step::Store, Some(entry)) => {
                work.step = Step::Storing;
                let slot = slot_of(entry.place, entry.counter);
                Some(Output::Store { slot, record: self.record.as_slice() })
            }
            (Step::Answer, _) => {
                work.step = Step::Answered;
                Some(Output::Answer { channel: work.channel, answer: &work.answer })
            }
            _ => None,
        }
    }

    /// The record is durable: the answer may leave.
    pub fn stored(&mut self) {
        let Some(work) = self.work.as_mut().filter(|work| work.step == Step::Storing) else {
            return;
        };
        work.step = Step::Answer;
        let Some(Entry { place, counter, book }) = work.entry.take() else { return };
        if let Some(place) = self.places.get_mut(place) {
            (place.counter, place.book) = (counter, Some(book));
        }
    }

    /// The record could not be written: [`Participant::poll`] gives it again. Nothing is signed before it is durable.
    pub fn store_failed(&mut self) {
        if let Some(work) = self.work.as_mut().filter(|work| work.step == Step::Storing) {
            work.step = Step::Store;
        }
    }

    /// Whether a request is being answered, so that another one has to wait.
    pub fn is_busy(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.step != Step::Answered)
    }

    fn idle(&self) -> Result<(), Error> {
        if self.is_busy() { Err(Error::Busy) } else { Ok(()) }
    }

    /// The signatures, and what has to be durable before they leave; nothing if they are repeated.
    ///
    /// An agreement is used up here, so that what the application agrees to meanwhile stays.
    fn judge(&mut self, request: &SignRequest) -> Result<(Signatures, Option<Entry>), Refusal> {
        let hash = *request.state.hash().as_bytes();
        let known = self.place_of(&request.state.channel);
        let known = known.and_then(|at| self.places.get(at).map(|place| (at, place)));
        let (entry, agreed) = match known {
            Some((_, Place { book: Some(book), .. })) if book.hash == hash => {
                rules::check_receiver(book, request)?;
                return Ok((self.sign(request, book)?, None));
            }
            Some((at, Place { counter, book: Some(book), agreed })) => {
                let (book, agreed) = rules::follow(book, agreed, &self.limits, request, hash)?;
                (Entry { place: at, counter: counter.saturating_add(1), book }, Some(agreed))
            }
            _ => (self.open_books(request, hash)?, None),
        };
        let signatures = self.sign(request, &entry.book)?;
        self.record = record::write(entry.counter, &entry.book).map_err(|_| Refusal::NoRoom)?;
        match (agreed, self.places.get_mut(entry.place)) {
            (Some(agreed), Some(place)) => place.agreed = agreed,
            (None, Some(place)) => {
                place.agreed = Agreed::default();
                let own = self.key.address();
                self.asked.take_if(|asked| rules::is_asked(&own, asked, request));
            }
            (_, None) => return Err(Refusal::NoRoom),
        }
        Ok((signatures, Some(entry)))
    }

    /// The books of a channel that begins.
    fn open_books(&self, request: &SignRequest, hash: [u8; 32]) -> Result<Entry, Refusal> {
        let terms = Terms {
            own: self.key.address(),
            policy: &self.policy,
            limits: &self.limits,
            asked: self.asked.as_ref(),
        };
        let book = terms.open(request, hash)?;
        let place = self.places.iter().position(|place| place.book.is_none());
        let place = place.ok_or(Refusal::NoRoom)?;
        let counter = self.places.get(place).map_or(0, |place| place.counter).saturating_add(1);
        Ok(Entry { place, counter, book })
    }

    /// A refusal of the key itself does not happen in practice; it is not a rule that was broken.
    fn sign(&self, request: &SignRequest, book: &Book) -> Result<Signatures, Refusal> {
        let (participant, own) = (&book.participant, book.own.into());
        let signed = Signatures::of(&self.key, &request.state, participant, own, &book.receiver);
        signed.map_err(|_| Refusal::Unwilling)
    }

    /// Where the books of a channel are. The newest ones, if a forgotten channel has come back.
    fn place_of(&self, channel: &ChannelId) -> Option<usize> {
        let version = |place: &Place| {
            place.book.as_ref().filter(|book| book.channel == *channel).map(|book| book.version)
        };
        let places = self.places.iter().enumerate();
        let known = places.filter_map(|(at, place)| Some((version(place)?, at)));
        known.max().map(|(_, at)| at)
    }

    fn agreed(&mut self, channel: &ChannelId) -> Result<&mut Agreed, Error> {
        let place = self.place_of(channel).and_then(|at| self.places.get_mut(at));
        Ok(&mut place.ok_or(Error::UnknownChannel)?.agreed)
    }
}

/// The two slots of a place in turns.
const fn slot_of(place: usize, counter: u64) -> usize {
    2 * place + if counter.is_multiple_of(2) { 0 } else { 1 }
}
