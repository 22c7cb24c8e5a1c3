//! Properties of every strategy, and the exact behaviour of turns and cookies.

use super::*;
use crate::{
    Name,
    config::dynamic::{ServerUrl, StickyCookie, Strategy, UpstreamScheme, Weighted},
    http::VecFields,
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

const STRATEGIES: [Strategy; 4] = [Strategy::Wrr, Strategy::P2c, Strategy::LeastConn, Strategy::Hrw];

fn service(strategy: Strategy, servers: &[(&str, u32)]) -> LoadBalancer {
    let server = |(text, weight): &(&str, u32)| {
        let (host, text) = ((*text).into(), (*text).into());
        Server::new(ServerUrl { scheme: UpstreamScheme::Http, host, port: 80, path: String::new(), text }, *weight)
    };
    LoadBalancer {
        servers: servers.iter().map(server).collect(),
        strategy,
        hash_cookie: None,
        sticky: None,
        health_check: None,
        passive_health_check: None,
        pass_host_header: true,
        transport: Name::whole("default@internal"),
        proxy_protocol: None,
    }
}

fn of_weights(strategy: Strategy, weights: &[u32]) -> Balancer {
    let names: Vec<String> = (0..weights.len()).map(|index| format!("http://10.0.0.{index}:8080")).collect();
    let servers: Vec<_> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
    Balancer::new(&service(strategy, &servers))
}

struct Given<'a> {
    down: &'a [usize],
    busy: &'a [u32],
    tried: &'a [usize],
    random: u64,
    client: u32,
}

const NOTHING: Given<'static> = Given { down: &[], busy: &[], tried: &[], random: 0, client: 0 };

fn pick(balancer: &mut Balancer, given: &Given<'_>) -> Option<usize> {
    balancer.pick(&Pick {
        usable: &|server| !given.down.contains(&server),
        in_flight: &|server| given.busy.get(server).copied().unwrap_or(0),
        tried: given.tried,
        random: given.random,
        key: IpAddr::from(Ipv4Addr::from_bits(given.client)).into(),
    })
}

fn picks(balancer: &mut Balancer, count: usize, down: &[usize]) -> Vec<usize> {
    (0..count).map(|_| pick(balancer, &Given { down, ..NOTHING }).unwrap()).collect()
}

/// SplitMix64.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn two_equal_servers_alternate() {
    assert_eq!(picks(&mut of_weights(Strategy::Wrr, &[1, 1]), 6, &[]), [0, 1, 0, 1, 0, 1]);
    assert_eq!(picks(&mut of_weights(Strategy::Wrr, &[7, 7]), 4, &[]), [0, 1, 0, 1]);
}

#[test]
fn heavy_servers_do_not_come_in_bursts() {
    assert_eq!(picks(&mut of_weights(Strategy::Wrr, &[5, 1, 1]), 7, &[]), [0, 1, 0, 0, 0, 2, 0]);
    assert_eq!(picks(&mut of_weights(Strategy::Wrr, &[2, 1, 1]), 4, &[]), [0, 1, 0, 2]);
}

#[test]
fn a_server_that_was_down_returns_without_a_burst() {
    let mut balancer = of_weights(Strategy::Wrr, &[1, 2]);
    assert!(picks(&mut balancer, 300, &[1]).iter().all(|server| *server == 0));
    let turns = picks(&mut balancer, 30, &[]);
    assert!((19..=21).contains(&turns.iter().filter(|server| **server == 1).count()), "{turns:?}");
}

#[test]
fn an_update_keeps_the_places_of_those_that_stay() {
    let mut balancer = Balancer::new(&service(Strategy::Wrr, &[("a", 1), ("b", 1), ("c", 1)]));
    assert_eq!(picks(&mut balancer, 2, &[]), [0, 1]);
    // c is next, wherever it stands now; then the round goes on from there.
    balancer.update(&service(Strategy::Wrr, &[("c", 1), ("b", 1), ("d", 1), ("a", 1)]));
    assert_eq!(picks(&mut balancer, 4, &[]), [0, 1, 2, 3]);
    // The next one is gone, so it is the one after it in the old order.
    balancer.update(&service(Strategy::Wrr, &[("a", 1), ("b", 1)]));
    assert_eq!(picks(&mut balancer, 1, &[]), [1]);
    balancer.update(&service(Strategy::Wrr, &[]));
    assert_eq!(pick(&mut balancer, &NOTHING), None);
}

