//! The port on an embedded ledger, for one account: in process ([`Embedded`]) or over its socket ([`Client`]).
//!
//! Guarantees: only what was asked for is signed; with the ledger's key at hand every head and every evidence is
//! verified, and a ledger that goes back behind a head it signed is found out. Does not: keep keys or retry.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sluicegate_ledger::{
    Account, AccountId, Asset, Cursor, Description, Error, EventPage, Fee, Head, Landed, Ledger,
    LedgerId, Reply, Request, Signed, Status, Terms, TransactionId, Unsigned,
};
use sluicegate_protocol::{
    Checkpoint, Digest, SigningKey, VerifyingKey,
    note::{KeyKind, Note, VerifierKey},
};

use crate::{
    channels,
    owner::Owner,
    socket::Remote,
    transaction::Body,
    wire::{Admin, Answer, Question},
};

const TRUST: &str = "proves order and integrity to whoever trusts this ledger key, not time";

/// How questions reach the ledger.
pub trait Transport: Send + Sync {
    /// Puts a question.
    fn ask(&self, question: Question) -> Reply<'_, Answer>;
}

/// A ledger of this process.
impl Transport for Arc<Owner> {
    fn ask(&self, question: Question) -> Reply<'_, Answer> {
        Box::pin(async move { Ok(Owner::ask(self, question).await) })
    }
}

/// The port in process.
pub type Embedded = Backend<Arc<Owner>>;

/// The port over a socket.
pub type Client = Backend<Remote>;

/// Where a client finds its ledger.
#[derive(Debug, Clone)]
pub struct Remotely {
    /// The socket.
    pub socket: PathBuf,
    /// The ledger's name.
    pub name: String,
    /// The ledger's verifier key as text, if its answers are to be verified.
    pub verifier: Option<String>,
    /// How long an answer may take.
    pub limit: Duration,
}

/// An account on an embedded ledger.
pub struct Backend<T> {
    transport: T,
    description: Description,
    pub(crate) terms: Terms,
    name: String,
    key: SigningKey,
    verifier: Option<VerifyingKey>,
    /// Size and root of the newest head that was verified.
    newest_head: Mutex<Option<(u64, Digest)>>,
}

impl Embedded {
    /// The account with this Ed25519 seed, on a ledger of this process.
    pub fn new(owner: Arc<Owner>, account: &[u8; 32]) -> Result<Self, Error> {
        let name = owner.name().to_owned();
        Self::with(owner, name, None, account)
    }
}

impl Client {
    /// The account with this Ed25519 seed, on a ledger that is served elsewhere. Connects with the first question.
    pub fn new(remotely: Remotely, account: &[u8; 32]) -> Result<Self, Error> {
        let Remotely { socket, name, verifier, limit } = remotely;
        let verifier = match &verifier {
            None => None,
            Some(text) => {
                let key = VerifierKey::parse(text)?;
                if key.name() != name || key.kind() != KeyKind::Note {
                    return Err(Error::Mismatch("the verifier key is of another ledger"));
                }
                Some(*key.key())
            }
        };
        let remote = Remote::new(socket, name.clone(), limit);
        Self::with(remote, name, verifier, account)
    }
}

impl<T: Transport> Backend<T> {
    fn with(
        transport: T,
        name: String,
        verifier: Option<VerifyingKey>,
        account: &[u8; 32],
    ) -> Result<Self, Error> {
        let key = SigningKey::from_bytes(account);
        let description = Description {
            ledger: LedgerId::embedded(&name)?,
            account: AccountId(key.verifying_key().to_bytes().to_vec()),
            asset: Asset { symbol: "unit".into(), decimals: 0 },
            trust: TRUST,
        };
        let account = key.verifying_key().to_bytes();
        let terms = channels::terms(&name, description.asset.clone(), &account);
        let newest_head = Mutex::default();
        Ok(Self { transport, description, terms, name, key, verifier, newest_head })
    }

    /// Does what only a ledger that allows faults does.
    pub async fn admin(&self, admin: Admin) -> Result<(), Error> {
        match self.ask(Question::Admin(admin)).await? {
            Answer::Done => Ok(()),
            _ => Err(UNFIT),
        }
    }

    /// Puts a question; an error that the ledger answers is an error here.
    pub(crate) async fn ask(&self, question: Question) -> Result<Answer, Error> {
        match self.transport.ask(question).await? {
            Answer::Error(error) => Err(error),
            answer => Ok(answer),
        }
    }

