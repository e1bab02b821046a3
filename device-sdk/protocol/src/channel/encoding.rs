//! The structs of Perun's contracts that parameters, states and authorisations are hashed as.
//!
//! Guarantees: what go-perun fills in is filled in the same: 32 zero bytes where an address or a holder of another
//! backend is missing, but no bytes in an authorisation. Does not: check anything; see the `check` of each type.

use heapless::Vec;

use super::{
    Address, Allocation, Amount, Asset, ETHEREUM, MAX_ASSETS, Params, Participant, State, SubAlloc,
    WithdrawalAuth,
    abi::{Array, Bytes, Struct, Tuple, Value},
};

/// What stands where another backend has nothing to say.
const NO_CC: &[u8] = &[0; 32];

/// `(uint256 challengeDuration, uint256 nonce, Participant[], address app, bool ledgerChannel, bool virtualChannel)`
impl Struct for Params {
    fn fields(&self, then: &mut dyn FnMut(&[&dyn Value])) {
        let participants =
            self.participants.each_ref().map(|participant| participant.fields(NO_CC));
        then(&[
            &self.challenge_duration,
            &self.nonce,
            &Array(&participants),
            &self.app,
            &self.kind.is_ledger(),
            &self.kind.is_virtual(),
        ]);
    }
}

/// `(bytes32 channelID, uint64 version, Allocation, bytes appData, bool isFinal)`
impl Struct for State {
    fn fields(&self, then: &mut dyn FnMut(&[&dyn Value])) {
        let assets = self.outcome.asset_fields();
        StateFields { assets: &assets, state: self }.fields(then);
    }
}

/// `(bytes32 channelID, Participant, address receiver, uint256 amount)`
impl Struct for WithdrawalAuth {
    fn fields(&self, then: &mut dyn FnMut(&[&dyn Value])) {
        let participant = self.participant.fields(&[]);
        then(&[&self.channel, &participant, &self.receiver, &self.amount]);
    }
}

/// `(address ethAddress, bytes ccAddress)`
struct ParticipantFields<'a> {
    address: Address,
    cc: &'a [u8],
}

impl Struct for ParticipantFields<'_> {
    fn fields(&self, then: &mut dyn FnMut(&[&dyn Value])) {
        then(&[&self.address, &Bytes(self.cc)]);
    }
}

impl Participant {
    fn fields<'a>(&'a self, no_cc: &'a [u8]) -> ParticipantFields<'a> {
        let cc = self.cc.as_ref().map_or(no_cc, |cc| &cc.bytes);
        ParticipantFields { address: self.address, cc }
    }
}

/// A state with the assets as the contracts see them.
pub(super) struct StateFields<'a> {
    pub(super) assets: &'a [AssetFields<'a>],
    /// The rest; its own assets are left aside.
    pub(super) state: &'a State,
}

impl Struct for StateFields<'_> {
    fn fields(&self, then: &mut dyn FnMut(&[&dyn Value])) {
        let State { channel, version, outcome, data, is_final } = self.state;
        let backends: Vec<u32, MAX_ASSETS> =
            self.assets.iter().take(MAX_ASSETS).map(|asset| asset.backend).collect();
        let balances: Vec<Array<'_, Amount>, MAX_ASSETS> =
            outcome.balances.iter().map(|row| Array(row)).collect();
        let outcome = Tuple(&[
            &Array(self.assets),
            &Array(&backends),
            &Array(&balances),
            &Array(&outcome.locked),
        ]);
        then(&[channel, version, &outcome, &Bytes(data), is_final]);
    }
}

/// `(uint256 chainID, address ethHolder, bytes ccHolder)`, and its entry in `backends`.
pub(super) struct AssetFields<'a> {
    pub(super) backend: u32,
    pub(super) chain_id: Amount,
    pub(super) holder: Address,
    pub(super) cc_holder: &'a [u8],
}

impl Struct for AssetFields<'_> {
    fn fields(&self, then: &mut dyn FnMut(&[&dyn Value])) {
        then(&[&self.chain_id, &self.holder, &Bytes(self.cc_holder)]);
    }
}

impl Allocation {
    fn asset_fields(&self) -> Vec<AssetFields<'_>, MAX_ASSETS> {
        self.assets.iter().map(AssetFields::from).collect()
    }
}

impl<'a> From<&'a Asset> for AssetFields<'a> {
    fn from(asset: &'a Asset) -> Self {
        match asset {
            Asset::Ethereum { chain_id, holder } => {
                Self { backend: ETHEREUM, chain_id: *chain_id, holder: *holder, cc_holder: NO_CC }
            }
            Asset::Other { backend, id } => Self {
                backend: *backend,
                chain_id: u64::from(*backend).into(),
                holder: Address::ZERO,
                cc_holder: id,
            },
        }
    }
}

/// `(bytes32 ID, uint256[] balances, uint16[] indexMap)`
impl Struct for SubAlloc {
    fn fields(&self, then: &mut dyn FnMut(&[&dyn Value])) {
        then(&[&self.id, &Array(&self.balances), &Array(&self.index_map)]);
    }
}
