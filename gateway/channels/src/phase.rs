//! The phases of a channel, as the table in `README.md` names them.
//!
//! Guarantees: one name for each. Does not: say what follows what; [`crate::step`] does.

use core::fmt;

use sluicegate_protocol::channel::exchange;

/// Where a channel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Our proposal is out.
    Proposing,
    /// The peer's proposal waits for the owner's answer.
    Offered,
    /// The signatures of version 0 are being exchanged.
    Exchanging,
    /// Version 0 is signed by both; deposits are under way.
    Funding,
    /// Every deposit is final; nothing is under way.
    Open,
    /// An update of ours is under way.
    Proposed,
    /// An update of the peer waits for our signature.
    Asked,
    /// A final state is signed by both; its conclusion is under way.
    Final,
    /// A state is registered on the ledger, or that is under way.
    Disputed,
    /// The outcome is fixed; our withdrawals are under way.
    Concluded,
    /// What was ours is withdrawn.
    Withdrawn,
    /// Ended before we deposited anything.
    Abandoned,
}

impl Phase {
    /// All, in the order of the table; a phase's place is its number in records.
    pub const ALL: [Self; 12] = [
        Self::Proposing,
        Self::Offered,
        Self::Exchanging,
        Self::Funding,
        Self::Open,
        Self::Proposed,
        Self::Asked,
        Self::Final,
        Self::Disputed,
        Self::Concluded,
        Self::Withdrawn,
        Self::Abandoned,
    ];

    /// The name in the table, in D-Bus and for the administrator.
    pub const fn name(self) -> &'static str {
        match (self, self.shown()) {
            (_, Some(shown)) => shown.name(),
            (Self::Proposing, None) => "proposing",
            (_, None) => "offered",
        }
    }

    /// How a device that signs for itself is told; none while the channel has no id.
    pub const fn shown(self) -> Option<exchange::Phase> {
        Some(match self {
            Self::Proposing | Self::Offered => return None,
            Self::Exchanging => exchange::Phase::Exchanging,
            Self::Funding => exchange::Phase::Funding,
            Self::Open => exchange::Phase::Open,
            Self::Proposed => exchange::Phase::Proposed,
            Self::Asked => exchange::Phase::Asked,
            Self::Final => exchange::Phase::Final,
            Self::Disputed => exchange::Phase::Disputed,
            Self::Concluded => exchange::Phase::Concluded,
            Self::Withdrawn => exchange::Phase::Withdrawn,
            Self::Abandoned => exchange::Phase::Abandoned,
        })
    }

    /// Whether nothing can happen any more that touches money.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Abandoned)
    }

    /// Whether updates may be signed at all.
    pub const fn is_acting(self) -> bool {
        matches!(self, Self::Open | Self::Proposed | Self::Asked)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_every_phase_that_has_an_id_and_each_as_itself() {
        let shown: Vec<_> = Phase::ALL.iter().filter_map(|phase| phase.shown()).collect();
        assert_eq!(shown, exchange::Phase::ALL);
        for (phase, shown) in Phase::ALL.iter().filter_map(|phase| Some((phase, phase.shown()?))) {
            assert_eq!(format!("{phase:?}"), format!("{shown:?}"));
            assert_eq!(format!("{phase:?}").to_lowercase(), phase.name());
            assert_eq!(shown.is_over(), phase.is_over());
        }
    }
}
