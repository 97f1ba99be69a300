//! The HTTP door as a client sees it, with a broker made of three sessions.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::*;

const IDS: [&str; 3] = ["a", "b/c d", "\u{e9}"];

fn client(id: &str) -> Client {
    Client {
        client_id: id.into(),
        state: if id == "a" { SessionState::Connected } else { SessionState::Disconnected },
        node: Some(1),
        protocol: "5.0".into(),
        address: (id == "a").then(|| "127.0.0.1:5".into()),
        since: Time(1_000),
        keep_alive_seconds: 60,
        session_expiry_seconds: Some(0),
        subscriptions: 1,
        inflight: 0,
        backlog: 2,
    }
}

fn subscription(id: &str, lag: bool) -> Subscription {
    Subscription {
        client_id: id.into(),
        filter: "x/#".into(),
        share: None,
        qos: 1,
        no_local: false,
        retain_as_published: false,
        retain_handling: 0,
        subscription_id: Some(7),
        lag: lag.then(|| vec![Lag { partition: 0, messages: 2 }]),
    }
}

fn cluster() -> Cluster {
    let replica = Replica { node: 1, state: ReplicaState::Leader, r#match: Some(40) };
    let led = Partition {
        id: 0,
        leader: Some(1),
        term: 2,
        replicas: vec![replica],
        first_offset: 10,
        next_offset: 35,
        committed: 42,
    };
    Cluster {
        cluster_id: "c1".into(),
        node_id: 1,
        feature_level: 1,
        fsync: "unsafe-none".into(),
        replicas: 3,
        nodes: vec![Node {
            id: 1,
            address: "127.0.0.1:7883".into(),
            state: NodeState::Alive,
            version: "0.1.0".into(),
            feature_level: 2,
            replicas: 25,
            votes: 24,
            leads: 23,
        }],
        partitions: vec![led.clone(), Partition { id: 1, leader: None, ..led }],
    }
}

fn retained() -> Retained {
    Retained {
        topic: "x".into(),
        qos: 1,
        published: Time(0),
        expires: None,
        payload: Payload(bytes::Bytes::from_static(b"hi")),
    }
}

fn page_of_ids<T>(page: &PageQuery, keep: impl Fn(&str) -> bool, item: impl Fn(&str) -> T) -> Page<T> {
    let after = page.after.as_deref();
    let mut ids = IDS.into_iter().filter(|id| after.is_none_or(|after| *id > after) && keep(id)).peekable();
    let taken: Vec<&str> = ids.by_ref().take(page.limit).collect();
    let next = ids.peek().and_then(|_| taken.last().map(|id| (*id).to_owned()));
    Page { items: taken.into_iter().map(item).collect(), next }
}

/// The broker. A reply that nobody waits for any more is no mistake.
fn answer(query: Query, ready: bool) {
    let reason = || Reason { code: "joining".into(), detail: "Not yet.".into() };
    match query {
        Query::Ready { reply } => drop(reply.send(if ready { vec![] } else { vec![reason()] })),
        Query::Cluster { reply } => drop(reply.send(cluster())),
        Query::Node { node: 1, reply, .. } => drop(reply.send(Ok(()))),
        Query::Node { node: 2, reply, .. } => {
            drop(reply.send(Err(NodeRefusal::Refused("it is alive".to_owned()))));
        }
        Query::Node { node: 3, reply, .. } => drop(reply.send(Err(NodeRefusal::NotServing))),
        Query::Node { reply, .. } => drop(reply.send(Err(NodeRefusal::Unknown))),
        Query::Clients { state, prefix, page, reply } => {
            let keep =
                |id: &str| id.starts_with(&prefix) && state.is_none_or(|state| client(id).state == state);
            drop(reply.send(page_of_ids(&page, keep, client)));
        }
        Query::Client { client_id, reply } => {
            drop(reply.send(IDS.contains(&client_id.as_str()).then(|| client(&client_id))));
        }
        Query::Disconnect { client_id, forget, reply } => drop(reply.send(client_id == "b/c d" && forget)),
        Query::ClientSubscriptions { client_id, page, reply } => {
            let found = IDS.contains(&client_id.as_str());
            drop(
                reply.send(
                    found.then(|| page_of_ids(&page, |id| id == client_id, |id| subscription(id, true))),
                ),
            );
        }
        Query::Subscriptions { filter, topic, page, reply } => {
            let keep = |_: &str| filter.as_deref() != Some("none") && topic.as_deref() != Some("none");
            drop(reply.send(page_of_ids(&page, keep, |id| subscription(id, false))));
        }
        Query::Retained { filter, reply, .. } => {
            let items = if filter.as_deref() == Some("none") { vec![] } else { vec![retained()] };
            drop(reply.send(Page { items, next: None }));
        }
    }
}

fn open_door(send: Box<dyn Fn(Query) + Send + Sync>) -> Door {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let setup = Setup { gate: Gate { send }, metrics: None, answer_max: Duration::from_millis(200) };
    open(listener, setup).expect("a door")
}

fn ready_door() -> Door {
    open_door(Box::new(|query| answer(query, true)))
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("json")
    }
}

