//! An electric car that signs for itself: its key and its books are its own, the gateway only relays and settles.
//!
//! Guarantees: a record is in the flash file before its answer leaves, so a process that is started again with the same
//! files goes on; nothing leaves the car's balance that the driver did not order (`pay`, `allow`). Does not: trust the
//! gateway's word for more than lines on standard output.
//!
//! - this file: the driver's wishes and what comes of them; [`Wallet`]: what is signed
//! - [`flash`]: what survives the process; [`order`]: what the driver says

mod flash;
mod order;
mod wallet;

use std::{collections::VecDeque, time::Duration};

use sluicegate_device::{
    channel::{
        ChannelId,
        exchange::{KeyProof, OpenRequest, PayRequest, SignRequest, Summary},
    },
    channels::{ChannelClient, Command, News},
    coap::{Application, Body, Code, Event, Incoming, Link, Observable, Reply, Request},
    senml::Decimal,
};

use self::{
    flash::{CHANNELS, Flash},
    order::{Terms, Wish},
    wallet::Wallet,
};
use crate::appliance::{Appliance, pack_of_one};

/// How often the gateway is asked how the channels stand.
const EVERY: Duration = Duration::from_millis(250);

/// A channel that was not seen for so long is looked at again, whatever the gateway said of it.
const UNSEEN: Duration = Duration::from_secs(2);

/// What is charged between two readings, in watt hours: faster than real cars, so that nobody has to wait.
const STEP_WH: u64 = 20;

/// The car.
pub(crate) struct Car {
    name: String,
    client: ChannelClient<CHANNELS>,
    wallet: Wallet,
    terms: Terms,
    wishes: VecDeque<Wish>,
    /// The channel that was seen last and is not over, with when that was.
    channel: Option<(Summary, Duration)>,
    /// The payment that the gateway is asked for.
    paying: Option<PayRequest>,
    /// The lines of channels as they were told last.
    told: Vec<(ChannelId, String)>,
    charging: bool,
    energy: u64,
    next_seq: u64,
    now: Duration,
}

impl Car {
    /// The car of these files: terms, key, flash; it may take channels that a peer proposes.
    pub(crate) fn open(name: &str, files: &[String], takes_offers: bool) -> Result<Self, String> {
        let [terms, key, flash] = files else {
            return Err("it needs three files: TERMS KEY FLASH".to_owned());
        };
        let (terms, flash) = (Terms::read(terms)?, Flash::open(flash)?);
        let (energy, next_seq) = flash.counters();
        let wallet = Wallet::open(flash::key(key)?, &terms, flash, takes_offers)?;
        println!("address {}", wallet.address());
        let mut client = ChannelClient::new(EVERY);
        client.enrol().map_err(|error| error.to_string())?;
        Ok(Self {
            name: name.to_owned(),
            client,
            wallet,
            terms,
            wishes: VecDeque::new(),
            channel: None,
            paying: None,
            told: Vec::new(),
            charging: false,
            energy,
            next_seq,
            now: Duration::ZERO,
        })
    }

    /// Lets its counter rise, or stand still.
    pub(crate) const fn charge(&mut self, on: bool) {
        self.charging = on;
    }

    /// Does what the driver wants and is possible now; the rest waits, in its order.
    fn fulfil(&mut self) {
        while let Some(wish) = self.wishes.pop_front() {
            if !self.try_fulfil(&wish) {
                return self.wishes.push_front(wish);
            }
        }
    }

    /// Whether the wish is dealt with.
    fn try_fulfil(&mut self, wish: &Wish) -> bool {
        match wish {
            Wish::Charge(on) => self.charge(*on),
            Wish::Limit(deposit, spending) => {
                self.wallet.limit(self.terms.asset.clone(), *deposit, *spending);
            }
            Wish::Open(peer, [own, theirs], challenge) => {
                let Ok(peer) = peer.as_str().try_into() else { return true };
                let Ok(share) = flash::random() else { return false };
                let request = OpenRequest {
                    peer,
                    asset: self.terms.asset.clone(),
                    own_deposit: *own,
                    peer_deposit: *theirs,
                    challenge_duration: *challenge,
                    share,
                };
                if self.client.open(&request).is_err() {
                    return false;
                }
                self.wallet.ask(request);
            }
            Wish::Allow(..) | Wish::Close | Wish::Dispute | Wish::Pay(_) => {
                let Some((summary, _)) = self.channel.clone() else { return false };
                return self.in_channel(&summary, wish);
            }
        }
        true
    }

    fn in_channel(&mut self, summary: &Summary, wish: &Wish) -> bool {
        let id = &summary.id;
        match (wish, &summary.current) {
            (Wish::Allow(step, total), Some(_)) => self.wallet.allow(id, *step, *total),
            (Wish::Close, _) => self.client.close(id).is_ok(),
            (Wish::Dispute, _) => self.client.dispute(id).is_ok(),
            (Wish::Pay(amount), Some(current)) => {
                let (version, memo) = (current.version, Default::default());
                let request = PayRequest { version, amount: *amount, asset: 0, memo };
                // One after the other: the next names the version that this one leads to.
                let is_ready = summary.phase.name() == "open" && self.paying.is_none();
                if !is_ready || self.client.pay(id, &request).is_err() {
                    return false;
                }
                self.wallet.pay(id, *amount);
                self.paying = Some(request);
                true
            }
            _ => false,
        }
    }

