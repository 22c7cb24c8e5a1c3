//! The grammars of backends and of workloads, for every scenario that wants them.
//!
//! Swarm testing: a seed has a random subset of all quirks and of all acts, with weights and magnitudes of its own, so that seeds
//! differ in kind. Drawn from a chance of their own, so that they leave what a scenario draws otherwise as it was.

use super::Draft;
use crate::{
    chance::Chance,
    plan::{
        Ask, Client,
        traffic::{Act, Conduct, Cookie, Habit, Quirk},
    },
};

/// Ways to misbehave that [`quirk`] knows.
const QUIRKS: usize = 16;
/// Acts that [`act`] knows; the last three are for HTTP/1.1 alone.
const ACTS: usize = 7;
const ACTS_OF_STREAMS: usize = 3;

impl Draft {
    /// Servers get habits; `odd`: also others than to speak byte by byte.
    pub(super) fn habits(&mut self, odd: bool) {
        let chance = &mut Chance::new(self.plan.seed, "habits");
        let kinds = subset(chance, QUIRKS);
        let large = chance.percent(25);
        for server in &mut self.plan.servers {
            let mut habits = Vec::new();
            if odd && chance.percent(60) && !kinds.is_empty() {
                for _ in 0..chance.count(1, 4) {
                    let kind = chance.pick(&kinds);
                    habits.push(Habit { share: chance.magnitude(5, 400) as u32, quirk: quirk(chance, kind) });
                }
            }
            if large && chance.percent(40) {
                server.body = chance.magnitude(500_000, 3_000_000);
            }
            server.habits = Some(habits);
        }
    }

    /// Clients of every conduct, busy from the beginning to `end`, more or less; `odd`: they do not all behave.
    pub(super) fn customers(&mut self, end: u64, odd: bool) {
        let chance = &mut Chance::new(self.plan.seed, "customers");
        let mut of = Customers {
            services: self.plan.services,
            sticky: self.plan.gateway.sticky,
            hot: chance.percent(30).then(|| chance.count(0, self.plan.services - 1)),
            acts: if odd { subset(chance, ACTS) } else { Vec::new() },
            streams: if odd { subset(chance, ACTS_OF_STREAMS) } else { Vec::new() },
            acting: chance.magnitude(2, 60),
            aborts: if odd && chance.percent(40) { chance.magnitude(1, 40) } else { 0 },
            posts: chance.within(0, 60),
            uploads: chance.magnitude(1, 400_000),
            claims: if odd { chance.within(0, 50) } else { 0 },
            end,
        };
        for _ in 0..chance.count(2, 8) {
            let conduct = match chance.count(0, 9) {
                0..=2 => Conduct::Pipelined { depth: 1 },
                3..=5 => Conduct::Pipelined { depth: chance.count(2, 8) },
                6 if odd => {
                    Conduct::Crowd { connections: chance.magnitude(2, 200) as usize, holds: chance.magnitude(100, 15_000) }
                }
                7.. if self.plan.gateway.secure => Conduct::Http2 { streams: chance.magnitude(1, 40) as usize },
                _ => Conduct::Orderly,
            };
            self.plan.clients.push(of.client(chance, conduct));
        }
        self.plan.quiet_at = self.plan.quiet_at.max(end);
    }
}

impl Draft {
    /// In some seeds services bind clients to servers by a cookie, and most of the requests that are drawn by now bring theirs.
    pub(super) fn cookies(&mut self) {
        let chance = &mut Chance::new(self.plan.seed, "cookies");
        if !chance.percent(40) {
            return;
        }
        self.plan.gateway.sticky = true;
        self.plan.swarm.iter_mut().for_each(|swarm| swarm.sticky = true);
        for ask in self.plan.clients.iter_mut().flat_map(|client| &mut client.asks) {
            ask.cookie = cookie(chance);
        }
    }

    /// In some seeds servers write byte by byte, and there are clients that read slowly, so that it is seen what is held between them.
    pub(super) fn slow_readers(&mut self, end: u64) {
        let chance = &mut Chance::new(self.plan.seed, "slow readers");
        if !chance.percent(35) {
            return;
        }
        for server in &mut self.plan.servers {
            server.habits = Some(Vec::new());
            if chance.percent(50) {
                server.body = chance.magnitude(500_000, 3_000_000);
            }
        }
        for _ in 0..chance.count(1, 3) {
            let (start, mean, slow) = (chance.within(0, 500), chance.magnitude(50, 2_000), chance.within(10, 90));
            let (mut asks, mut at) = (Vec::new(), start);
            while at < end && asks.len() < 40 {
                let pause = chance.within(1, 2 * mean);
                at += pause + 5;
                let mut ask = Ask { pause, service: chance.count(0, self.plan.services - 1), keep: true, ..Ask::default() };
                if chance.percent(slow) {
                    act(chance, 0, &mut ask);
                }
                asks.push(ask);
            }
            self.plan.clients.push(Client { start, asks, conduct: Conduct::Pipelined { depth: 1 }, ..Client::default() });
        }
    }
}

/// What clients of a seed have in common.
struct Customers {
    services: usize,
    sticky: bool,
    hot: Option<usize>,
    acts: Vec<usize>,
    streams: Vec<usize>,
    /// Percent of requests with an act.
    acting: u64,
    aborts: u64,
    posts: u64,
    uploads: u64,
    claims: u64,
    end: u64,
}

