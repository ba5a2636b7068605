//! The limits on requests: exact, whole at once, before identity; and whose address counts.

use std::time::Duration;

use super::*;

fn limits(limits: &str) -> String {
    format!("[server.rate_limits]\n{limits}\n")
}

fn from(address: &str) -> Request {
    hello().header("x-forwarded-for", address)
}

const LAST_HOP: &str = "[server.client_ip]\nx_forwarded_for_trusted_hops = 0\n";

/// How many of `times` such requests are admitted; the others must be refused by `rule`.
async fn admitted(nexus: &Nexus, request: &Request, times: usize, rule: &str) -> usize {
    let mut admitted = 0;
    for _ in 0..times {
        let answer = request.clone().send(nexus).await;
        match answer.status {
            200 => admitted += 1,
            _ => drop(refused(&answer, rule)),
        }
    }
    admitted
}

/// Asserts the refusal of a limit, and returns its `Retry-After`, if it has one.
fn refused(answer: &Answer, rule: &str) -> Option<u64> {
    let error = answer.refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
    assert_eq!(error.message, "Rate limit exceeded");
    assert_eq!(answer.json()["error"]["limit"], rule);
    let seconds = answer.header("retry-after").map(|_| answer.number("retry-after"));
    assert!(seconds != Some(0), "{answer:?}");
    seconds
}

const GLOBAL: &str = "server.rate_limits.global";
const PER_IP: &str = "server.rate_limits.per_ip";

#[tokio::test]
async fn three_in_ten_seconds_are_exactly_three_of_six() {
    let nexus =
        Nexus::start(&format!("{}{ECHO}", limits("global = { limit = 3, interval = \"10s\" }"))).await;
    assert_eq!(admitted(&nexus, &hello(), 6, GLOBAL).await, 3);
    let seconds = refused(&hello().send(&nexus).await, GLOBAL).unwrap();
    assert!((1..=11).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn the_full_limit_may_be_spent_by_twenty_callers_at_once() {
    let nexus =
        Nexus::start(&format!("{}{ECHO}", limits("global = { limit = 10, interval = \"30s\" }"))).await;
    let mut storm = JoinSet::new();
    for _ in 0..20 {
        storm.spawn(hello().send_to(nexus.address()));
    }
    let answers = storm.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 10);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        refused(answer, GLOBAL);
    }
}

#[tokio::test]
async fn an_address_has_exactly_its_limit_and_others_have_theirs() {
    let rule = limits("per_ip = { limit = 2, interval = \"10s\" }");
    let nexus = Nexus::start(&format!("{rule}{LAST_HOP}{ECHO}")).await;
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        assert_eq!(admitted(&nexus, &from(address), 6, PER_IP).await, 2, "{address}");
    }
    assert_eq!(admitted(&nexus, &hello(), 6, PER_IP).await, 2, "the connection's own");
}

#[tokio::test]
async fn a_refused_address_gives_the_global_unit_back() {
    let both =
        limits("global = { limit = 10, interval = \"30s\" }\nper_ip = { limit = 5, interval = \"30s\" }");
    let nexus = Nexus::start(&format!("{both}{LAST_HOP}{ECHO}")).await;
    assert_eq!(admitted(&nexus, &from("192.0.2.1"), 8, PER_IP).await, 5);
    assert_eq!(admitted(&nexus, &from("192.0.2.2"), 5, PER_IP).await, 5);
    assert_eq!(admitted(&nexus, &from("192.0.2.3"), 3, GLOBAL).await, 0);
}

#[tokio::test]
async fn retry_after_is_true() {
    let nexus = Nexus::start(&format!("{}{ECHO}", limits("global = { limit = 2, interval = \"1s\" }"))).await;
    let mut answer = hello().send(&nexus).await;
    for _ in 0..100 {
        if answer.status != 200 {
            break;
        }
        answer = hello().send(&nexus).await;
    }
    let seconds = refused(&answer, GLOBAL).unwrap();
    assert!(seconds <= 2, "{seconds}");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    hello().send(&nexus).await.fine();
}

#[tokio::test]
async fn of_two_refusals_the_longer_wait_is_told() {
    let both =
        limits("global = { limit = 2, interval = \"10s\" }\nper_ip = { limit = 1, interval = \"1h\" }");
    let nexus = Nexus::start(&format!("{both}{LAST_HOP}{ECHO}")).await;
    for address in ["192.0.2.1", "192.0.2.2"] {
        from(address).send(&nexus).await.fine();
    }
    let seconds = refused(&from("192.0.2.1").send(&nexus).await, PER_IP).unwrap();
    assert!(seconds > 3_000, "{seconds}");
    let seconds = refused(&from("192.0.2.3").send(&nexus).await, GLOBAL).unwrap();
    assert!(seconds <= 11, "{seconds}");
}

