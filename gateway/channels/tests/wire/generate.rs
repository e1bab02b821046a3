//! Every value of the data model, at random.

use proptest::{array, collection, option, prelude::*};
use sluicegate_channels::wire::{
    AUX, AddressMap, BaseProposal, ChannelSync, ChannelUpdate, Envelope, LedgerChannelProposal,
    Message, RsaPublicKey, SignedState, SubChannelProposal, Transaction,
    VirtualChannelFundingProposal, VirtualChannelProposal, VirtualChannelSettlementProposal,
    WireAddress,
};
use sluicegate_protocol::channel::{
    Address, Allocation, Amount, Asset, ChannelId, ChannelKind, MAX_ASSETS, Nonce, Params,
    Participant, Signature, State, SubAlloc,
};

/// The kinds of messages.
pub(crate) const KINDS: u8 = 17;

pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    (0..KINDS).prop_flat_map(envelope_of)
}

pub(crate) fn envelope_of(kind: u8) -> impl Strategy<Value = Envelope> {
    (address_map(), address_map(), message(kind))
        .prop_map(|(sender, recipient, message)| Envelope { sender, recipient, message })
}

fn message(kind: u8) -> BoxedStrategy<Message> {
    match kind {
        0 => any::<i64>().prop_map(|created| Message::Ping { created }).boxed(),
        1 => any::<i64>().prop_map(|created| Message::Pong { created }).boxed(),
        2 => text().prop_map(|reason| Message::Shutdown { reason }).boxed(),
        3 => auth().boxed(),
        4 => ledger_proposal().prop_map(Box::new).prop_map(Message::LedgerChannelProposal).boxed(),
        5 => ledger_acceptance().boxed(),
        6 => sub_proposal().prop_map(Box::new).prop_map(Message::SubChannelProposal).boxed(),
        7 => sub_acceptance().boxed(),
        8 => {
            virtual_proposal().prop_map(Box::new).prop_map(Message::VirtualChannelProposal).boxed()
        }
        9 => virtual_acceptance().boxed(),
        10 => proposal_rejection().boxed(),
        11 => update().prop_map(Box::new).prop_map(Message::ChannelUpdate).boxed(),
        12 => virtual_funding().boxed(),
        13 => virtual_settlement().boxed(),
        14 => update_acceptance().boxed(),
        15 => update_rejection().boxed(),
        _ => sync().prop_map(Box::new).prop_map(Message::ChannelSync).boxed(),
    }
}

fn auth() -> impl Strategy<Value = Message> {
    collection::vec(any::<u8>(), 0..1025).prop_map(|signature| Message::AuthResponse { signature })
}

fn peers() -> impl Strategy<Value = [AddressMap; 2]> {
    array::uniform2(address_map())
}

fn ledger_proposal() -> impl Strategy<Value = LedgerChannelProposal> {
    (base(), participant(), peers()).prop_map(|(base, participant, peers)| LedgerChannelProposal {
        base,
        participant,
        peers,
    })
}

fn ledger_acceptance() -> impl Strategy<Value = Message> {
    (any::<[[u8; 32]; 2]>(), participant()).prop_map(|([proposal, nonce_share], participant)| {
        let participant = participant.into();
        Message::LedgerChannelProposalAcc { proposal, nonce_share, participant }
    })
}

fn sub_proposal() -> impl Strategy<Value = SubChannelProposal> {
    (base(), channel()).prop_map(|(base, parent)| SubChannelProposal { base, parent })
}

fn sub_acceptance() -> impl Strategy<Value = Message> {
    any::<[[u8; 32]; 2]>().prop_map(|[proposal, nonce_share]| Message::SubChannelProposalAcc {
        proposal,
        nonce_share,
    })
}

fn virtual_proposal() -> impl Strategy<Value = VirtualChannelProposal> {
    let funding = (array::uniform2(channel()), any::<[[u16; 2]; 2]>());
    (base(), participant(), peers(), funding).prop_map(
        |(base, proposer, peers, (parents, index_maps))| VirtualChannelProposal {
            base,
            proposer,
            peers,
            parents,
            index_maps,
        },
    )
}

