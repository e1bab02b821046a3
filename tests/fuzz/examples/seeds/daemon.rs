//! Seeds for `sluicegate-daemon`: a tail, a configuration, lines of its socket, topics, rows of a feed.

use sluicegate_daemon::files;

use crate::Seed;

const CONFIGURATION: &str = r#"state = "state"
credentials = "credentials"
socket = "gateway.sock"

[log]
origin = "example.com/gw/1"
key_credential = "log-key"
commit_delay = "20ms"

[ledger]
name = "ledger.example.com"
key_credential = "ledger-key"
account_credential = "account-key"

[anchor]
interval = "10m"
max_fee = 10

[retention.billing]
keep_days = 365

[[device]]
name = "meter-1"
class = "billing"
"#;

const ROWS: &str = "time,device,seq,name,unit,value
2026-11-20T10:00:00.250Z,meter-1,7,power,W,230.10
1795168800,meter-2,8,name,,-1e-7
";

const LINES: [(&str, &str); 5] = [
    (
        "reading",
        r#"{"reading":{"device":"m","seq":7,"format":110,"payload":"[{\"n\":\"p\",\"v\":1}]"}}"#,
    ),
    ("reading-without-seq", r#"{"reading":{"device":"m","seq":null,"format":110,"payload":"[]"}}"#),
    ("prove-seq", r#"{"prove":{"device":"m","which":{"seq":7},"form":"sgp"}}"#),
    (
        "prove-range",
        r#"{"prove":{"device":"m","which":{"range":[0,9]},"form":"tlog-proof","log":2}}"#,
    ),
    ("status", r#""status""#),
];

/// A topic, a line feed, a payload.
const TOPICS: [(&str, &str); 5] = [
    ("reading", "sluicegate/meter-1/readings/7\n"),
    ("unnumbered", "sluicegate/meter-1/readings"),
    ("result", "sluicegate/valve-1/act/3/valve/result\n{\"id\":1,\"ok\":true,\"value\":\"open\"}"),
    (
        "refusal",
        "sluicegate/valve-1/act/valve/result\n{\"id\":1,\"ok\":false,\"reason\":\"stuck\"}",
    ),
    ("state", "sluicegate/valve-1/state/valve\nopen"),
];

pub(crate) fn seeds() -> Vec<Seed> {
    let lines = LINES.map(|(name, line)| ("socket_line", name, line.as_bytes().to_vec()));
    let text = |target, text: &str| (target, "whole", text.as_bytes().to_vec());
    let mut seeds = vec![text("configuration", CONFIGURATION), text("feed_rows", ROWS)];
    seeds.extend(lines);
    seeds.extend(TOPICS.map(|(name, text)| ("mqtt_topic", name, text.as_bytes().to_vec())));
    seeds.extend([tail("whole", 256, 0), tail("torn", 0, 3), tail("last", u64::MAX - 1, 0)]);
    seeds
}

/// A tail of two entries from an index on, without its last bytes.
fn tail(name: &'static str, first: u64, torn: usize) -> Seed {
    let entries = [b"an entry".to_vec(), b"another one".to_vec()];
    let records = files::records(first, &entries).expect("short entries");
    let seed = [&first.to_be_bytes()[..], &records[..records.len() - torn]].concat();
    ("log_tail", name, seed)
}