#[tokio::test]
async fn a_limit_of_nothing_refuses_for_ever_before_identity_on_every_route_there_is() {
    let never = limits("per_ip = { limit = 0, interval = \"10s\" }");
    let nexus = Nexus::start(&format!("{never}{IDENTIFIED}{ECHO}")).await;
    for request in [hello(), hello().client("a"), Request::get(MODELS), Request::post("/v1/embeddings", "{}")]
    {
        let answer = request.send(&nexus).await;
        assert_eq!(refused(&answer, PER_IP), None);
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    assert_eq!(Request::get("/llm").method(Method::HEAD).send(&nexus).await.status, 429);
    Request::get("/health").send(&nexus).await.fine();
    assert_eq!(Request::get("/nowhere").send(&nexus).await.status, 404);
    assert_eq!(Request::get(CHAT).send(&nexus).await.status, 405);
}

#[tokio::test]
async fn a_forged_address_has_no_effect_without_configuration() {
    let rule = limits("per_ip = { limit = 2, interval = \"10s\" }");
    let nexus = Nexus::start(&format!("{rule}{ECHO}")).await;
    let mut statuses = Vec::new();
    for last in 0..4 {
        let address = format!("192.0.2.{last}");
        statuses.push(from(&address).header("x-real-ip", address).send(&nexus).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[tokio::test]
async fn what_a_client_writes_before_the_proxys_entry_has_no_effect() {
    let rule = limits("per_ip = { limit = 2, interval = \"10s\" }");
    let nexus = Nexus::start(&format!("{rule}{LAST_HOP}{ECHO}")).await;
    let mut statuses = Vec::new();
    for last in 0..4 {
        let forged = from(&format!("192.0.2.{last}")).header("x-forwarded-for", "198.51.100.7");
        statuses.push(forged.send(&nexus).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[tokio::test]
async fn addresses_are_believed_from_trusted_proxies_only() {
    let rule = limits("per_ip = { limit = 1, interval = \"10s\" }");
    for (proxies, last) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 429)] {
        let identified = format!(
            "[server.client_identification]\nenabled = true\nclient_id.http_header = \"X-User-Id\"\n\
             trusted_proxies = [\"{proxies}\"]\n"
        );
        let nexus =
            Nexus::start(&format!("{rule}[server.client_ip]\nx_real_ip = true\n{identified}{ECHO}")).await;
        let listed = |address| Request::get(MODELS).client("a").header("x-real-ip", address);
        // From a peer that is not trusted the identity counts for nothing either: that is 400, but admitted here.
        assert_ne!(listed("192.0.2.1").send(&nexus).await.status, 429);
        assert_eq!(listed("192.0.2.2").send(&nexus).await.status, last, "{proxies}");
    }
}

#[tokio::test]
async fn proxies_are_trusted_where_nobody_is_identified_too() {
    let rule = limits("per_ip = { limit = 1, interval = \"10s\" }");
    for (proxies, last) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 429)] {
        let callers = format!("[server.client_identification]\ntrusted_proxies = [\"{proxies}\"]\n");
        let nexus = Nexus::start(&format!("{rule}{LAST_HOP}{callers}{ECHO}")).await;
        from("192.0.2.1").send(&nexus).await.fine();
        assert_eq!(from("192.0.2.2").send(&nexus).await.status, last, "{proxies}");
    }
}

#[tokio::test]
async fn the_addresses_of_one_network_of_ipv6_share_a_limit() {
    let rule = limits("per_ip = { limit = 1, interval = \"10s\" }");
    let nexus = Nexus::start(&format!("{rule}{LAST_HOP}{ECHO}")).await;
    for (address, status) in [("2001:db8::1", 200), ("[2001:db8::ffff:1]:443", 429), ("2001:db8:0:1::1", 200)]
    {
        assert_eq!(from(address).send(&nexus).await.status, status, "{address}");
    }
}

#[tokio::test]
async fn a_flood_of_addresses_crowds_out_no_client() {
    let few = limits(
        "max_clients = 2\nglobal = { limit = 100, interval = \"1m\" }\nper_ip = { limit = 10, interval = \"1m\" }",
    );
    let rule = provider_limit("echo", 1000, "60s");
    let nexus = Nexus::start(&format!("{few}{LAST_HOP}{IDENTIFIED}{ECHO}{rule}")).await;
    for client in ["alice", "bob"] {
        from("192.0.2.1").client(client).send(&nexus).await.fine();
    }
    from("192.0.2.2").client("alice").send(&nexus).await.fine();
    let answer = from("192.0.2.3").client("alice").send(&nexus).await;
    answer.refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error");
    from("192.0.2.1").client("bob").send(&nexus).await.fine();
}

#[tokio::test]
async fn their_actors_run_only_where_there_are_limits() {
    let rule = limits("per_ip = { limit = 2, interval = \"10s\" }");
    for (limits, expected) in [("", false), (rule.as_str(), true)] {
        let nexus = Nexus::start(&format!("{limits}{ADMIN}{ECHO}")).await;
        let status = Request::get("/status").send_to(nexus.admin()).await.fine();
        assert_eq!(status.text().contains("\"quota-edge-0\""), expected, "{status:?}");
        assert!(!status.text().contains("\"quota-edge-global-0\""), "{status:?}");
    }
}

#[tokio::test]
async fn switched_off_they_change_nothing() {
    let off = limits("enabled = false\nglobal = { limit = 0, interval = \"10s\" }");
    let nexus = Nexus::start(&format!("{off}{ECHO}")).await;
    hello().send(&nexus).await.fine();
}