fn request(door: &Door, method: &str, path: &str) -> Reply {
    let mut stream = TcpStream::connect(door.address()).expect("connects");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answers");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Reply { status, head: head.to_lowercase(), body: body.into() }
}

fn get(door: &Door, path: &str) -> Reply {
    request(door, "GET", path)
}

fn assert_problem(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert!(reply.head.contains("content-type: application/problem+json"), "{}", reply.head);
    let problem = reply.json();
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["detail"].as_str().is_some_and(|text| text.len() > 5));
}

#[test]
fn health_and_readiness_differ() {
    let ready = Arc::new(AtomicBool::new(false));
    let seen = ready.clone();
    let door = open_door(Box::new(move |query| answer(query, seen.load(Ordering::Relaxed))));
    assert_eq!(get(&door, "/healthz").status, 200);
    let reply = get(&door, "/readyz");
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json(), json!({"ready": false, "reasons": [{"code": "joining", "detail": "Not yet."}]}));
    ready.store(true, Ordering::Relaxed);
    let reply = get(&door, "/readyz");
    assert_eq!((reply.status, reply.json()), (200, json!({"ready": true, "reasons": []})));
    door.close().expect("closes");
}

#[test]
fn clients_come_in_pages_without_gap_or_double() {
    let door = ready_door();
    let (mut seen, mut path) = (Vec::new(), String::from("/api/v1/clients?limit=1"));
    for _ in 0..IDS.len() {
        let page = get(&door, &path).json();
        seen.extend(page["items"].as_array().expect("items").iter().map(|item| item["client_id"].clone()));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/clients?limit=1&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, IDS);
    assert_eq!(get(&door, "/api/v1/clients").json()["next_cursor"], Value::Null);
    let one = get(&door, "/api/v1/clients?state=connected").json();
    assert_eq!(one["items"].as_array().expect("items").len(), 1);
    assert_eq!(get(&door, "/api/v1/clients?prefix=b%2F").json()["items"][0]["client_id"], "b/c d");
    door.close().expect("closes");
}

#[test]
fn one_client_is_found_by_any_id() {
    let door = ready_door();
    let found = get(&door, "/api/v1/clients/b%2Fc%20d").json();
    assert_eq!((&found["client_id"], &found["since"]), (&json!("b/c d"), &json!("1970-01-01T00:00:01.000Z")));
    assert_eq!(get(&door, "/api/v1/clients/%C3%A9").json()["client_id"], "\u{e9}");
    let lag = &get(&door, "/api/v1/clients/a/subscriptions").json()["items"][0]["lag"];
    assert_eq!(*lag, json!([{"partition": 0, "messages": 2}]));
    for path in ["/api/v1/clients/none", "/api/v1/clients/none/subscriptions"] {
        assert_problem(&get(&door, path), 404);
    }
    door.close().expect("closes");
}

