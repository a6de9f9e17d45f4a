// The page put together: what is asked at the start, what is listened to, and the one line that says how it is.

import { ask, listen } from "./api.js";
import { Boards } from "./boards.js";
import { redrawAll } from "./charts.js";
import { byId, clock, ms, say } from "./dom.js";
import { You } from "./you.js";

const LOOK_MS = 3000;
const LATE_MS = 2000; // a list that takes longer is late, as for the server's label `behind`
const FEW = 10; // seconds in which clicks without any list are worth a word
const SIGNS = { loading: "…", live: "●", empty: "○", degraded: "▲", disconnected: "✕" };

const boards = new Boards();
const world = { connected: null, silent: false, loaded: false, ready: null, run: null, heard_ms: 0, degraded: 0 };
let stop = () => {};

function state() {
  if (world.connected === false || world.silent) {
    const since = world.heard_ms ? ` What is shown is from ${clock(world.heard_ms)}.` : "";
    return ["disconnected", `Disconnected: the server does not answer; trying again by itself.${since}`];
  }
  if (!world.loaded || world.ready === null) return ["loading", "Loading: asking the server what it knows."];
  const phase = world.run && !world.run.stopped && world.run.phases.find((one) => one.state === "now");
  const starting = phase && phase.name !== "replay" ? ` The run is at “${phase.name}”: ${phase.text}.` : "";
  if (!world.ready.ready) return ["degraded", `Degraded: ${world.ready.reasons.join("; ")}.${starting}`];
  if (!world.ready.lists) return ["empty", `Nothing to see yet: no list has been made.${starting || " Click something below, or start a replay."}`];
  if (world.degraded) return ["degraded", `Degraded: ${world.degraded} of the last second's lists were made without the model.${starting}`];
  const late = lateness();
  if (late) return ["degraded", `Late: ${late}${starting}`];
  return ["live", `Live: newest lists of ${world.ready.lists.toLocaleString("en")} users, ${world.ready.items.toLocaleString("en")} titles.${starting}`];
}

/** What is wrong with the time that lists take; nothing where it is well. */
function lateness() {
  const few = boards.ticks.slice(-FEW), newest = few.at(-1);
  const sum = (name) => few.reduce((all, tick) => all + tick[name], 0);
  if (few.length === FEW && sum("clicks") > FEW && !sum("lists")) {
    return `clicks arrive, and no list came in the last ${FEW} seconds.`;
  }
  if (newest?.p50 > LATE_MS) return `half of the last minute's clicks waited ${ms(newest.p50)} or longer for their list.`;
  return "";
}

function showState() {
  const [name, text] = state();
  byId("state").dataset.state = name;
  say(byId("state").querySelector(".sign"), SIGNS[name]);
  say(byId("state").querySelector(".text"), text);
}

async function look() {
  try {
    world.ready = await ask("/health/ready");
    world.silent = false;
    if (!world.loaded) await begin();
  } catch {
    world.silent = true;
  }
  showState();
}

async function begin() {
  const now = await ask("/now");
  world.run = now.run;
  boards.begin(now);
  world.loaded = true;
  showState();
  await Promise.all([versions(), you.refresh()]);
}

async function versions() {
  try {
    boards.setVersions(await ask("/models"));
    boards.setThemes(await ask("/themes"));
  } catch {
    // the next announcement, or the next look, tries again
  }
}

function follow(user) {
  stop();
  stop = listen(user, {
    tick: (tick) => {
      world.heard_ms = tick.at_ms;
      world.degraded = tick.degraded;
      if (world.loaded) boards.tick(tick);
      showState();
    },
    run: (run) => {
      world.run = run;
      boards.showRun(run);
    },
    quality: (record) => world.loaded && boards.addQuality(record),
    version: () => versions().then(() => you.refresh()),
    list: (made) => you.arrived(made),
  }, (connected) => {
    const back = world.connected === false && connected;
    world.connected = connected;
    if (back) world.loaded = false; // what was missed is asked for
    if (back) look();
    showState();
  });
}

const you = new You(follow);
follow(you.name);
look();
setInterval(look, LOOK_MS);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  redrawAll();
  if (boards.ticks.length) boards.showTicks();
});