fn virtual_acceptance() -> impl Strategy<Value = Message> {
    (any::<[[u8; 32]; 2]>(), participant()).prop_map(|([proposal, nonce_share], responder)| {
        let responder = responder.into();
        Message::VirtualChannelProposalAcc { proposal, nonce_share, responder }
    })
}

fn proposal_rejection() -> impl Strategy<Value = Message> {
    (any::<[u8; 32]>(), text())
        .prop_map(|(proposal, reason)| Message::ChannelProposalRej { proposal, reason })
}

fn virtual_funding() -> impl Strategy<Value = Message> {
    (update(), signed_state(), any::<[u16; 2]>()).prop_map(|(update, initial, index_map)| {
        let proposal = VirtualChannelFundingProposal { update, initial, index_map };
        Message::VirtualChannelFundingProposal(proposal.into())
    })
}

fn virtual_settlement() -> impl Strategy<Value = Message> {
    (update(), signed_state()).prop_map(|(update, last)| {
        let proposal = VirtualChannelSettlementProposal { update, last };
        Message::VirtualChannelSettlementProposal(proposal.into())
    })
}

fn update_acceptance() -> impl Strategy<Value = Message> {
    (channel(), any::<u64>(), signature()).prop_map(|(channel, version, signature)| {
        Message::ChannelUpdateAcc { channel, version, signature }
    })
}

fn update_rejection() -> impl Strategy<Value = Message> {
    (channel(), any::<u64>(), text()).prop_map(|(channel, version, reason)| {
        Message::ChannelUpdateRej { channel, version, reason }
    })
}

fn sync() -> impl Strategy<Value = ChannelSync> {
    (any::<u8>(), transaction()).prop_map(|(phase, current)| ChannelSync { phase, current })
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn address_map() -> impl Strategy<Value = AddressMap> {
    let entries = collection::btree_map(0..8_u32, wire_address(), 1..4);
    entries.prop_map(|entries| AddressMap::new(entries.into_iter().collect()).unwrap())
}

fn wire_address() -> impl Strategy<Value = WireAddress> {
    ("[a-z.]{0,20}", option::weighted(0.2, key()))
        .prop_map(|(name, key)| WireAddress::new(&name, key).unwrap())
}

fn key() -> impl Strategy<Value = RsaPublicKey> {
    (1..=u8::MAX, collection::vec(any::<u8>(), 255), 1..i32::MAX as u32).prop_map(
        |(first, rest, exponent)| {
            let modulus = [&[first], rest.as_slice()].concat();
            RsaPublicKey::new(&modulus, exponent).unwrap()
        },
    )
}

fn base() -> impl Strategy<Value = BaseProposal> {
    (
        (any::<[u8; 32]>(), any::<u64>(), any::<[u8; 32]>()),
        (app(), data(), allocation()),
        (collection::vec(array::uniform2(amount()), 0..=MAX_ASSETS), aux()),
    )
        .prop_map(
            |((id, challenge_duration, nonce_share), (app, data, outcome), (funding, aux))| {
                let funding = funding.into_iter().collect();
                let data = heapless::Vec::from_slice(&data).unwrap();
                BaseProposal {
                    id,
                    challenge_duration,
                    nonce_share,
                    app,
                    data,
                    outcome,
                    funding,
                    aux,
                }
            },
        )
}

fn aux() -> impl Strategy<Value = Box<[u8; AUX]>> {
    any::<u64>().prop_map(|seed| {
        let mut aux = [0; AUX];
        aux[..8].copy_from_slice(&seed.to_be_bytes());
        aux.into()
    })
}

fn participant() -> impl Strategy<Value = Participant> {
    let cc = (2..9_u32, collection::vec(any::<u8>(), 1..=128));
    (address(), option::of(cc)).prop_map(|(address, cc)| match cc {
        Some((backend, bytes)) => Participant::with_cc(address, backend, &bytes).unwrap(),
        None => Participant::new(address),
    })
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::new)
}

