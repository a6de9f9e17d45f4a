// Line charts by uPlot and the heat strip; each line has its own dash, so none needs its colour.
// Knows: how to draw. Does not know: where figures come from.

const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [14, 4]];
const HEIGHT = 190;

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const lineColour = (number) => colour(`--l${number % 6}`);
export const lineStyle = (number) => (number % 3 === 1 ? "dashed" : number % 3 === 2 ? "dotted" : "solid");

const charts = new Set();

/** A chart of these lines; `set` takes [xs, ys, ys, …]. `band`: indices [high, low] of two lines to fill between.
 * `log`: powers of ten stand evenly, so that one slow start does not flatten all that follows. */
export class Chart {
  constructor(element, { labels, time = true, unit = "", band = null, log = false }) {
    Object.assign(this, { element, labels, time, unit, band, log, data: [[], ...labels.map(() => [])] });
    this.plot = null;
    new ResizeObserver(() => this.resize()).observe(element);
    charts.add(this);
  }

  set(data) {
    this.data = data;
    if (this.plot) this.plot.setData(data);
    else this.draw();
  }

  draw() {
    const width = this.element.clientWidth;
    if (!width || !window.uPlot) return;
    this.plot?.destroy();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false } };
    const tell = (value) => (value === null || value === undefined ? "–" : `${+value.toFixed(4)}${this.unit}`);
    const bands = this.band
      ? [{ series: this.band, fill: `rgba(${colour("--heat")}, 0.16)` }]
      : [];
    this.plot = new window.uPlot(
      {
        width, height: HEIGHT, bands,
        cursor: { drag: { x: false, y: false } },
        scales: { x: { time: this.time }, y: this.log ? { distr: 3 } : { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
        axes: [
          { ...axis, ...(this.time ? {} : { label: "events on the topic", labelSize: 16, labelFont: "11px system-ui, sans-serif" }) },
          { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => this.mark(tick)) },
        ],
        legend: { live: false, markers: { width: 3, dash: (_, at) => lineStyle(at - 1) } },
        series: [{ label: this.time ? "time" : "events" }, ...this.labels.map((label, number) => ({
          label,
          class: this.band?.includes(number + 1) ? "band" : null,
          stroke: this.band?.includes(number + 1) ? "transparent" : lineColour(number),
          dash: DASHES[number % DASHES.length],
          width: 2, spanGaps: !this.time, points: { show: (plot) => plot.data[0].length < 3 },
          value: (_, value) => tell(value),
        }))],
      },
      this.data,
      this.element,
    );
  }

  /** A figure at an axis; null where a logarithmic one has no room. */
  mark(tick) {
    if (tick === null) return "";
    return this.unit === " ms" && tick >= 1000 ? `${tick / 1000} s` : `${+tick.toFixed(4)}${this.unit}`;
  }

  resize() {
    const width = this.element.clientWidth;
    if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
    else if (!this.plot && this.data[0].length) this.draw();
  }

  remove() {
    this.plot?.destroy();
    charts.delete(this);
  }
}

export function redrawAll() {
  for (const chart of charts) if (chart.plot) chart.draw();
}

export const className = (bounds, at) =>
  at === 0 ? `≤ ${bounds[0]}` : at === bounds.length ? `> ${bounds.at(-1)}` : `${bounds[at - 1]}–${bounds[at]}`;

/** One column per second, one row per class, the darker the larger its share of that second's clicks. */
export function heat(canvas, bounds, ticks) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const left = 82, rows = bounds.length + 1, tall = height / rows;
  const columns = 120, wide = (width - left) / columns;
  pen.font = "10px system-ui, sans-serif";
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.fillStyle = colour("--quiet");
  for (let row = 0; row < rows; row++) {
    pen.fillText(`${className(bounds, row)} ms`, left - 5, height - (row + 0.5) * tall);
  }
  ticks.slice(-columns).forEach((tick, column, shown) => {
    const all = tick.latency.reduce((sum, number) => sum + number, 0);
    tick.latency.forEach((number, row) => {
      if (!number) return;
      pen.fillStyle = `rgba(${colour("--heat")}, ${0.2 + (0.8 * number) / all})`;
      pen.fillRect(width - (shown.length - column) * wide, height - (row + 1) * tall, Math.max(1, wide), tall - 1);
    });
  });
}
