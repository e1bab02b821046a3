//! Tests of the directory, with the exchanges of RFC 9176.

use super::*;

const BASE: &str = "coap://[2001:db8::5]:5683";
const LINKS_OF_NODE: &str = "</sensors/temp>;ct=41;rt=\"temperature-c light\";if=\"sensor\",\
                             </sensors/light>;rt=\"light-lux\"";

fn caller(name: Option<&str>) -> Caller<'_> {
    Caller { name, base: BASE }
}

fn request(method: Method, path: &str, query: &[&str]) -> Request {
    query.iter().fold(Request::new(method, path), |request, parameter| request.query(parameter))
}

struct Site(Directory);

impl Site {
    fn new() -> Self {
        Self(Directory::new(Limits { least_lifetime: 1, ..Limits::default() }))
    }

    fn handle(&mut self, now: u64, request: &Request, name: Option<&str>) -> Response {
        match self.0.handle(now, request, caller(name)).unwrap() {
            Answer::Respond(response) | Answer::Fetch(response, _) => response,
        }
    }

    fn register(&mut self, query: &[&str], name: Option<&str>) -> Response {
        let request = request(Method::Post, "rd", query);
        self.handle(0, &request.payload(format::LINK_FORMAT, LINKS_OF_NODE), name)
    }

    fn look_up(&mut self, path: &str, query: &[&str]) -> String {
        let response = self.handle(0, &request(Method::Get, path, query), None);
        assert_eq!((response.code, response.content_format()), (Code::CONTENT, Some(40)));
        String::from_utf8(response.payload).unwrap()
    }
}

/// RFC 9176 figure 6: registration; figure 12: look-up of a type.
#[test]
fn a_registered_resource_is_found_by_its_type() {
    let mut site = Site::new();
    let response = site.register(&["ep=node1"], None);
    assert_eq!(response.code, Code::CREATED);
    assert_eq!(response.location().collect::<Vec<_>>(), ["rd", "1"]);
    let found = site.look_up("rd-lookup/res", &["rt=light-lux"]);
    assert_eq!(found, format!("<{BASE}/sensors/light>;rt=\"light-lux\""));
    let found = site.look_up("rd-lookup/res", &["rt=temp*", "if=sensor", "ep=node1"]);
    assert!(found.starts_with(&format!("<{BASE}/sensors/temp>;ct=41")));
    assert_eq!(site.look_up("rd-lookup/res", &["rt=light"]).matches('<').count(), 1);
    assert_eq!(site.look_up("rd-lookup/res", &["href=/sensors/*"]).matches('<').count(), 2);
    assert_eq!(site.look_up("rd-lookup/res", &["rt=none"]), "");
    assert_eq!(site.look_up("rd-lookup/res", &["ep=node2"]), "");
}

#[test]
fn an_endpoint_is_found_by_what_it_says_and_by_its_links() {
    let mut site = Site::new();
    site.register(&["ep=node1", "et=meter", "d=floor-3", "base=coap://a.example"], None);
    let all = "</rd/1>;ep=\"node1\";d=\"floor-3\";base=\"coap://a.example\";et=\"meter\";\
               rt=\"core.rd-ep\"";
    for query in [&[][..], &["et=meter"], &["rt=light-lux"], &["href=/rd/1"], &["d=floor*"]] {
        assert_eq!(site.look_up("rd-lookup/ep", query), all, "{query:?}");
    }
    assert_eq!(site.look_up("rd-lookup/ep", &["et=valve"]), "");
    assert_eq!(site.look_up("rd-lookup/ep", &["href=/rd/2"]), "");
}

#[test]
fn results_come_in_pages() {
    let mut site = Site::new();
    for node in 0..5 {
        site.register(&[&format!("ep=node{node}")], None);
    }
    let names = |text: String| text.matches("ep=\"").count();
    let pages = [0, 1, 2, 3]
        .map(|page| names(site.look_up("rd-lookup/ep", &["count=2", &format!("page={page}")])));
    assert_eq!(pages, [2, 2, 1, 0]);
    let response = site.handle(0, &request(Method::Get, "rd-lookup/ep", &["page=1"]), None);
    assert_eq!(response.code, Code::BAD_REQUEST);
}

#[test]
fn a_long_answer_is_cut_between_links() {
    let mut site = Site::new();
    site.0.limits.answer = 150;
    for node in 0..5 {
        site.register(&[&format!("ep=node{node}")], None);
    }
    let found = site.look_up("rd-lookup/ep", &[]);
    assert!(found.len() <= 150 && link::parse(&found).unwrap().len() == 2, "{found}");
}

#[test]
fn the_same_name_replaces_its_registration() {
    let mut site = Site::new();
    site.register(&["ep=node1"], None);
    let response = site.register(&["ep=node1", "lt=600"], None);
    assert_eq!(response.location().collect::<Vec<_>>(), ["rd", "1"]);
    let other = site.register(&["ep=node1", "d=b"], None);
    assert_eq!(other.location().collect::<Vec<_>>(), ["rd", "2"]);
    assert_eq!(site.0.entries.len(), 2);
}

