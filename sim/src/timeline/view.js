
"use strict";
// What is shown: the data, the part of it that is in view, what is chosen and what the filter lets through.
const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const GUTTER = 128, AXIS = 26, HEADING = 22, END = Math.max(data.end, 1), FAULT_ROWS = 7;
const view = { from: 0, to: END, scroll: 0, width: 800, height: 400, hover: null, chosen: null, filter: "", off: new Set() };
const OUTCOMES = {
  answered: "answered", invented: "the gateway's own answer", lost: "lost", aborted: "the client left", open: "open at the end",
};
const STATES = { starts: "starts", serves: "serves", drains: "drains", ended: "ended", dark: "gone without a word" };
const GROUPS = { gateways: "Gateways", sources: "Sources", servers: "Servers", clients: "Clients" };

const seconds = (micros, digits = 3) => (micros / 1e6).toFixed(digits) + " s";
const span = (micros) => micros >= 1e6 ? seconds(micros, 2) : micros >= 1000 ? (micros / 1000).toFixed(micros < 1e4 ? 1 : 0) + " ms" : micros + " µs";
const laneName = (lane) => data.lanes[lane].name;

// ---- lines of the trace, by time ----
data.times = data.lines.map((line) => {
  const [whole, part] = line.trimStart().split(" ", 1)[0].split(".");
  return Number(whole) * 1e6 + Number(part);
});
function lineAt(micros) {
  let [low, high] = [0, data.times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (data.times[middle] < micros) low = middle + 1; else high = middle;
  }
  return low;
}

// ---- what belongs to a lane ----
const byLane = () => data.lanes.map(() => []);
const on = { states: byLane(), configurations: byLane(), picks: byLane(), requests: byLane(), arrivals: byLane(), faults: byLane(), happenings: byLane() };
for (const kind of ["states", "configurations", "picks", "requests"]) {
  for (const thing of data[kind]) { thing.kind = kind; on[kind][thing.lane].push(thing); }
}
for (const request of data.requests) {
  request.end = request.to ?? END;
  request.words = [String(request.id), "s" + request.service, request.method, request.outcome, request.reason ?? "",
    String(request.status ?? ""), laneName(request.lane), request.gateway === null ? "" : laneName(request.gateway), ...request.arrivals.map((a) => laneName(a.lane))].map((word) => word.toLowerCase());
  for (const arrival of request.arrivals) {
    arrival.kind = "arrivals"; arrival.request = request; arrival.from = arrival.at; arrival.end = arrival.replied ?? Math.min(request.end, END);
    on.arrivals[arrival.lane].push(arrival);
  }
}
for (const fault of data.faults) { fault.kind = "faults"; fault.lanes.forEach((lane) => on.faults[lane].push(fault)); }
for (const happening of data.happenings) {
  happening.kind = "happenings";
  if (happening.lane !== null) on.happenings[happening.lane].push(happening);
}

// Things that overlap lie in rows of their own.
function pack(things, from, to) {
  const rows = [];
  for (const thing of things) {
    let row = rows.findIndex((end) => end <= from(thing));
    if (row < 0) row = rows.push(0) - 1;
    rows[row] = to(thing);
    thing.row = row;
  }
  return Math.max(rows.length, 1);
}

// ---- where lanes are ----
// Rows from the top: headings, the lane of faults, and the lanes of nodes. Few lanes are given more room than many.
const rows = [];
let contentHeight = 0;
function layOut() {
  rows.length = 0;
  let y = 0;
  const room = Math.max(view.height - AXIS, 100), many = data.lanes.length + 3;
  const tall = Math.max(16, Math.min(30, Math.floor((room - 8 * HEADING) / many)));
  if (data.faults.length > 0) {
    // A label needs some room; how much of it is there shows as one zooms in.
    const label = (END / Math.max(view.width - GUTTER, 100)) * 110;
    const needed = Math.min(pack(data.faults, (f) => f.from, (f) => Math.max(f.to, f.from + label)), FAULT_ROWS);
    const later = [];
    for (const fault of data.faults.toReversed()) {
      fault.next = later[fault.row % FAULT_ROWS];
      later[fault.row % FAULT_ROWS] = fault;
    }
    rows.push({ heading: "Faults", y, height: HEADING }); y += HEADING;
    rows.push({ faults: needed, y, height: needed * 17 + 4 }); y += needed * 17 + 4;
  }
  let group = null;
  data.lanes.forEach((lane, index) => {
    if (lane.group !== group) {
      group = lane.group;
      rows.push({ heading: GROUPS[group], y, height: HEADING }); y += HEADING;
    }
    lane.deep = group === "clients" ? pack(on.requests[index], (r) => r.from, (r) => r.end) : 1;
    const height = Math.max(tall, Math.min(lane.deep, 12) * 9 + 6);
    rows.push({ lane: index, y, height }); lane.y = y; lane.height = height; y += height;
  });
  contentHeight = y + 22;
}

const x = (micros) => GUTTER + ((micros - view.from) / (view.to - view.from)) * (view.width - GUTTER);
const timeAt = (px) => view.from + ((px - GUTTER) / (view.width - GUTTER)) * (view.to - view.from);
const top_ = (row) => AXIS + row.y - view.scroll;

function show(from, to) {
  const least = 2000, length = Math.min(Math.max(to - from, least), END * 1.02);
  view.from = Math.max(-END * 0.01, Math.min(from, END * 1.01 - length));
  view.to = view.from + length;
  repaint();
}
function zoom(factor, around) {
  show(around - (around - view.from) * factor, around + (view.to - around) * factor);
}
function scrollTo(y) {
  view.scroll = Math.max(0, Math.min(y, contentHeight - (view.height - AXIS)));
  repaint();
}

// ---- what the filter lets through ----
function passes(request) {
  if (view.off.has(request.outcome)) return false;
  return view.filter === "" || view.filter.split(/\s+/).every((part) => request.words.some((word) => word.startsWith(part)));
}