impl Customers {
    fn client(&mut self, chance: &mut Chance, conduct: Conduct) -> Client {
        let (mean, keeps, bursts) = (chance.magnitude(10, 2_000), chance.pick(&[0, 50, 95, 100]), chance.within(0, 80));
        let start = chance.within(0, 500);
        let most = match conduct {
            Conduct::Crowd { .. } => 0,
            Conduct::Http2 { .. } => 150,
            _ => 60,
        };
        let acts = match conduct {
            Conduct::Orderly | Conduct::Crowd { .. } => Vec::new(),
            Conduct::Http2 { .. } => self.streams.clone(),
            Conduct::Pipelined { .. } => self.acts.clone(),
        };
        let (mut asks, mut at) = (Vec::new(), start);
        while at < self.end && asks.len() < most {
            let pause = if chance.percent(bursts) { 0 } else { chance.within(1, 2 * mean) };
            at += pause + 5;
            asks.push(self.ask(chance, pause, keeps, &acts));
        }
        Client { start, asks, conduct, ..Client::default() }
    }

    fn ask(&self, chance: &mut Chance, pause: u64, keeps: u64, acts: &[usize]) -> Ask {
        let post = chance.percent(self.posts);
        let mut ask = Ask {
            pause,
            service: self.hot.filter(|_| chance.percent(80)).unwrap_or_else(|| chance.count(0, self.services - 1)),
            post,
            body: if post && chance.percent(70) { chance.magnitude(1, self.uploads) } else { 0 },
            keep: chance.percent(keeps),
            abort: chance.percent(self.aborts).then(|| chance.magnitude(1, 3_000)),
            claims: chance.percent(self.claims),
            ..Ask::default()
        };
        if self.sticky {
            ask.cookie = cookie(chance);
        }
        if !acts.is_empty() && chance.percent(self.acting) {
            let kind = chance.pick(acts);
            act(chance, kind, &mut ask);
        }
        ask
    }
}

fn cookie(chance: &mut Chance) -> Cookie {
    match chance.count(0, 9) {
        0..=1 => Cookie::None,
        2 => Cookie::Forged,
        _ => Cookie::Kept,
    }
}

/// Some of so many kinds; how many differs from seed to seed.
fn subset(chance: &mut Chance, of: usize) -> Vec<usize> {
    let share = chance.pick(&[15, 40, 80]);
    (0..of).filter(|_| chance.percent(share)).collect()
}

fn quirk(chance: &mut Chance, kind: usize) -> Quirk {
    match kind {
        // Either in time or clearly too late.
        0 => Quirk::SlowHead(if chance.percent(70) { chance.magnitude(1, 3_000) } else { chance.within(5_000, 9_000) }),
        1 => Quirk::Trickle { piece: chance.magnitude(1, 10_000), pause: chance.magnitude(1, 200) },
        2 => Quirk::Stream { events: chance.magnitude(1, 30), pause: chance.magnitude(1, 500) },
        3 => Quirk::HangHead,
        4 => Quirk::HangBody { after: chance.magnitude(1, 200_000), lasts: chance.magnitude(10, 6_000) },
        5 => Quirk::Status(chance.pick(&[500, 502, 503, 504, 429, 404])),
        6 => Quirk::Interims(if chance.percent(60) { chance.within(1, 8) as u32 } else { chance.magnitude(9, 2_000) as u32 }),
        7 => Quirk::ResetBody { after: chance.magnitude(1, 200_000) },
        8 => Quirk::Surplus(chance.magnitude(1, 5_000)),
        9 => Quirk::Deficit(chance.magnitude(1, 5_000)),
        10 => Quirk::Unfinished { after: chance.magnitude(1, 200_000) },
        11 => Quirk::Garbage,
        12 => Quirk::Forgetful { reset: chance.percent(50) },
        13 => Quirk::Early { closes: chance.percent(50) },
        14 => Quirk::SlowRead { piece: chance.magnitude(16, 16_000), pause: chance.within(1, 60) },
        _ => Quirk::UntilClose,
    }
}

/// Kinds 0 to 2 are for streams of HTTP/2 as well.
fn act(chance: &mut Chance, kind: usize, ask: &mut Ask) {
    let reset = chance.percent(50);
    ask.act = match kind {
        0 => {
            ask.abort = Some(chance.magnitude(500, 20_000));
            Act::SlowRead { piece: chance.magnitude(500, 60_000), pause: chance.magnitude(1, 100) }
        }
        1 => {
            if chance.percent(70) {
                (ask.post, ask.body) = (true, chance.magnitude(1, 300_000));
            }
            Act::CutRequest { after: chance.magnitude(1, 1_000 + ask.body), reset }
        }
        2 => Act::CutResponse { after: chance.magnitude(1, 400_000), reset },
        3 => {
            (ask.post, ask.body) = (true, ask.body.max(1));
            Act::Expect
        }
        4 => {
            ask.body = ask.body.min(5_000);
            Act::Trickle { head: chance.percent(50), piece: chance.magnitude(1, 300), pause: chance.magnitude(1, 600) }
        }
        5 => {
            (ask.post, ask.body) = (true, 0);
            Act::Smuggle(chance.count(0, 6) as u32)
        }
        _ => {
            (ask.post, ask.body) = (false, 0);
            Act::WebSocket {
                messages: chance.magnitude(1, 20) as u32,
                bytes: chance.magnitude(1, 50_000),
                pause: chance.magnitude(1, 300),
            }
        }
    };
}