#[test]
fn an_update_keeps_the_turns_of_weighted_servers() {
    let mut kept = Balancer::new(&service(Strategy::Wrr, &[("a", 3), ("b", 2), ("c", 1)]));
    let mut updated = kept.clone();
    for step in 0..24 {
        updated.update(&service(Strategy::Wrr, &[("a", 3), ("b", 2), ("c", 1)]));
        assert_eq!(pick(&mut kept, &NOTHING), pick(&mut updated, &NOTHING), "{step}");
    }
    // A newcomer waits for its first turn like everybody.
    updated.update(&service(Strategy::Wrr, &[("new", 1), ("a", 3), ("b", 2), ("c", 1)]));
    let turns = picks(&mut updated, 7, &[]);
    assert!(turns[0] != 0 && turns.iter().filter(|server| **server == 0).count() == 1, "{turns:?}");
}

#[test]
fn p2c_takes_the_less_busy_and_never_the_busiest() {
    let mut balancer = of_weights(Strategy::P2c, &[1, 1, 1]);
    let mut seed = 1;
    for _ in 0..1_000 {
        let given = Given { busy: &[3, 9, 4], random: random(&mut seed), ..NOTHING };
        assert_ne!(pick(&mut balancer, &given), Some(1));
    }
}

#[test]
fn leastconn_fills_by_weight_and_goes_round_when_idle() {
    let mut balancer = of_weights(Strategy::LeastConn, &[3, 1]);
    let mut busy = [0, 0];
    for _ in 0..400 {
        busy[pick(&mut balancer, &Given { busy: &busy, ..NOTHING }).unwrap()] += 1;
    }
    assert_eq!(busy, [300, 100]);
    assert_eq!(picks(&mut of_weights(Strategy::LeastConn, &[1, 1, 1]), 6, &[]), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn hrw_moves_only_the_clients_of_the_server_that_left() {
    let mut balancer = of_weights(Strategy::Hrw, &[1, 1, 1, 1]);
    for client in 0..1_000 {
        let before = pick(&mut balancer, &Given { client, ..NOTHING }).unwrap();
        let after = pick(&mut balancer, &Given { client, down: &[2], ..NOTHING }).unwrap();
        assert!(if before == 2 { after != 2 } else { after == before });
    }
}

/// Counts against a binomial: six standard deviations and a little.
fn assert_share(count: usize, of: usize, share: f64, what: &str) {
    let (mean, deviation) = (of as f64 * share, (of as f64 * share * (1.0 - share)).sqrt());
    assert!((count as f64 - mean).abs() <= 6.0 * deviation + 1.0, "{what}: {count} of {of}, expected {mean:.0}");
}

#[test]
fn hrw_and_p2c_share_as_they_should() {
    let count = 40_000;
    let weights = [1, 2, 5];
    let mut balancer = of_weights(Strategy::Hrw, &weights);
    let mut shares = [0; 3];
    for client in 0..count as u32 {
        shares[pick(&mut balancer, &Given { client, ..NOTHING }).unwrap()] += 1;
    }
    for (server, weight) in weights.iter().enumerate() {
        assert_share(shares[server], count, f64::from(*weight) / 8.0, "hrw");
    }
    for (down, up) in [(&[][..], 5), (&[1, 3], 3)] {
        let (mut balancer, mut seed, mut shares) = (of_weights(Strategy::P2c, &[1; 5]), 42, [0; 5]);
        for _ in 0..count {
            shares[pick(&mut balancer, &Given { down, random: random(&mut seed), ..NOTHING }).unwrap()] += 1;
        }
        for server in (0..5).filter(|server| !down.contains(server)) {
            assert_share(shares[server], count, 1.0 / f64::from(up), "p2c");
        }
    }
}

fn weights() -> impl proptest::strategy::Strategy<Value = Vec<u32>> {
    prop::collection::vec(prop_oneof![3 => 0_u32..12, 1 => Just(1), 1 => 0_u32..1_000], 1..9)
}

proptest! {
    /// Over a full cycle each server has exactly its weight, and never strays from its share by more than a turn in between.
    #[test]
    fn wrr_is_exact_over_a_cycle(weights in prop::collection::vec(0_u32..40, 1..9), cycles in 1_usize..4) {
        let total: usize = weights.iter().map(|weight| *weight as usize).sum();
        prop_assume!(total > 0);
        let mut balancer = of_weights(Strategy::Wrr, &weights);
        let mut counts = vec![0_usize; weights.len()];
        for turn in 1..=total * cycles {
            counts[pick(&mut balancer, &NOTHING).unwrap()] += 1;
            for (count, weight) in counts.iter().zip(&weights) {
                let owed = turn as f64 * f64::from(*weight) / total as f64;
                prop_assert!((*count as f64 - owed).abs() <= weights.len() as f64, "{counts:?} after {turn}");
            }
            if turn % total == 0 {
                let want: Vec<_> = weights.iter().map(|weight| *weight as usize * (turn / total)).collect();
                prop_assert_eq!(&counts, &want);
            }
        }
    }

    /// No strategy picks an unusable server, a weight of 0, or one that failed while another is usable; each picks one if
    /// there is one.
    #[test]
    fn every_pick_is_allowed(
        weights in weights(),
        steps in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u64>(), any::<u32>()), 1..40),
        busy in prop::collection::vec(0_u32..50, 9),
    ) {
        for strategy in STRATEGIES {
            let mut balancer = of_weights(strategy, &weights);
            for &(down, tried, random, client) in &steps {
                let bits = |mask: u8| (0..weights.len()).filter(|bit| mask >> (bit % 8) & 1 == 1).collect::<Vec<_>>();
                let (down, tried) = (bits(down), bits(tried));
                let usable: Vec<_> = (0..weights.len()).filter(|server| weights[*server] > 0 && !down.contains(server)).collect();
                let fresh = usable.iter().any(|server| !tried.contains(server));
                let picked = pick(&mut balancer, &Given { down: &down, busy: &busy, tried: &tried, random, client });
                prop_assert_eq!(picked.is_some(), !usable.is_empty());
                if let Some(server) = picked {
                    prop_assert!(usable.contains(&server));
                    prop_assert!(!fresh || !tried.contains(&server));
                }
                let has_other = balancer.has_other(&Pick {
                    usable: &|server| !down.contains(&server),
                    in_flight: &|_| 0,
                    tried: &tried,
                    random,
                    key: IpAddr::from(Ipv4Addr::LOCALHOST).into(),
                });
                prop_assert_eq!(has_other, fresh);
            }
        }
    }

    /// However the configuration changes between picks, shares settle on the weights.
    #[test]
    fn wrr_survives_updates(
        changes in prop::collection::vec((prop::collection::vec((0_u8..6, 0_u32..6), 0..6), 0_usize..9), 1..8),
    ) {
        let mut balancer = Balancer::new(&service(Strategy::Wrr, &[]));
        for (servers, count) in changes {
            let servers: BTreeMap<String, u32> = servers.into_iter().map(|(name, weight)| (name.to_string(), weight)).collect();
            let list: Vec<_> = servers.iter().map(|(name, weight)| (name.as_str(), *weight)).collect();
            balancer.update(&service(Strategy::Wrr, &list));
            let total: usize = list.iter().map(|(_, weight)| *weight as usize).sum();
            for _ in 0..count {
                prop_assert_eq!(pick(&mut balancer, &NOTHING).is_some(), total > 0);
            }
            if total == 0 {
                continue;
            }
            let mut counts = vec![0_usize; list.len()];
            for server in picks(&mut balancer, total * 10, &[]) {
                counts[server] += 1;
            }
            for (count, (name, weight)) in counts.iter().zip(&list) {
                prop_assert!(count.abs_diff(*weight as usize * 10) <= 6, "{name}: {count} for {weight}");
            }
        }
    }

    #[test]
    fn any_cookie_is_judged(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let fields = VecFields(vec![("Cookie".into(), value)]);
        prop_assert_eq!(sticky().find(&fields, &|_| true), None);
    }
}

