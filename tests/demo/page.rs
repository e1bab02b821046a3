//! The report: one self-contained page, from the template and what happened.
//!
//! Guarantees: nothing is loaded from anywhere, and the page's content security policy forbids it;
//! the verifier in it is the committed WebAssembly module of `gateway/notary`. Does not: contain a
//! secret; bundles and policy are made to be given away. Order: [`html`] fills `page/page.html`;
//! the figures come from [`crate::figures`].

use std::fmt::Write;

use base64ct::{Base64, Encoding};
use sluicegate_notary::verify::utc;

use crate::{
    figures,
    plot::thousands,
    proofs::{Case, Judged},
    record::Record,
    site::LEDGER,
    station,
    told::Step,
    watch::Final,
};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
const LOADER: &str = include_str!("../../gateway/notary/wasm/verifier.js");
const WASM: &[u8] = include_bytes!("../../gateway/notary/wasm/verifier.wasm");

/// The whole page.
pub(crate) fn html(record: &Record) -> String {
    fill(&[
        ("style", STYLE.to_owned()),
        ("count", thousands(count(record))),
        ("origin", escape(&record.status.origin)),
        ("ledger", LEDGER.to_owned()),
        ("facts", facts(record)),
        ("date", date(record.events.started_ms)),
        ("devices", figures::devices(record)),
        ("charging", station::figure::cards(&record.runs)),
        ("growth", figures::growth(record)),
        ("anchors", record.status.anchors().into_iter().map(anchor).collect()),
        ("samples", record.judged.iter().map(sample).collect()),
        ("policy", escape(&record.policy)),
        ("steps", record.steps.iter().map(step).collect()),
        ("wasm", Base64::encode_string(WASM)),
        ("bundles", record.judged.iter().map(bundle).collect()),
        ("loader", LOADER.to_owned()),
        ("script", SCRIPT.to_owned()),
    ])
}

/// The template with `{{name}}` replaced, once each; what is filled in is not looked at again.
fn fill(parts: &[(&str, String)]) -> String {
    let mut pieces = TEMPLATE.split("{{");
    let mut html = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
        let part = parts.iter().find(|(part, _)| *part == name);
        html += part.map_or("", |(_, text)| text);
        html += rest;
    }
    html
}

/// Readings that devices sent.
fn count(record: &Record) -> usize {
    record.readings.iter().filter(|reading| reading.seq.is_some()).count()
}

/// The numbers on top.
fn facts(record: &Record) -> String {
    let events = &record.events;
    let effects = record.effects.values().sum::<usize>();
    let facts = [
        (thousands(count(record)), "readings acknowledged, each in the log exactly once"),
        (events.cut.seconds(), "one device had no network; it went on measuring"),
        (events.down.seconds(), "the gateway was away, killed without warning"),
        (thousands(figures::late(record)), "measurements waited for that, none was lost"),
        (record.status.anchors().len().to_string(), "anchors, final on the ledger"),
        (thousands(effects), "effects left the gateway, each durable before"),
    ];
    facts.iter().fold(String::new(), |mut html, (number, text)| {
        let _ = writeln!(html, "    <div><dt>{text}</dt><dd>{number}</dd></div>");
        html
    })
}

fn anchor(anchor: Final<'_>) -> String {
    let Final { block, size, digest, ms } = anchor;
    let (digest, size) = (escape(digest), thousands(size));
    format!(
        "        <tr><td class=\"number\">{block}</td><td>{}</td><td class=\"number\">{size}</td>\
         <td><code class=\"digest\" title=\"{digest}\">{digest}</code></td></tr>\n",
        clock(ms)
    )
}

fn sample(judged: &Judged) -> String {
    let Case { key, file, what, .. } = judged.case;
    let (first, rest) = key.split_at(1);
    let name = first.to_uppercase() + rest;
    format!(
        "          <button type=\"button\" data-key=\"{key}\" data-file=\"{file}\" \
         aria-pressed=\"false\"><b>{name}</b><span>{what}</span></button>\n"
    )
}

fn bundle(judged: &Judged) -> String {
    let (key, text) = (judged.case.key, Base64::encode_string(&judged.bytes));
    format!("<script type=\"text/plain\" id=\"bundle-{key}\">{text}</script>\n")
}

fn step(step: &Step) -> String {
    let (seconds, text) = (step.seconds(), escape(&step.text));
    format!("    <li><time>{seconds} s</time><span>{text}</span></li>\n")
}

/// Text as content or as a quoted attribute.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// The UTC date and time, to the second.
fn date(ms: u64) -> String {
    utc(ms).replace('T', " ").chars().take(19).collect()
}

/// The UTC time of day, with milliseconds.
fn clock(ms: u64) -> String {
    utc(ms).chars().skip(11).take(12).collect()
}