#[test]
fn delete_disconnects_and_forgets_only_on_purpose() {
    let door = ready_door();
    assert_eq!(request(&door, "DELETE", "/api/v1/clients/b%2Fc%20d?forget=true").status, 204);
    assert_problem(&request(&door, "DELETE", "/api/v1/clients/b%2Fc%20d"), 404);
    assert_problem(&request(&door, "DELETE", "/api/v1/clients/b%2Fc%20d?forget=maybe"), 400);
    door.close().expect("closes");
}

#[test]
fn a_deed_with_a_node_is_accepted_or_refused_with_a_reason() {
    let door = ready_door();
    for (method, path) in
        [("POST", "1/drain"), ("DELETE", "1/drain"), ("DELETE", "1"), ("DELETE", "1?force=true")]
    {
        let reply = request(&door, method, &format!("/api/v1/cluster/nodes/{path}"));
        assert_eq!(reply.status, 202, "{method} {path}");
    }
    for (node, status) in [("2", 409), ("3", 503), ("4", 404), ("x", 400)] {
        assert_problem(&request(&door, "DELETE", &format!("/api/v1/cluster/nodes/{node}")), status);
    }
    let address = door.address().to_string();
    let wait = Duration::ZERO;
    let error = remove(&address, 2, (false, wait), &mut |_| {}).expect_err("409");
    assert!(error.to_string().contains("it is alive"), "{error}");
    let error = drain(&address, 1, wait, &mut |_| {}).expect_err("it stays as it is");
    assert!(matches!(error, DeedError::Late { .. }), "{error}");
    door.close().expect("closes");
}

#[test]
fn bad_requests_are_problems() {
    let door = ready_door();
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=zz", "state=odd", "stat=connected"] {
        assert_problem(&get(&door, &format!("/api/v1/clients?{query}")), 400);
    }
    assert_problem(&get(&door, "/api/v1/clients/%FF"), 400);
    assert_problem(&get(&door, "/api/v1/nothing"), 404);
    assert_problem(&get(&door, "/metrics"), 404);
    assert_problem(&request(&door, "POST", "/api/v1/cluster"), 405);
    door.close().expect("closes");
}

#[test]
fn filters_reach_the_broker() {
    let door = ready_door();
    let items = |path: &str| get(&door, path).json()["items"].as_array().expect("items").len();
    assert_eq!(items("/api/v1/subscriptions"), 3);
    assert_eq!(items("/api/v1/subscriptions?filter=none"), 0);
    assert_eq!(items("/api/v1/subscriptions?topic=none"), 0);
    assert_eq!(items("/api/v1/retained?filter=none"), 0);
    assert_eq!(get(&door, "/api/v1/retained?filter=x").json()["items"][0]["payload"], "aGk=");
    door.close().expect("closes");
}

#[test]
fn a_broker_that_is_silent_or_gone_is_a_503() {
    let kept = std::sync::Mutex::new(Vec::new());
    let silent = open_door(Box::new(move |query| kept.lock().expect("no panic holds it").push(query)));
    assert_problem(&get(&silent, "/api/v1/cluster"), 503);
    let reply = get(&silent, "/readyz");
    assert_eq!((reply.status, &reply.json()["reasons"][0]["code"]), (503, &json!("no_answer")));
    assert_eq!(get(&silent, "/healthz").status, 200);
    silent.close().expect("closes");
    let gone = open_door(Box::new(drop));
    assert_problem(&get(&gone, "/api/v1/cluster"), 503);
    gone.close().expect("closes");
}