#[test]
fn weighted_children_are_skipped_only_under_a_health_check() {
    let service = |health_check| Weighted {
        services: vec![(Name::whole("a@x"), 3), (Name::whole("b@x"), 1), (Name::whole("c@x"), 0)],
        sticky: None,
        health_check,
    };
    let mut picker = WeightedPicker::new(&service(false));
    let counts = |picker: &mut WeightedPicker| {
        (0..40).fold([0; 3], |mut counts, _| {
            counts[picker.pick(&|child| child != 0).unwrap()] += 1;
            counts
        })
    };
    assert_eq!(counts(&mut picker), [30, 10, 0]);
    picker.update(&service(true));
    assert_eq!(counts(&mut picker), [0, 40, 0]);
    assert_eq!(picker.pick(&|_| false), None);
}

#[test]
fn failover_falls_back_only_to_what_works() {
    assert_eq!(failover(true, true), Choice::Main);
    assert_eq!(failover(false, true), Choice::Fallback);
    assert_eq!(failover(false, false), Choice::Main);
}

fn cookie() -> StickyCookie {
    StickyCookie {
        name: "_sticky".into(),
        secure: true,
        http_only: true,
        same_site: Some(crate::config::dynamic::SameSite::Lax),
        max_age: 60,
        path: "/".into(),
        domain: String::new(),
    }
}

