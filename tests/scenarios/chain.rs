//! What the ledger holds, asked over its socket as any of its clients may.

use std::collections::BTreeMap;

use sluicegate_embedded::client::{Client, Remotely};
use sluicegate_ledger::{Cursor, EventKind, Finality, Ledger};

use crate::place::Place;

/// How often each digest was anchored finally, by account.
pub fn anchors(place: &Place) -> BTreeMap<Vec<u8>, BTreeMap<String, u32>> {
    let remotely = Remotely {
        socket: place.path("ledger.sock"),
        name: "ledger.scenario.example".to_owned(),
        verifier: None,
        limit: std::time::Duration::from_secs(10),
    };
    let client = Client::new(remotely, &[7; 32]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(read(&client))
}

async fn read(client: &Client) -> BTreeMap<Vec<u8>, BTreeMap<String, u32>> {
    let (mut found, mut cursor) = (BTreeMap::new(), Cursor::default());
    loop {
        let page = client.events(&cursor).await.unwrap();
        if page.events.is_empty() {
            return found;
        }
        for event in page.events.iter().filter(|event| event.finality == Finality::Final) {
            let EventKind::Anchored { digest, account } = &event.kind else { continue };
            let of: &mut BTreeMap<_, _> = found.entry(account.0.clone()).or_default();
            *of.entry(digest.to_string()).or_default() += 1;
        }
        cursor = page.next;
    }
}
