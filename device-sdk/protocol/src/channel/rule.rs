//! The rules of Perun's channels, one variant each; [`crate::Error::Channel`] carries the one that was broken.
//!
//! The blame lies with whoever made the value: the peer that proposes it, or the administrator who typed it.

/// The rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// A text that is no address.
    #[error("an address is 0x and 40 hexadecimal digits")]
    AddressForm,
    /// An address in mixed case whose checksum (EIP-55) is wrong.
    #[error("the checksum of the address is wrong")]
    AddressChecksum,
    /// A text that is no amount.
    #[error("an amount is a decimal number without sign or leading zero")]
    AmountForm,
    /// An amount, or a sum of amounts of one asset, that does not fit.
    #[error("an amount or a sum is too large")]
    AmountTooLarge,
    /// More of something than a channel holds here.
    #[error("more {what} than the {limit} that fit")]
    Capacity {
        /// What there is too much of.
        what: &'static str,
        /// How many fit.
        limit: usize,
    },

    /// A challenge duration of zero.
    #[error("the challenge duration is zero")]
    NoChallengeDuration,
    /// Both participants have one address, so their deposits fall together.
    #[error("both participants have the same address")]
    SameParticipants,
    /// The zero address as a participant, for whom nobody can sign.
    #[error("a participant has the zero address")]
    NoParticipant,
    /// A virtual channel with an app, which no ledger registers.
    #[error("a virtual channel has an app")]
    VirtualApp,

    /// An allocation of no asset.
    #[error("there is no asset")]
    NoAsset,
    /// An asset twice, which no ledger settles.
    #[error("an asset stands there twice")]
    SameAsset,
    /// Another backend's asset that calls itself one of Ethereum, or has no bytes.
    #[error("the asset of another backend is malformed")]
    AssetForm,
    /// Other numbers of rows of balances than of assets.
    #[error("{balances} rows of balances for {assets} assets")]
    BalanceRows {
        /// Rows of balances.
        balances: usize,
        /// Assets.
        assets: usize,
    },
    /// Locked funds with another number of balances than there are assets.
    #[error("locked funds have {balances} balances for {assets} assets")]
    LockedBalances {
        /// Balances of the locked funds.
        balances: usize,
        /// Assets.
        assets: usize,
    },
    /// A channel that is funded twice out of one.
    #[error("a channel stands twice among the locked funds")]
    SameLocked,
    /// An index map that is too long or names a participant that does not exist.
    #[error("an index map is not one of this channel's participants")]
    IndexMap,

    /// A state of other parameters.
    #[error("the state is one of another channel")]
    OtherChannel,
    /// App data in a channel without an app.
    #[error("there is data without an app")]
    DataWithoutApp,
    /// Locked funds in a virtual channel, which no ledger registers.
    #[error("a virtual channel has locked funds")]
    VirtualLocked,

    /// A state behind a final one.
    #[error("the state before is final")]
    AfterFinal,
    /// A version that is not greater.
    #[error("the version does not rise")]
    VersionNotGreater,
    /// A version that is greater by more than one, where that is not agreed.
    #[error("the version rises by more than one")]
    VersionGap,
    /// Other assets, another order or other backends.
    #[error("the assets changed")]
    AssetsChanged,
    /// More or less money of an asset than before, locked funds included.
    #[error("the sum of asset {asset} changed")]
    SumChanged {
        /// The asset's place.
        asset: usize,
    },
    /// Other locked funds or another index map.
    #[error("the locked funds changed")]
    LockedChanged,

    /// Bytes that are no secret key of secp256k1.
    #[error("not a secret key")]
    SecretKey,
    /// A hash that the key gives no signature of; there is no such hash in practice.
    #[error("the key can't sign this hash")]
    NotSignable,
    /// A last byte of a signature other than 27 and 28.
    #[error("the recovery byte of a signature is not 27 or 28")]
    RecoveryByte,
    /// The larger of the two signatures that everybody can make of one.
    #[error("the signature is not the one with the low s")]
    HighS,
    /// A signature of no key.
    #[error("the signature is nobody's")]
    NoSigner,
    /// A signature of another key.
    #[error("the signature is another's")]
    OtherSigner,
}
