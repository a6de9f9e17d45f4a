// Tables and lists of the page: quality, latency, rates, experts, themes, versions, the run's phases.
// Knows: which figure goes where. Does not know: how figures arrive, the user's own list (you.js).

import { Chart, className, heat, lineColour, lineStyle } from "./charts.js";
import { byId, clock, count, facts, make, ms, percent, say, table } from "./dom.js";

const SHOWN = 300; // seconds on a chart
const FEW = 10; // seconds that the load of experts and themes is averaged over

export class Boards {
  constructor() {
    this.ticks = [];
    this.bounds = [];
    this.figures = [];
    this.themes = [];
    this.rates = new Chart(byId("rates-chart"), { labels: ["clicks/s", "lists/s"] });
    this.latency = new Chart(byId("latency-chart"), { labels: ["p50", "p95", "p99"], unit: " ms", log: true });
    this.quality = null;
  }

  begin(now) {
    this.bounds = now.bounds_ms;
    this.ticks = now.ticks;
    this.figures = now.quality;
    if (this.ticks.length) this.showTicks();
    else this.showNothing();
    this.showQuality();
    this.showRun(now.run);
  }

  showNothing() {
    facts(byId("percentiles"), [["p50", ms(null)]]);
    facts(byId("rates"), [["clicks/s", "0"], ["lists/s", "0"]]);
    say(byId("heat-note"), "Nothing has been counted yet; figures come once a second.");
    this.showExperts([]);
  }

  tick(tick) {
    this.ticks.push(tick);
    if (this.ticks.length > 600) this.ticks.shift();
    this.showTicks();
  }

  showTicks() {
    const shown = this.ticks.slice(-SHOWN), newest = shown.at(-1);
    const at = shown.map((tick) => tick.at_ms / 1000);
    const of = (name) => shown.map((tick) => tick[name]);
    this.rates.set([at, of("clicks"), of("lists")]);
    const tall = (name) => of(name).map((took) => took && Math.max(took, 0.1)); // a logarithm has no 0
    this.latency.set([at, tall("p50"), tall("p95"), tall("p99")]);
    facts(byId("percentiles"), ["p50", "p95", "p99"].map((name) => [name, ms(newest[name])]));
    facts(byId("rates"), [["clicks/s", count(newest.clicks)], ["lists/s", count(newest.lists)]]);
    heat(byId("heat"), this.bounds, shown);
    this.showHeat(shown.slice(-60));
    const few = shown.slice(-FEW);
    this.showExperts(few.filter((tick) => tick.experts.length), few.some((tick) => tick.lists));
    this.showThemes(few);
  }

  showHeat(minute) {
    const sums = minute.reduce((all, tick) => tick.latency.map((number, at) => number + (all[at] || 0)), []);
    const total = sums.reduce((sum, number) => sum + number, 0);
    const top = sums.indexOf(Math.max(...sums));
    say(byId("heat-note"), total
      ? `Of ${count(total)} clicks of the last minute most (${percent(sums[top] / total, 0)}) took ${className(this.bounds, top)} ms. Older seconds stand left; darker is more.`
      : "No click was answered in the last minute.");
  }

  addQuality(record) {
    this.figures.push(record);
    if (this.figures.length > 3000) this.figures.shift();
    clearTimeout(this.later); // all lines of a report arrive together
    this.later = setTimeout(() => this.showQuality(), 50);
  }

  showQuality() {
    const order = ["served", "model", "memory", "twin"];
    const place = (line) => (order.includes(line) ? order.indexOf(line) : order.length);
    const newest = new Map();
    const rows = new Map(); // events on the topic → line → record
    for (const record of this.figures) {
      newest.set(record.line, record);
      const x = Object.values(record.upto).reduce((sum, offset) => sum + offset, 0);
      if (!rows.has(x)) rows.set(x, new Map());
      rows.get(x).set(record.line, record);
    }
    const lines = [...newest.keys()].sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
    const number = (record, name) => (record?.metrics[name] === undefined ? "–" : record.metrics[name].toFixed(4));
    const keyed = (line, at) => {
      const key = make("span", { className: "key", "aria-hidden": "true" });
      key.style.borderTopColor = lineColour(at);
      key.style.borderTopStyle = lineStyle(at);
      return make("span", {}, key, line);
    };
    const element = byId("quality");
    if (!lines.length) {
      table(element, ["line"], []);
      say(byId("quality-note"), "No event has been judged yet: a list is judged by its user's next click, once an evaluator runs.");
      return;
    }
    table(element, ["line", "recall@10", "90 % interval", "nDCG@10", "MRR", "events", "users"], lines.map((line, at) => {
      const record = newest.get(line), { low, high } = record.metrics;
      return [keyed(line, at), number(record, "recall@10"),
        low === undefined ? "–" : `${low.toFixed(4)} to ${high.toFixed(4)}`,
        number(record, "ndcg@10"), number(record, "mrr"), count(record.events), count(record.users)];
    }));
    say(byId("quality-note"), [
      lines.includes("twin") ? "" : "No frozen twin is judged beside these lines.",
      "The shaded band is the 90 % interval of served; intervals need 100 users.",
    ].join(" ").trim());
    this.chartQuality(lines, rows);
  }

