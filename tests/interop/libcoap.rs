//! libcoap's clients (Debian's `libcoap3-bin`).

use std::fs;

use crate::site::{KEY, Site};

const PACK: &str = r#"[{"n":"power","u":"W","v":230.5}]"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_reading_over_dtls_gets_its_index_and_a_repeat_the_same() {
    let site = Site::start();
    let post = ["-m", "post", "-t", "110", "-e", PACK, "-u", "meter-1", "-k", KEY];
    let first = site.libcoap("coap-client-openssl", &post, "/readings?seq=7");
    let index = text(&first.stdout).trim().to_owned();
    assert!(index.parse::<u64>().is_ok(), "{first:?}");
    let again = site.libcoap("coap-client-openssl", &post, "/readings?seq=7");
    assert_eq!(text(&again.stdout).trim(), index);
    let twin = site.place.done(&["device", "show", "--config", "sluicegate.toml", "meter-1"]);
    assert!(twin.contains("power = 230.5 W") && twin.contains("over CoAP"), "{twin}");
}

#[test]
fn over_dtls_a_device_discovers() {
    let site = Site::start();
    let get = ["-m", "get", "-u", "meter-1", "-k", KEY];
    let core = site.libcoap("coap-client-openssl", &get, "/.well-known/core");
    for resource in ["</readings>", "</rd>", "</rd-lookup/res>"] {
        assert!(text(&core.stdout).contains(resource), "{core:?}");
    }
}

#[test]
fn a_wrong_key_and_an_unknown_device_get_nowhere() {
    let site = Site::start();
    let before = site.place.status()["size"].clone();
    for (user, key) in [("meter-1", "another-16-bytes"), ("meter-9", KEY)] {
        let post = ["-m", "post", "-t", "110", "-e", PACK, "-u", user, "-k", key, "-B", "3"];
        let refused = site.libcoap("coap-client-openssl", &post, "/readings?seq=1");
        assert!(text(&refused.stdout).contains("handshake failure"), "{refused:?}");
    }
    let post = ["-m", "post", "-t", "110", "-e", PACK];
    for path in ["/readings?seq=1", "/readings?seq=1&ep=meter-1", "/readings?ep=nobody"] {
        let refused = site.libcoap("coap-client-notls", &post, path);
        assert!(text(&refused.stderr).contains("4.01"), "{path}: {refused:?}");
    }
    assert_eq!(site.place.status()["size"], before);
}

#[test]
fn without_tls_a_laboratory_device_posts_and_everybody_discovers() {
    let site = Site::start();
    let core = site.libcoap("coap-client-notls", &[], "/.well-known/core");
    for resource in ["</readings>", "</rd>", "</rd-lookup/res>"] {
        assert!(text(&core.stdout).contains(resource), "{core:?}");
    }
    let post = ["-m", "post", "-t", "110", "-e", PACK];
    let logged = site.libcoap("coap-client-notls", &post, "/readings?seq=1&ep=lab-1");
    assert!(text(&logged.stdout).trim().parse::<u64>().is_ok(), "{logged:?}");
    let status = site.place.status();
    assert!(status["field"].to_string().contains("NO SECURITY"), "{status}");
}

#[test]
fn what_is_wrong_is_named_and_reaches_nothing() {
    let site = Site::start();
    let before = site.place.status()["size"].clone();
    let huge = format!("[{{\"n\":\"x\",\"vs\":\"{}\"}}]", "a".repeat(140_000));
    for (format, payload, code, named) in [
        ("0", PACK, "4.15", "110 nor 112"),
        ("110", r#"[{"n":"power","v":1},{"n":"power"}]"#, "4.00", "record 1"),
        ("110", "{}", "4.00", ""),
        ("112", "\u{1}", "4.00", ""),
        ("110", huge.as_str(), "4.13", ""),
    ] {
        // From a file: an argument of a program is not so long.
        let file = site.place.path("payload");
        fs::write(&file, payload).unwrap();
        let file = file.to_str().unwrap();
        let post = ["-m", "post", "-t", format, "-f", file, "-u", "meter-1", "-k", KEY];
        let refused = site.libcoap("coap-client-openssl", &post, "/readings?seq=1");
        let said = text(&refused.stderr);
        assert!(said.contains(code) && said.contains(named), "{code}: {refused:?}");
    }
    assert_eq!(site.place.status()["size"], before);
}