    fn hear_news(&mut self, news: News<'_>) {
        match news {
            News::Asked(request) => {
                self.paying = None;
                self.channel = None;
                self.sign(&request);
            }
            News::Challenge(challenge) => {
                let proof = KeyProof::sign(self.wallet.key(), &challenge, &self.name);
                let proof = proof.map_err(|error| error.to_string());
                let proved = proof
                    .and_then(|proof| self.client.prove(&proof).map_err(|error| error.to_string()));
                if let Err(error) = proved {
                    eprintln!("the key can't be proved: {error}");
                }
            }
            News::Summary(summary) => self.see(summary),
            News::Refused { command, code, diagnostic } => self.refused(command, code, diagnostic),
            News::Done(Command::Prove) => println!("enrolled"),
            News::Done(command) => eprintln!("done: {command:?}"),
            News::Delayed { code, pause } => eprintln!("the gateway delays: {code:?} {pause:?}"),
            News::Malformed(error) => eprintln!("the gateway sends no message: {error}"),
        }
    }

    fn refused(&mut self, command: Command, code: Code, diagnostic: &[u8]) {
        let why = String::from_utf8_lossy(diagnostic);
        let what = match command {
            Command::Challenge | Command::Prove => "key",
            Command::Open => {
                self.wallet.cancel_open();
                "open"
            }
            Command::Pay(id) => {
                self.channel = None;
                let paying = self.paying.take();
                if !self.wallet.cancel_payment(&id) {
                    return eprintln!("the payment is signed already");
                }
                // Something else came first.
                if let Some(paying) = paying.filter(|_| why.contains("not the newest")) {
                    return self.wishes.push_front(Wish::Pay(paying.amount));
                }
                "pay"
            }
            Command::Close(_) => "close",
            Command::Dispute(_) => "dispute",
        };
        println!("refused {what} {code:?} {why}");
    }

    /// How a channel stands, and what is to be signed in it.
    fn see(&mut self, summary: Summary) {
        self.tell(&summary);
        if let Some(request) = &summary.pending {
            self.sign(request);
        }
        if summary.phase.is_over() {
            self.wallet.forget(&summary.id);
            self.channel.take_if(|(seen, _)| seen.id == summary.id);
        } else {
            self.channel = Some((summary, self.now));
        }
    }

    fn tell(&mut self, Summary { id, current, phase, .. }: &Summary) {
        let line = match current {
            None => format!("channel {id} {} 0 0 -", phase.name()),
            Some(current) => {
                let [own, theirs] = current.balances.first().copied().unwrap_or_default();
                format!("channel {id} {} {own} {theirs} {}", phase.name(), current.version)
            }
        };
        match self.told.iter_mut().find(|(known, _)| known == id) {
            Some((_, told)) if *told == line => return,
            Some((_, told)) => told.clone_from(&line),
            None => self.told.push((*id, line.clone())),
        }
        println!("{line}");
    }

    fn sign(&mut self, request: &SignRequest) {
        if let Some((channel, answer)) = self.wallet.sign(request) {
            // One that is on its way is asked for again if it does not arrive.
            if self.client.answer(&channel, &answer).is_err() {
                eprintln!("an answer is on its way already");
            }
        }
    }
}

impl Appliance for Car {
    fn measure(&mut self, _: u32) -> Vec<Vec<u8>> {
        if self.charging {
            self.energy += STEP_WH;
            println!("energy {}", self.energy);
        }
        self.next_seq += 1;
        self.wallet.keep(self.energy, self.next_seq);
        let energy = Decimal::new(i64::try_from(self.energy).unwrap_or(i64::MAX), 0);
        vec![pack_of_one(&self.name, "energy", "Wh", energy)]
    }

    fn first_seq(&self) -> u64 {
        self.next_seq
    }

    fn obey(&mut self, order: &str) {
        match Wish::parse(order) {
            // A cable needs no network.
            Some(Wish::Charge(on)) => self.charge(on),
            Some(wish) => self.wishes.push_back(wish),
            None => eprintln!("not understood: {order}"),
        }
    }

    fn request(&mut self, now: Duration) -> Option<Request<'_>> {
        self.now = now;
        if let Some((summary, _)) = self.channel.as_ref().filter(|(_, seen)| now > *seen + UNSEEN) {
            self.client.changed(now, &summary.id);
        }
        self.fulfil();
        self.client.request(now)
    }

    fn begun(&mut self) {
        self.client.begun();
    }

    fn hear(&mut self, now: Duration, event: &Event<'_>) {
        self.now = now;
        if let Some(news) = self.client.handle(now, event) {
            self.hear_news(news);
        }
    }

    fn next_request(&self) -> Option<Duration> {
        self.client.next_deadline()
    }

    fn is_waiting(&self) -> bool {
        self.client.next_deadline().is_none()
    }

    fn reconnected(&mut self, now: Duration) {
        self.client.reconnected(now);
    }
}

impl Application for Car {
    fn links(&self) -> &[Link<'_>] {
        &[Link { path: "energy", attributes: "rt=\"energy\"", observable: Observable::No }]
    }

    fn serve(&mut self, _: usize, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code {
        if request.method != Code::GET {
            return Code::METHOD_NOT_ALLOWED;
        }
        reply.push(self.energy.to_string().as_bytes());
        Code::CONTENT
    }

    fn body(&self) -> &dyn Body {
        &self.client
    }
}