  chartQuality(lines, rows) {
    const withBand = lines.includes("served");
    const labels = withBand ? [...lines, "served: high", "served: low"] : lines;
    if (this.quality?.labels.join() !== labels.join()) {
      this.quality?.remove();
      const band = withBand ? [labels.length - 1, labels.length] : null;
      this.quality = new Chart(byId("quality-chart"), { labels, time: false, band });
    }
    const xs = [...rows.keys()].sort((a, b) => a - b);
    const of = (line, name) => xs.map((x) => rows.get(x).get(line)?.metrics[name] ?? null);
    const data = [xs, ...lines.map((line) => of(line, "recall@10"))];
    if (withBand) data.push(of("served", "high"), of("served", "low"));
    this.quality.set(data);
  }

  showExperts(ticks, anyList = false) {
    const newest = ticks.at(-1);
    if (!newest) {
      byId("experts").replaceChildren(make("p", {}, anyList
        ? "No list of the last ten seconds came from a network with experts."
        : "No list came in the last ten seconds."));
      return;
    }
    const alike = ticks.filter((tick) => tick.experts.length === newest.experts.length);
    byId("experts").replaceChildren(...newest.experts.flatMap((experts, layer) => [
      make("h3", {}, `Layer ${layer + 1}`),
      ...experts.map((_, expert) => {
        const share = alike.reduce((sum, tick) => sum + (tick.experts[layer][expert] ?? 0), 0) / alike.length;
        const even = 1 / experts.length;
        const name = `Expert ${expert + 1}`;
        const word = share < even / 10 ? " ✗" : share > 2.5 * even ? " ▲" : "";
        return make("div", { className: "layer" },
          make("span", {}, name + word),
          make("meter", { min: 0, max: 1, value: share, "aria-label": `Layer ${layer + 1}, ${name}: share of tokens` }),
          make("span", { className: "amount" }, percent(share, 0)));
      }),
    ]));
  }

  showThemes(ticks) {
    const live = new Map();
    const some = ticks.filter((tick) => tick.themes.length);
    for (const tick of some) for (const theme of tick.themes) {
      live.set(theme.id, (live.get(theme.id) || 0) + theme.weight / some.length);
    }
    const drifted = (theme) => (theme.drift === null ? "–" : `${theme.drift.toFixed(3)}${theme.drift > 0.1 ? " ⚠" : ""}`);
    table(byId("themes"), ["theme", "items", "of items", "of training events", "drift", "of lists now"], this.themes.map((theme) => [
      `${theme.id} ${theme.label}`, count(theme.num_items), percent(theme.share_of_items),
      percent(theme.share_of_events), drifted(theme), live.has(theme.id) ? percent(live.get(theme.id)) : "–",
    ]));
  }

  setThemes(told) {
    this.themes = told.themes;
    say(byId("theme-note"), told.model === null
      ? "No version has been published, so there are no themes yet."
      : told.before === null ? `Of version ${told.model}, the first one here: drift is measured from the next one on.`
      : `Of version ${told.model}. Drift is how far a theme's centre turned since version ${told.before}, 1 − cosine: 0 stayed, 1 a right angle; ⚠ above 0.1.`);
    this.showThemes(this.ticks.slice(-FEW));
  }

  setVersions(told) {
    byId("versions").replaceChildren(...told.versions.map((one) => {
      const what = one.serves ? "serves" : one.withdrawn ? "withdrawn" : "served before";
      const gate = one.gate ? `gate: ${one.gate.verdict}, ${one.gate.reason}` : "published without a gate";
      return make("li", { data: { serves: String(one.serves) } },
        make("strong", {}, `${one.version} ${what}`),
        ` · ${one.published_ms ? clock(one.published_ms) : "time unknown"} · ${count(one.events)} events learned`,
        one.parent ? ` · after ${one.parent}` : "", ` · ${gate}`);
    }));
    say(byId("versions-note"), told.versions.length ? "Oldest first." : "No version has been published yet; lists are what is popular.");
  }

  showRun(run) {
    if (!run) {
      byId("phases").replaceChildren();
      facts(byId("facts"), [["Replay", "nobody says that one runs here (a demo would)"]]);
      return;
    }
    const phases = run.phases.map((phase) => make("li", { data: { state: phase.state } },
      phase.state === "done" ? "✓ " : "▶ ", make("strong", {}, phase.name), ` ${phase.text}`,
      phase.seconds === null || phase.seconds === undefined ? "" : ` (${phase.seconds.toFixed(1)} s)`));
    const shown = JSON.stringify(run.phases);
    if (byId("phases").dataset.shown !== shown) {
      byId("phases").dataset.shown = shown;
      byId("phases").replaceChildren(...phases);
    }
    facts(byId("facts"), [
      ["Data set", run.dataset], ["Licence", run.licence], ["Pace", run.pace],
      ["Replayed", run.total ? `${count(run.sent)} of ${count(run.total)} clicks` : "nothing yet"],
      ["Replay", run.stopped ? "ended" : run.waiting ? "paused: it waits for the scorer" : run.total ? "runs" : "not begun"],
      ["Pause and pace", "the pace is set at the start (--rate, --speed); neither can be changed here yet"],
    ]);
  }
}
