//! The committed wasm against the native verifier.
//!
//! Guarantees: a wasm that is older than the verifier fails here as soon as it says anything else, without a wasm
//! toolchain. `tests/setup/wasm.sh` rebuilds it.

use sluicegate_notary::verify::verify_to_json;
use wasmi::{Engine, Linker, Memory, Module, Store, TypedFunc};

use crate::fixture::Gateway;

const WASM: &[u8] = include_bytes!("../../gateway/notary/wasm/verifier.wasm");

/// An instance of the module.
struct Browser {
    store: Store<()>,
    memory: Memory,
    allocate: TypedFunc<u32, u32>,
    release: TypedFunc<(u32, u32), ()>,
    verify: TypedFunc<(u32, u32, u32, u32), u32>,
}

impl Browser {
    fn new() -> Self {
        let engine = Engine::default();
        let module = Module::new(&engine, WASM).unwrap();
        assert_eq!(module.imports().count(), 0, "the verifier must not reach anything");
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).unwrap();
        Self {
            memory: instance.get_memory(&store, "memory").unwrap(),
            allocate: instance.get_typed_func(&store, "allocate").unwrap(),
            release: instance.get_typed_func(&store, "release").unwrap(),
            verify: instance.get_typed_func(&store, "verify").unwrap(),
            store,
        }
    }

    fn put(&mut self, bytes: &[u8]) -> (u32, u32) {
        let length = u32::try_from(bytes.len()).unwrap();
        let place = self.allocate.call(&mut self.store, length).unwrap();
        self.memory.write(&mut self.store, place as usize, bytes).unwrap();
        (place, length)
    }

    fn verify(&mut self, file: &[u8], policy: &[u8]) -> String {
        let (file, policy) = (self.put(file), self.put(policy));
        let input = (file.0, file.1, policy.0, policy.1);
        let answer = self.verify.call(&mut self.store, input).unwrap();
        let mut length = [0; 4];
        self.memory.read(&self.store, answer as usize, &mut length).unwrap();
        let length = u32::from_le_bytes(length);
        let mut json = vec![0; length as usize];
        self.memory.read(&self.store, answer as usize + 4, &mut json).unwrap();
        for place in [file, policy, (answer, length + 4)] {
            self.release.call(&mut self.store, place).unwrap();
        }
        String::from_utf8(json).unwrap()
    }
}

#[test]
fn the_committed_wasm_says_what_the_native_verifier_says() {
    let (gateway, forger) = (Gateway::new(1), Gateway::new(50));
    let policy = gateway.policy();
    let valid = gateway.file(&[0, 1, 2, 4, 6, 7, 8, 9, 11]);
    let mut tampered = valid.clone();
    tampered[valid.len() / 2] ^= 1;
    let unanchored = gateway.bundle(gateway.parts(&[3, 13])).unwrap().to_bytes();
    let mut browser = Browser::new();
    for (file, policy, verdict) in [
        (&valid, policy.as_str(), "valid"),
        (&valid, &gateway.policy_without_witnesses(), "valid"),
        (&tampered, &policy, "invalid"),
        (&forger.file(&[1, 2]), &policy, "invalid"),
        (&unanchored, &policy, "quorum-missing"),
        (&unanchored, &gateway.policy_without_witnesses(), "not-anchored"),
        (&Vec::new(), &policy, "invalid"),
        (&valid, "quorum some\n", "error"),
    ] {
        let native = verify_to_json(file, policy.as_bytes());
        assert!(native.contains(verdict), "{native}");
        assert_eq!(browser.verify(file, policy.as_bytes()), native);
    }
}
