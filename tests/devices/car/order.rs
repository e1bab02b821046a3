//! What the driver says to the car, and what `sluicegate channel terms` said of the owner's account.

use sluicegate_device::channel::{Address, Amount, Asset};

/// What the driver wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Metered payments: so much with each, so much in all.
    Allow(Amount, Amount),
    /// To charge, or no more.
    Charge(bool),
    /// The end of the channel, together with the peer.
    Close,
    /// The end of the channel, without the peer.
    Dispute,
    /// The most that is brought into a channel, and the most that leaves it.
    Limit(Amount, Amount),
    /// A channel: with whom, what each side brings, and the challenge in seconds.
    Open(String, [Amount; 2], u64),
    /// One payment.
    Pay(Amount),
}

impl Wish {
    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        Some(match words[..] {
            ["allow", step, total] => Self::Allow(amount(step)?, amount(total)?),
            ["charge", "off"] => Self::Charge(false),
            ["charge", "on"] => Self::Charge(true),
            ["close"] => Self::Close,
            ["dispute"] => Self::Dispute,
            ["limit", deposit, spending] => Self::Limit(amount(deposit)?, amount(spending)?),
            ["open", peer, own, theirs, challenge] => {
                let deposits = [amount(own)?, amount(theirs)?];
                Self::Open(peer.to_owned(), deposits, challenge.parse().ok()?)
            }
            ["pay", units] => Self::Pay(amount(units)?),
            _ => return None,
        })
    }
}

/// The owner's account and what channels are paid with.
pub(crate) struct Terms {
    /// Who is paid by the car's withdrawals.
    pub(crate) receiver: Address,
    /// What is paid with.
    pub(crate) asset: Asset,
}

impl Terms {
    /// Reads the lines `receiver  0x…` and `asset  ethereum CHAIN 0x…` of a file.
    pub(crate) fn read(file: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("{file}: no receiver, or no asset of Ethereum"))
    }

    fn parse(text: &str) -> Option<Self> {
        let words = |label: &str| {
            let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            lines.find(|words| words.first() == Some(&label))
        };
        let receiver = words("receiver")?.get(1)?.parse().ok()?;
        let [_, "ethereum", chain, holder] = words("asset")?[..] else { return None };
        let asset = Asset::ethereum(amount(chain)?, holder.parse().ok()?);
        Some(Self { receiver, asset })
    }
}

fn amount(text: &str) -> Option<Amount> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wishes_or_nothing() {
        let units = |units: u64| Amount::from(units);
        let open = Wish::Open("station".into(), [units(10), units(5)], 60);
        assert_eq!(Wish::parse("open station 10 5 60"), Some(open));
        assert_eq!(Wish::parse(" pay 7 "), Some(Wish::Pay(units(7))));
        assert_eq!(Wish::parse("allow 1 20"), Some(Wish::Allow(units(1), units(20))));
        for wrong in ["", "pay", "pay x", "pay 1 2", "open station 10 5", "charge maybe"] {
            assert_eq!(Wish::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn terms_are_read_as_the_gateway_prints_them() {
        let holder = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let text = format!("receiver  {holder}\nasset     ethereum 1337 {holder}\n");
        let terms = Terms::parse(&text).unwrap();
        assert_eq!(terms.receiver, Address::new([0xaa; 20]));
        assert_eq!(terms.asset, Asset::ethereum(1337_u64, Address::new([0xaa; 20])));
        assert!(Terms::parse("receiver  0x12").is_none());
    }
}