    pub(crate) fn account_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The key to verify answers with, if there is one.
    pub(crate) fn verifier(&self) -> Result<Option<VerifierKey<'_>>, Error> {
        let key = self.verifier.map(|key| VerifierKey::new(&self.name, KeyKind::Note, key));
        Ok(key.transpose()?)
    }

    fn newest_size(&self) -> u64 {
        let newest = self.newest_head.lock().unwrap_or_else(PoisonError::into_inner);
        newest.map_or(0, |(size, _)| size)
    }

    /// A head is signed, fits the answer, and does not go back behind one that was known before it was asked for.
    fn verify_head(&self, head: &Head, signed: &str, before: u64) -> Result<(), Error> {
        let Some(key) = self.verifier()? else { return Ok(()) };
        let note = Note::parse(signed)?;
        note.verify(&key)?;
        let signed = Checkpoint::parse(note.text())?;
        if signed.origin != self.name || head.finalised.number.checked_add(1) != Some(signed.size) {
            return Err(Error::Contradiction("the signed head is of another block"));
        }
        if signed.size < before {
            return Err(Error::Contradiction("it went back behind a head that it signed"));
        }
        let mut newest = self.newest_head.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.is_some_and(|(size, root)| size == signed.size && root != signed.root) {
            return Err(Error::Contradiction("two heads of one size differ"));
        }
        if newest.is_none_or(|(size, _)| size < signed.size) {
            *newest = Some((signed.size, signed.root));
        }
        Ok(())
    }
}

pub(crate) const UNFIT: Error = Error::Mismatch("the ledger answers another question");

impl<T: Transport> Ledger for Backend<T> {
    fn description(&self) -> &Description {
        &self.description
    }

    fn head(&self) -> Reply<'_, Head> {
        Box::pin(async move {
            let before = self.newest_size();
            let Answer::Head { head, signed } = self.ask(Question::Head).await? else {
                return Err(UNFIT);
            };
            self.verify_head(&head, &signed, before)?;
            Ok(head)
        })
    }

    fn account(&self) -> Reply<'_, Account> {
        Box::pin(async move {
            match self.ask(Question::Account(self.account_key())).await? {
                Answer::Account(account) => Ok(account),
                _ => Err(UNFIT),
            }
        })
    }

    fn build<'a>(&'a self, request: &'a Request, nonce: u64, fee: Fee) -> Reply<'a, Unsigned> {
        Box::pin(async move {
            request.check()?;
            if let Request::Progress(_) = request {
                return Err(Error::Rejected("this ledger runs no apps".into()));
            }
            let Answer::Fee(asked) = self.ask(Question::Fee).await? else { return Err(UNFIT) };
            let fee = match fee {
                Fee::AtLeast(floor) => {
                    let floor = u64::try_from(floor).map_err(|_| out_of_range())?;
                    asked.max(floor)
                }
                Fee::Estimate => asked,
            };
            let body = Body::new(self.account_key(), nonce, fee, request);
            Ok(Unsigned {
                request: request.clone(),
                nonce,
                fee: fee.into(),
                bytes: body.to_bytes(),
            })
        })
    }

    fn sign(&self, unsigned: &Unsigned) -> Result<Signed, Error> {
        let fee = u64::try_from(unsigned.fee).map_err(|_| out_of_range())?;
        let body = Body::new(self.account_key(), unsigned.nonce, fee, &unsigned.request);
        if Body::decode(&unsigned.bytes)? != body {
            return Err(Error::Mismatch("the transaction is not what was asked for"));
        }
        let (id, bytes) = (body.id(&self.name), body.sign(&self.name, &self.key).to_bytes());
        Ok(Signed { id, nonce: unsigned.nonce, fee: unsigned.fee, bytes })
    }

    fn submit<'a>(&'a self, signed: &'a Signed) -> Reply<'a, ()> {
        Box::pin(async move {
            match self.ask(Question::Submit(signed.bytes.clone())).await? {
                Answer::Done => Ok(()),
                _ => Err(Error::ResultUnknown("the ledger answers another question".into())),
            }
        })
    }

    fn status<'a>(&'a self, transaction: &'a TransactionId) -> Reply<'a, Status> {
        Box::pin(async move {
            match self.ask(Question::Status(*transaction)).await? {
                Answer::Status(status) => Ok(status),
                _ => Err(UNFIT),
            }
        })
    }

    fn landed<'a>(&'a self, request: &'a Request) -> Reply<'a, Option<Landed>> {
        Box::pin(self.done(request))
    }

    fn events<'a>(&'a self, from: &'a Cursor) -> Reply<'a, EventPage> {
        Box::pin(async move {
            match self.ask(Question::Events(from.clone())).await? {
                Answer::Events(page) => Ok(page),
                _ => Err(UNFIT),
            }
        })
    }
}

impl<T> std::fmt::Debug for Backend<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("description", &self.description).finish_non_exhaustive()
    }
}

fn out_of_range() -> Error {
    Error::Rejected("a fee of this ledger is below 2^64".into())
}