fn sticky() -> Sticky {
    Sticky::new(&cookie(), ["http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.1:80"])
}

#[test]
fn a_cookie_names_its_server_as_in_traefik() {
    // printf %s http://10.0.0.1:80 | sha256sum
    assert_eq!(sticky().set_cookie(0), "_sticky=df5bd2f9c0180410; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax");
    let session =
        StickyCookie { max_age: 0, secure: false, http_only: false, same_site: None, domain: "x.test".into(), ..cookie() };
    assert_eq!(Sticky::new(&session, ["a"]).set_cookie(0), "_sticky=ca978112ca1bbdca; Path=/; Domain=x.test");
    let ended = StickyCookie { max_age: -1, path: String::new(), ..session };
    assert!(Sticky::new(&ended, ["a"]).set_cookie(0).ends_with("; Domain=x.test; Max-Age=0"));
}

#[test]
fn a_client_returns_to_its_server_while_that_one_serves_sessions() {
    let sticky = sticky();
    let one = "e0c6f0ca44f87f06";
    let find = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        sticky.find(&VecFields::of(&lines), &|_| true)
    };
    assert_eq!(find(&[&format!("a=b; _sticky={one}; c=d")]), Some(1));
    assert_eq!(find(&["a=b", &format!(";;_sticky={one}")]), Some(1));
    assert_eq!(find(&[&format!("_sticky=\"{one}\"; _sticky={one}")]), Some(1));
    let many: Vec<String> = (0..500).map(|number| format!("c{number}=v")).collect();
    assert_eq!(find(&[&format!("{}; _sticky={one}", many.join("; "))]), Some(1));
    let own = VecFields::of(&[("Cookie", &sticky.set_cookie(0))]);
    assert_eq!(sticky.find(&own, &|_| true), Some(0));
    assert_eq!(sticky.find(&own, &|server| server != 0), None, "not usable: a fresh pick");
}

#[test]
fn forged_cookies_are_as_good_as_none() {
    let sticky = sticky();
    let long = "f".repeat(8_192);
    for line in [
        "",
        "_sticky",
        "_sticky=",
        "_sticky=0",
        "_sticky=http://10.0.0.1:80",
        "_sticky=0000000000000000",
        "x_sticky=e0c6f0ca44f87f06",
        "_STICKY=e0c6f0ca44f87f06",
        "_sticky=e0c6f0ca44f87f06; _sticky=df5bd2f9c0180410",
        "_sticky=e0c6f0ca44f87f06; _sticky=junk",
        "_sticky=\"e0c6f0ca44f87f06",
        &format!("_sticky={long}"),
    ] {
        assert_eq!(sticky.find(&VecFields::of(&[("Cookie", line)]), &|_| true), None, "{line:.40}");
    }
}
