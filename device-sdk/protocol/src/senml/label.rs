//! The labels of RFC 8428 (§4.3, §5, §6): the one table of names and integers.

use super::text::Text;

/// A field that RFC 8428 defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    BaseName,
    BaseSum,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseVersion,
    BoolValue,
    DataValue,
    Name,
    Sum,
    TextValue,
    Time,
    Unit,
    UpdateTime,
    Value,
}

impl Label {
    /// Every label, in the order in which JSON is written: base fields first, as in the RFC.
    pub(super) const JSON: [Self; 15] = [
        Self::BaseName,
        Self::BaseTime,
        Self::BaseUnit,
        Self::BaseValue,
        Self::BaseSum,
        Self::BaseVersion,
        Self::Name,
        Self::Unit,
        Self::Time,
        Self::Value,
        Self::TextValue,
        Self::BoolValue,
        Self::DataValue,
        Self::Sum,
        Self::UpdateTime,
    ];

    /// Every label, in the order of its CBOR encoding (RFC 8949 §4.2.1).
    pub(super) const CBOR: [Self; 15] = [
        Self::Name,
        Self::Unit,
        Self::Value,
        Self::TextValue,
        Self::BoolValue,
        Self::Sum,
        Self::Time,
        Self::UpdateTime,
        Self::DataValue,
        Self::BaseVersion,
        Self::BaseName,
        Self::BaseTime,
        Self::BaseUnit,
        Self::BaseValue,
        Self::BaseSum,
    ];

    /// The label in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::BaseName => "bn",
            Self::BaseSum => "bs",
            Self::BaseTime => "bt",
            Self::BaseUnit => "bu",
            Self::BaseValue => "bv",
            Self::BaseVersion => "bver",
            Self::BoolValue => "vb",
            Self::DataValue => "vd",
            Self::Name => "n",
            Self::Sum => "s",
            Self::TextValue => "vs",
            Self::Time => "t",
            Self::Unit => "u",
            Self::UpdateTime => "ut",
            Self::Value => "v",
        }
    }

    /// The label in CBOR.
    pub(super) const fn number(self) -> i8 {
        match self {
            Self::BaseName => -2,
            Self::BaseSum => -6,
            Self::BaseTime => -3,
            Self::BaseUnit => -4,
            Self::BaseValue => -5,
            Self::BaseVersion => -1,
            Self::BoolValue => 4,
            Self::DataValue => 8,
            Self::Name => 0,
            Self::Sum => 5,
            Self::TextValue => 3,
            Self::Time => 6,
            Self::Unit => 1,
            Self::UpdateTime => 7,
            Self::Value => 2,
        }
    }

    /// Whether it stays in force for the records that follow.
    pub(super) fn is_base(self) -> bool {
        self.name().starts_with('b')
    }

    pub(super) fn from_name(name: Text<'_>) -> Option<Self> {
        Self::JSON.into_iter().find(|label| name == label.name())
    }

    pub(super) fn from_number(number: i128) -> Option<Self> {
        Self::JSON.into_iter().find(|label| i128::from(label.number()) == number)
    }
}

/// The key of a field, as it was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// One of RFC 8428.
    Known(Label),
    /// An integer that RFC 8428 does not define.
    Number(i128),
    /// A text that RFC 8428 does not define.
    Text(Text<'a>),
}

impl Key<'_> {
    /// Whether it stays in force for the records that follow, by its form (RFC 8428 §12.2).
    pub(super) fn is_base(&self) -> bool {
        match self {
            Self::Known(label) => label.is_base(),
            Self::Number(number) => *number < 0,
            Self::Text(text) => text.chars().next() == Some('b'),
        }
    }
}