fn app() -> impl Strategy<Value = Address> {
    prop_oneof![Just(Address::ZERO), address()]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), collection::vec(any::<u8>(), 0..=256)]
}

fn channel() -> impl Strategy<Value = ChannelId> {
    any::<[u8; 32]>().prop_map(ChannelId::new)
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        Just(Amount::ZERO),
        any::<u64>().prop_map(Amount::from),
        any::<[u8; 32]>().prop_map(Amount::from_be_bytes),
    ]
}

fn asset() -> impl Strategy<Value = Asset> {
    let other = (prop_oneof![Just(0_u32), 2..9_u32], collection::vec(any::<u8>(), 1..=128));
    prop_oneof![
        (amount(), address()).prop_map(|(chain, holder)| Asset::ethereum(chain, holder)),
        other.prop_map(|(backend, id)| Asset::other(backend, &id).unwrap()),
    ]
}

fn allocation() -> impl Strategy<Value = Allocation> {
    let rows = collection::vec((asset(), array::uniform2(amount())), 1..=MAX_ASSETS);
    (rows, collection::vec(locked(), 0..3)).prop_map(|(rows, locked)| {
        let (assets, balances): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Allocation {
            assets: assets.into_iter().collect(),
            balances: balances.into_iter().collect(),
            locked: locked.into_iter().collect(),
        }
    })
}

fn locked() -> impl Strategy<Value = SubAlloc> {
    let balances = collection::vec(amount(), 0..=MAX_ASSETS);
    (channel(), balances, any::<[u16; 2]>()).prop_map(|(id, balances, index_map)| SubAlloc {
        id,
        balances: balances.into_iter().collect(),
        index_map,
    })
}

fn state() -> impl Strategy<Value = State> {
    (channel(), any::<u64>(), allocation(), data(), any::<bool>()).prop_map(
        |(channel, version, outcome, data, is_final)| {
            let data = heapless::Vec::from_slice(&data).unwrap();
            State { channel, version, outcome, data, is_final }
        },
    )
}

/// Numbers that a signature may have, without a key: small ones.
fn signature() -> impl Strategy<Value = Signature> {
    (1..u128::MAX, 1..u128::MAX, 27..29_u8).prop_map(|(r, s, last)| {
        let mut bytes = [0; Signature::LEN];
        bytes[16..32].copy_from_slice(&r.to_be_bytes());
        bytes[48..64].copy_from_slice(&s.to_be_bytes());
        bytes[64] = last;
        Signature::from_bytes(&bytes).unwrap()
    })
}

fn signatures() -> impl Strategy<Value = [Option<Signature>; 2]> {
    array::uniform2(option::of(signature()))
}

fn update() -> impl Strategy<Value = ChannelUpdate> {
    (app(), state(), any::<u16>(), signature())
        .prop_map(|(app, state, actor, signature)| ChannelUpdate { app, state, actor, signature })
}

fn transaction() -> impl Strategy<Value = Transaction> {
    (app(), state(), signatures()).prop_map(|(app, state, signatures)| Transaction {
        app,
        state,
        signatures,
    })
}

fn params() -> impl Strategy<Value = Params> {
    let kind =
        prop_oneof![Just(ChannelKind::Ledger), Just(ChannelKind::Sub), Just(ChannelKind::Virtual)];
    (any::<u64>(), amount(), array::uniform2(participant()), app(), kind).prop_map(
        |(challenge_duration, nonce, participants, app, kind)| {
            let nonce = Nonce::new(nonce.to_be_bytes());
            Params { challenge_duration, nonce, participants, app, kind }
        },
    )
}

fn signed_state() -> impl Strategy<Value = SignedState> {
    (params(), aux(), state(), signatures())
        .prop_map(|(params, aux, state, signatures)| SignedState { params, aux, state, signatures })
}
