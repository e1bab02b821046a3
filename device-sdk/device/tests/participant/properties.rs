//! Any requests in any order: money is kept, one version is one state, and no bytes harm.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Ask { version: u64, own: u64, why: usize },
    Pay(u64),
    Allow(u64, u64),
    Reboot,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..12_u64, 0..=150_u64, 0..5_usize)
            .prop_map(|(version, own, why)| Act::Ask { version, own, why }),
        2 => (1..40_u64).prop_map(Act::Pay),
        1 => (1..20_u64, 1..60_u64).prop_map(|(step, total)| Act::Allow(step, total)),
        1 => Just(Act::Reboot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_asked_in_any_order(acts in vec(any_act(), 1..40)) {
        let mut bench = Bench::open();
        let mut signed = HashMap::from([(0, opening().state)]);
        let (mut newest, mut agreed) = (opening().state, 0);
        for act in acts {
            match act {
                Act::Pay(amount) => {
                    if bench.device.pay(&params().id(), 0, amount.into()).is_ok() {
                        agreed += amount;
                    }
                }
                Act::Allow(step, total) => {
                    bench.allow(step, total);
                    agreed += total;
                }
                Act::Reboot => bench = bench.reboot(),
                Act::Ask { version, own, why } => {
                    let whys = [Why::Open, Why::Pay, Why::Receive, Why::Final, Why::Lock];
                    let request = request(whys[why], state(version, own));
                    let Ok(_) = bench.outcome(&request) else { continue };
                    let state = request.state;
                    prop_assert!(state.version >= newest.version);
                    prop_assert!(state == newest || !newest.is_final);
                    let known = signed.entry(state.version).or_insert_with(|| state.clone());
                    prop_assert_eq!(&*known, &state);
                    newest = state;
                }
            }
            prop_assert!(bench.spent() <= limit().spending);
            prop_assert!(bench.spent() <= agreed.into());
        }
    }

    #[test]
    fn no_record_harms(slot: usize, bytes in vec(any::<u8>(), 0..900)) {
        let mut device: Participant<2> = Participant::new(key(0x11), policy());
        prop_assert!(device.restore(slot, &bytes).is_err());
    }
}