#[test]
fn closing_waits_for_no_stranger() {
    let door = ready_door();
    let address = door.address();
    let _silent = TcpStream::connect(address).expect("connects");
    let mut half = TcpStream::connect(address).expect("connects");
    half.write_all(b"GET /healthz HT").expect("sends");
    assert_eq!(get(&door, "/healthz").status, 200);
    door.close().expect("closes");
    assert!(TcpStream::connect(address).is_err(), "the port is free");
}

#[test]
fn status_is_a_table() {
    let door = ready_door();
    let table = status(&door.address().to_string()).expect("a table");
    door.close().expect("closes");
    let expected = "\
cluster c1, seen by node 1, feature level 1, storage.fsync = unsafe-none

node  address         state  leads  votes  replicas  version  knows level
1     127.0.0.1:7883  alive  23     24     25        0.1.0    2

partition  leader  term  messages  committed  replicas (lag)
0          1       2     25        42         1 (2)
1          none    2     25        42         1 (2)
";
    assert_eq!(table, expected);
}

#[test]
fn status_says_what_is_wrong() {
    let silent = open_door(Box::new(drop));
    let error = status(&silent.address().to_string()).expect_err("503");
    assert!(error.to_string().contains("503"), "{error}");
    let address = silent.address().to_string();
    silent.close().expect("closes");
    assert!(matches!(status(&address), Err(CallError::Unreachable { .. })));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let stranger = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("comes");
        // All of it: what is closed with something unread is reset.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).expect("asks");
            assert_ne!(read, 0, "it goes away before it has asked");
            request.extend_from_slice(&part[..read]);
        }
        assert!(request.starts_with(b"GET /api/v1/cluster"));
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n<html>").expect("answers");
    });
    assert!(matches!(status(&address), Err(CallError::Strange { .. })));
    stranger.join().expect("no panic");
}

/// Every field of every answer is described, with no field too many.
#[test]
fn the_description_is_what_is_served() {
    let door = ready_door();
    let api = get(&door, "/api/v1/openapi.json").json();
    let samples = [
        ("/api/v1/cluster", "Cluster"),
        ("/readyz", "Ready"),
        ("/api/v1/clients", "ClientPage"),
        ("/api/v1/clients/a", "Client"),
        ("/api/v1/clients/a/subscriptions", "SubscriptionPage"),
        ("/api/v1/subscriptions", "SubscriptionPage"),
        ("/api/v1/retained", "RetainedPage"),
        ("/api/v1/nothing", "Problem"),
    ];
    for (path, schema) in samples {
        assert_described(&api, &api["components"]["schemas"][schema], &get(&door, path).json(), path);
    }
    for (path, methods) in api["paths"].as_object().expect("paths") {
        let path = path.replace("{client_id}", "b%2Fc%20d").replace("{node}", "1");
        for method in methods.as_object().expect("methods").keys() {
            let status = request(&door, &method.to_uppercase(), &path).status;
            let known = path == "/metrics" || method == "delete" || status == 200 || status == 202;
            assert!(known && status != 405, "{method} {path} gives {status}");
        }
    }
    door.close().expect("closes");
}

fn assert_described(api: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => api.pointer(name.trim_start_matches('#')).expect("the schema exists"),
        None => schema,
    };
    if let Some(fields) = value.as_object() {
        let described = schema["properties"].as_object().expect("an object");
        let required = schema["required"].as_array().expect("a list").iter().filter_map(Value::as_str);
        let found: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        assert!(required.collect::<BTreeSet<_>>().is_subset(&found), "{place}: fields are missing");
        for (name, value) in fields {
            let schema = described.get(name).unwrap_or_else(|| panic!("{place}: {name} is not described"));
            assert_described(api, schema, value, &format!("{place} {name}"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        assert_described(api, &schema["items"], item, place);
    }
    if let (Some(words), Some(text)) = (schema["enum"].as_array(), value.as_str()) {
        assert!(words.iter().any(|word| word == text), "{place}: {text} is not described");
    }
}
