//! Targets for the channels of `sluicegate-protocol`.

use sluicegate_protocol::channel::{
    Params, State,
    abi::{self, Counter, Tuple, Value},
};

/// A state, or else parameters: what is read is written the same, can be settled, and is hashed as
/// many bytes as its encoding announces.
pub fn channel_state(data: &[u8]) -> bool {
    if let Ok(state) = State::decode(data) {
        assert_eq!(state.encode(&mut [0; State::MAX_ENCODED]), Ok(data));
        assert!(state.outcome.check().is_ok() && Params::decode(data).is_err());
        check_size(&state);
        return true;
    }
    let Ok(params) = Params::decode(data) else { return false };
    assert_eq!(params.encode(&mut [0; Params::MAX_ENCODED]), Ok(data));
    assert!(params.check().is_ok());
    check_size(&params);
    true
}

fn check_size(value: &dyn Value) {
    let mut counter = Counter::default();
    abi::encode(value, &mut counter);
    assert_eq!(counter.0, Tuple(&[value]).size());
}