#[test]
fn a_registration_ends_with_its_lifetime_unless_refreshed() {
    let mut site = Site::new();
    site.register(&["ep=node1", "lt=100"], None);
    site.register(&["ep=node2"], None);
    assert_eq!((site.0.next_expiry(), site.0.expire(99_999).len()), (Some(100_000), 0));
    let update = request(Method::Post, "rd/1", &["lt=200", "et=x"]);
    assert_eq!(site.handle(50_000, &update, None).code, Code::CHANGED);
    assert_eq!(site.0.expire(249_999), Vec::<String>::new());
    assert_eq!(site.0.expire(250_000), ["node1"]);
    assert_eq!(site.0.next_expiry(), Some(90_000_000));
    assert_eq!(site.handle(0, &update, None).code, Code::NOT_FOUND);
}

#[test]
fn a_registration_is_removed_on_request() {
    let mut site = Site::new();
    site.register(&["ep=node1"], None);
    let delete = request(Method::Delete, "rd/1", &[]);
    assert_eq!(site.handle(0, &delete, None).code, Code::DELETED);
    assert_eq!(site.handle(0, &delete, None).code, Code::NOT_FOUND);
    assert_eq!((site.0.next_expiry(), site.0.by_name.len()), (None, 0));
}

#[test]
fn a_device_speaks_under_its_own_name_only() {
    let mut site = Site::new();
    assert_eq!(site.register(&["ep=other"], Some("meter-1")).code, Code::FORBIDDEN);
    assert_eq!(site.register(&[], Some("meter-1")).code, Code::CREATED);
    assert_eq!(site.register(&["ep=meter-1"], None).code, Code::FORBIDDEN);
    for name in [None, Some("other")] {
        for method in [Method::Post, Method::Delete] {
            let response = site.handle(0, &request(method, "rd/1", &[]), name);
            assert_eq!(response.code, Code::FORBIDDEN);
        }
    }
    let update = request(Method::Post, "rd/1", &["ep=other"]);
    assert_eq!(site.handle(0, &update, Some("meter-1")).code, Code::BAD_REQUEST);
    site.0.retain(|name| name != "meter-1");
    assert_eq!(site.0.entries.len(), 0);
}

#[test]
fn a_simple_registration_is_completed_with_the_links_of_the_device() {
    let mut site = Site::new();
    let simple = request(Method::Post, ".well-known/rd", &["lt=6000", "ep=node1"]);
    let answer = site.0.handle(0, &simple, caller(None));
    let Some(Answer::Fetch(response, registration)) = answer else { panic!("{answer:?}") };
    assert_eq!((response.code, site.0.entries.len()), (Code::CHANGED, 0));
    let error = Response::new(Code::NOT_FOUND);
    assert!(site.0.complete(0, registration.clone(), &error).is_err());
    let links = Response::content(format::LINK_FORMAT, LINKS_OF_NODE);
    site.0.complete(0, registration, &links).unwrap();
    assert_eq!(site.look_up("rd-lookup/res", &["ep=node1"]).matches('<').count(), 2);
    assert_eq!(site.handle(0, &simple.payload(40, "</a>"), None).code, Code::BAD_REQUEST);
}

#[test]
fn wrong_registrations_are_refused() {
    let mut site = Site::new();
    for (query, code) in [
        (&[][..], Code::BAD_REQUEST),
        (&["ep="], Code::BAD_REQUEST),
        (&["ep=a", "lt=0"], Code::BAD_REQUEST),
        (&["ep=a", "lt=4294967296"], Code::BAD_REQUEST),
        (&["ep=a", "base=no uri"], Code::BAD_REQUEST),
        (&["ep=a", "<=x"], Code::BAD_REQUEST),
    ] {
        assert_eq!(site.register(query, None).code, code, "{query:?}");
    }
    let post = |format, links: &str| request(Method::Post, "rd", &["ep=a"]).payload(format, links);
    for (body, code) in [
        (post(50, "[]"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (post(40, "</a>;"), Code::BAD_REQUEST),
        (post(40, "<relative>"), Code::BAD_REQUEST),
        (post(40, "<//host/a>"), Code::BAD_REQUEST),
        (post(40, &format!("</{}>", "a".repeat(5000))), Code::REQUEST_ENTITY_TOO_LARGE),
        (request(Method::Get, "rd", &[]), Code::METHOD_NOT_ALLOWED),
        (request(Method::Get, "rd-lookup/ep", &[]).accept(50), Code::NOT_ACCEPTABLE),
    ] {
        assert_eq!(site.handle(0, &body, None).code, code, "{body:?}");
    }
    assert!(site.0.handle(0, &request(Method::Get, "x", &[]), caller(None)).is_none());
    assert_eq!(site.0.entries.len(), 0);
}

#[test]
fn updates_do_not_grow_without_bound() {
    let mut site = Site::new();
    site.register(&["ep=a"], None);
    let codes: Vec<_> = (0..100)
        .map(|number| {
            let query = format!("x{number}={}", "v".repeat(200));
            site.handle(0, &request(Method::Post, "rd/1", &[&query]), None).code
        })
        .collect();
    assert_eq!((codes[0], codes[99]), (Code::CHANGED, Code::REQUEST_ENTITY_TOO_LARGE));
}

#[test]
fn registrations_are_bounded() {
    let mut site = Site::new();
    site.0.limits.registrations = 6;
    let sectors =
        [0, 1, 2, 3, 4].map(|sector| site.register(&["ep=a", &format!("d={sector}")], None).code);
    assert_eq!(sectors[3..], [Code::CREATED, Code::SERVICE_UNAVAILABLE]);
    let names = ["b", "c", "d"].map(|name| site.register(&[&format!("ep={name}")], None).code);
    assert_eq!(names, [Code::CREATED, Code::CREATED, Code::SERVICE_UNAVAILABLE]);
}
