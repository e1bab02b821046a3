//! The outbox on a real store: order, repetition, deadlines, bounds.

use std::{path::Path, rc::Rc, thread::JoinHandle};

use super::*;
use crate::{config::Config, credentials, setup};

fn open(folder: &Path) -> (Keeper, JoinHandle<()>, Clock) {
    let config = Config::for_tests(folder);
    if !folder.join("log-key").exists() {
        credentials::create(&folder.join("log-key")).unwrap();
    }
    let clock = Clock::start();
    let (keeper, thread) = Keeper::start(setup::desk(&config, clock).unwrap()).unwrap();
    (keeper, thread, clock)
}

/// Runs a test with an outbox that writes, on what the folder holds, and closes the store.
fn with_outbox(folder: &Path, limit: usize, test: impl AsyncFnOnce(Rc<Outbox>, Clock)) {
    let (keeper, thread, clock) = open(folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let outbox = Rc::new(Outbox::load(keeper.clone(), clock, limit).await.unwrap());
        let writer = Rc::clone(&outbox);
        let writing = tokio::task::spawn_local(async move { writer.write().await });
        test(outbox, clock).await;
        writing.abort();
    });
    keeper.stop();
    thread.join().unwrap();
}

fn answer(text: &str) -> Publication {
    Publication { topic: "a".to_owned(), payload: text.as_bytes().to_vec(), until_ms: None }
}

fn order(text: &str, until_ms: u64) -> Publication {
    Publication { until_ms: Some(until_ms), ..answer(text) }
}

/// What would be published now, as text with the ids.
fn handed(outbox: &Outbox) -> Vec<(u64, String)> {
    let next = std::iter::from_fn(|| outbox.next());
    next.map(|next| (next.id, String::from_utf8(next.publication.payload).unwrap())).collect()
}

fn texts(outbox: &Outbox) -> Vec<String> {
    handed(outbox).into_iter().map(|(_, text)| text).collect()
}

/// Waits until the database holds so many rows.
async fn stored(outbox: &Outbox, rows: usize) {
    for _ in 0..1_000 {
        let found = outbox.keeper.call(|desk, _| desk.recorder.store().publications()).await;
        if found.unwrap().unwrap().len() == rows {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("there are never {rows} rows");
}

#[test]
fn what_was_put_goes_out_in_order_again_and_again_until_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    with_outbox(folder.path(), 10, async |outbox, _| {
        for text in ["1", "2", "3"] {
            assert!(outbox.put(answer(text)).await);
        }
        let first = handed(&outbox);
        assert_eq!(texts(&outbox), [""; 0], "handed out once for each connection");
        outbox.restart();
        assert_eq!(handed(&outbox), first);
        outbox.acknowledged(first[1].0);
        outbox.acknowledged(first[1].0);
        stored(&outbox, 2).await;
    });
    with_outbox(folder.path(), 10, async |outbox, _| {
        assert_eq!(texts(&outbox), ["1", "3"], "after a restart");
        outbox.put(answer("4")).await;
        assert_eq!(texts(&outbox), ["4"]);
    });
}

#[test]
fn many_at_once_share_a_write_and_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    with_outbox(folder.path(), 1_000, async |outbox, _| {
        let put = |number: u32| {
            let outbox = Rc::clone(&outbox);
            tokio::task::spawn_local(async move { outbox.put(answer(&number.to_string())).await })
        };
        let puts: Vec<_> = (0..500).map(put).collect();
        for put in puts {
            assert!(put.await.unwrap());
        }
        let wanted: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        assert_eq!(texts(&outbox), wanted);
    });
}

#[test]
fn a_command_waits_once_and_not_beyond_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    with_outbox(folder.path(), 10, async |outbox, clock| {
        let now_ms = clock.now().wall.ms;
        outbox.put(order("late", now_ms)).await;
        for _ in 0..3 {
            outbox.put(order("open", now_ms + 60_000)).await;
        }
        let next = outbox.next().unwrap();
        assert_eq!(next.publication.payload, b"open");
        assert!((50..=60).contains(&next.expiry_s.unwrap()), "{:?}", next.expiry_s);
        assert!(outbox.next().is_none());
        stored(&outbox, 1).await;
    });
}

#[test]
fn a_full_outbox_drops_the_oldest_answers_and_no_command() {
    let folder = tempfile::tempdir().unwrap();
    with_outbox(folder.path(), 3, async |outbox, clock| {
        outbox.put(order("open", clock.now().wall.ms + 60_000)).await;
        for text in ["1", "2", "3", "4"] {
            outbox.put(answer(text)).await;
        }
        assert_eq!(texts(&outbox), ["open", "3", "4"]);
        assert_eq!(outbox.told(), (3, 2));
        stored(&outbox, 3).await;
    });
}
