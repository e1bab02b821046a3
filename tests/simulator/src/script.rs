//! The events of a history, their text, and scripts from seeds.
//!
//! Guarantees: a script's text reads back as the same script, so a failing one is a regression test by copying it.
//! Does not: run anything.

use std::{fmt, str::FromStr};

use crate::random::Random;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident $word:literal ($($field:ident),*),)*) => {
        /// Something that happens. A `side` is 0 or 1; everything else is a number too.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $name { $(
                #[doc = stringify!($field)]
                $field: u64,
            )* },)*
        }

        impl fmt::Display for Event {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name { $($field),* } => {
                        f.write_str($word)?;
                        $(write!(f, " {}", $field)?;)*
                    })*
                }
                Ok(())
            }
        }

        impl FromStr for Event {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let mut words = text.split_whitespace();
                let name = words.next().ok_or("an empty line")?;
                #[allow(unused_variables, unused_mut)]
                let mut number = || {
                    words.next().and_then(|word| word.parse().ok()).ok_or(format!("{text}: a number"))
                };
                match name {
                    $($word => Ok(Self::$name { $($field: number()?),* }),)*
                    _ => Err(format!("{text}: unknown")),
                }
            }
        }
    };
}

events! {
    /// The ledger's events are read from their beginning again: it does not know any more where this side was.
    Anew "anew" (side),
    /// Blocks, each a second apart.
    Blocks "blocks" (count),
    /// The owner closes.
    Close "close" (side),
    /// The two connect.
    Connect "connect" (),
    /// The process dies at its next batch of outputs: 0 before it is durable, else after that many messages and one.
    Crash "crash" (side, point),
    /// The next message to this side arrives.
    Deliver "deliver" (side),
    /// The owner disputes.
    Dispute "dispute" (side),
    /// The next message to this side arrives, and once more later.
    Duplicate "duplicate" (side),
    /// The ledger's events are read.
    Events "events" (side),
    /// The outbox of this side loses what it is to register, as when its record can't be read.
    Forget "forget" (side),
    /// The connection breaks; what was under way is lost.
    Lose "lose" (),
    /// Somebody registers a state that was current once: of the states that this side has had, the one with this number.
    Old "old" (side, number),
    /// Proposes a channel.
    Open "open" (side, own, peer),
    /// Pays.
    Pay "pay" (side, amount),
    /// The last message to this side comes first.
    Reorder "reorder" (side),
    /// Blocks are taken back.
    Reorg "reorg" (blocks),
    /// The disk is replaced by what it was this many batches ago, and the gateway knows.
    Restore "restore" (side, batches),
    /// The ledger is out of reach, or back.
    Stall "stall" (on),
    /// The process starts.
    Start "start" (side),
    /// Time passes.
    Wait "wait" (ms),
}

/// A list of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script(pub Vec<Event>);

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// What may go wrong in a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Lost, repeated and reordered messages, crashes, reorgs and outages; both sides are honest.
    Honest,
    /// Besides, old states are registered, owners dispute, and backups are restored.
    Malicious,
}

impl Script {
    /// A script of this length.
    pub fn random(seed: u64, length: usize, faults: Faults) -> Self {
        let mut random = Random::new(seed);
        let mut events = vec![
            Event::Connect {},
            Event::Open { side: random.below(2), own: 1_000, peer: random.below(2) * 500 },
        ];
        events.extend((0..length).map(|_| one(&mut random, faults)));
        Self(events)
    }

    /// A script from arbitrary bytes: two for each event.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut events = vec![Event::Connect {}, Event::Open { side: 0, own: 1_000, peer: 500 }];
        events.extend(bytes.chunks_exact(2).map(|pair| {
            let seed = u64::from(pair[0]) << 8 | u64::from(pair[1]);
            one(&mut Random::new(seed), Faults::Malicious)
        }));
        Self(events)
    }

    /// The script with everything left out that the failure does not need.
    pub fn shrunk(&self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut shortest = self.clone();
        let mut size = shortest.0.len().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            while at < shortest.0.len() {
                let mut shorter = shortest.clone();
                shorter.0.drain(at..(at + size).min(shortest.0.len()));
                if fails(&shorter) {
                    shortest = shorter;
                } else {
                    at += size;
                }
            }
            if size == 1 {
                return shortest;
            }
            size = size.div_ceil(2);
        }
    }
}

fn one(random: &mut Random, faults: Faults) -> Event {
    let side = random.below(2);
    let choice = match faults {
        Faults::Honest => random.below(86),
        Faults::Malicious => random.below(100),
    };
    match choice {
        0..30 => Event::Deliver { side },
        30..44 => Event::Pay { side, amount: 1 + random.below(40) },
        44..52 => Event::Blocks { count: 1 + random.below(4) },
        52..60 => Event::Events { side },
        60..64 => Event::Connect {},
        64..66 => Event::Lose {},
        66..70 => Event::Crash { side, point: random.below(4) },
        70..74 => Event::Start { side },
        74..78 => Event::Wait { ms: 500 + random.below(4_000) },
        78..80 => Event::Duplicate { side },
        80 => Event::Reorder { side },
        81..83 => Event::Reorg { blocks: 1 + random.below(2) },
        83 => Event::Stall { on: random.below(2) },
        84 => Event::Close { side },
        85 => Event::Anew { side },
        86..91 => Event::Old { side, number: random.below(8) },
        91..94 => Event::Dispute { side },
        94..96 => Event::Restore { side, batches: 1 + random.below(6) },
        96 => Event::Forget { side },
        _ => Event::Deliver { side },
    }
}
