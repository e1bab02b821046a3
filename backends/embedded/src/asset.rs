//! The ledger's money as channels name it, and where channels pay it out to.
//!
//! Guarantees: the same name gives the same asset everywhere, so a device signs the bytes that it would sign for
//! Ethereum; the chain's number is one that no chain of Ethereum has. Does not: know accounts or balances.
//!
//! - The chain's number is the first 8 bytes, big endian, of
//!   `SHA-256("sluicegate/embedded-chain/v1" ‖ 0 ‖ name)` with the highest bit set: EIP-2294 keeps real ones below it.
//! - The holder is the last 20 bytes of `Keccak-256("sluicegate/embedded-holder/v1" ‖ 0 ‖ name)`.
//! - The payout address of an account is the last 20 bytes of the Keccak-256 hash of its Ed25519 key.

use sluicegate_protocol::{
    channel::{Address, Asset, abi::keccak},
    sha256,
};

const CHAIN: &[u8] = b"sluicegate/embedded-chain/v1\0";
const HOLDER: &[u8] = b"sluicegate/embedded-holder/v1\0";

/// The money of the ledger of this name.
pub fn native_asset(name: &str) -> Asset {
    let hash = sha256(&[CHAIN, name.as_bytes()]);
    let mut number = [0; 8];
    number.copy_from_slice(&hash.as_bytes()[..8]);
    let chain = u64::from_be_bytes(number) | 1 << 63;
    let holder = keccak(|sink| {
        sink.put(HOLDER);
        sink.put(name.as_bytes());
    });
    Asset::ethereum(chain, end_of(&holder))
}

/// Where channels pay the account with this Ed25519 key. It may be paid before the account is ever used.
pub fn payout_address(account: &[u8; 32]) -> Address {
    end_of(&keccak(|sink| sink.put(account)))
}

fn end_of(hash: &[u8; 32]) -> Address {
    let mut address = [0; Address::LEN];
    address.copy_from_slice(&hash[32 - Address::LEN..]);
    Address::new(address)
}

#[cfg(test)]
mod tests {
    use sluicegate_protocol::channel::Amount;

    use super::*;

    #[test]
    fn the_asset_depends_on_the_name_and_is_on_no_chain_of_ethereum() {
        let Asset::Ethereum { chain_id, holder } = native_asset("a") else { panic!("its form") };
        assert!(chain_id >= Amount::from(1u64 << 63));
        assert!(!holder.is_zero());
        assert_ne!(native_asset("a"), native_asset("b"));
        assert_ne!(payout_address(&[1; 32]), payout_address(&[2; 32]));
    }
}
