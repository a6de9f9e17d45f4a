// "Be a user": search, click, and see what that click did to your list, with its own milliseconds.
// Knows: one user's list and session. Does not know: everybody's figures (boards.js).

import { Refused, ask, click, useToken } from "./api.js";
import { byId, clock, make, percent, say } from "./dom.js";

const NUM_SHOWN = 10;
const NAME = "hopstream-user";

export class You {
  /** `changed`: called with the new name when you become somebody else. */
  constructor(changed) {
    this.changed = changed;
    this.shown = null; // the list that is shown
    this.busy = false;
    this.name = sessionStorage.getItem(NAME) || somebody();
    byId("user").value = this.name;
    byId("user").addEventListener("change", () => this.become(byId("user").value.trim()));
    byId("fresh").addEventListener("click", () => this.become(somebody()));
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.search();
    });
    byId("q").addEventListener("input", () => {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.search(), 250);
    });
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      useToken(byId("token").value);
      byId("token-form").hidden = true;
      say(byId("click-note"), "The token is kept for this tab; click again.");
    });
    sessionStorage.setItem(NAME, this.name);
  }

  become(name) {
    this.name = name || somebody();
    byId("user").value = this.name;
    sessionStorage.setItem(NAME, this.name);
    this.shown = null;
    say(byId("click-note"), "");
    this.changed(this.name);
    this.refresh();
  }

  async search() {
    const words = byId("q").value.trim(), note = byId("found-note");
    if (!words) {
      byId("found").replaceChildren();
      say(note, "");
      return;
    }
    try {
      const { items } = await ask(`/items?n=8&q=${encodeURIComponent(words)}`);
      if (byId("q").value.trim() !== words) return;
      byId("found").replaceChildren(...items.map((one) => make("li", {}, this.button(one.item, one.title))));
      say(note, items.length ? `${items.length} found, best known first.` : `No title holds “${words}”.`);
    } catch (error) {
      say(note, error.message);
    }
  }

  button(item, title) {
    const name = title || item;
    return make("button", { type: "button", onclick: () => this.click(item, name), title: `Click ${name}` }, name);
  }

  async click(item, name) {
    if (this.busy) return;
    this.busy = true;
    const note = byId("click-note"), began = performance.now();
    say(note, `Clicked ${name} …`);
    try {
      const place = await click(this.name, item);
      const stored = performance.now();
      const answer = await this.fetchList(place.offset);
      const answered = performance.now();
      this.show(answer);
      await new Promise((drawn) => requestAnimationFrame(drawn));
      const took = performance.now() - began;
      const late = answer.degraded === "behind" ? ` The list does not know this click yet: ${answer.reason}.` : "";
      note.dataset.ms = took.toFixed(1);
      say(note, `${name}: your list changed in ${Math.round(took)} ms (${Math.round(stored - began)} ms until the broker had the click, ${Math.round(answered - stored)} ms until the list knew it).${late}`);
      this.showUser();
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        byId("token-form").hidden = false;
        byId("token").focus();
      }
      say(note, `The click was not taken: ${error.message}`);
    } finally {
      this.busy = false;
    }
  }

  fetchList(offset) {
    const knows = offset === undefined ? "" : `&min_offset=${offset}`;
    return ask(`/recommend/${encodeURIComponent(this.name)}?n=${NUM_SHOWN}&explain=true${knows}`);
  }

  async refresh() {
    try {
      const answer = await this.fetchList();
      this.show(answer);
      if (answer.state === null) this.showNobody();
      else await this.showUser();
    } catch (error) {
      say(byId("list-note"), error.message);
    }
  }

  /** A list of ours arrived on the topic; one that our own click waits for is shown by the click. */
  arrived(made) {
    if (!this.busy && made.user === this.name && made.list !== this.shown?.list) this.refresh();
  }

  show(answer) {
    const before = new Map((this.shown?.items || []).map((one, at) => [one.item, at]));
    const first = this.shown === null;
    this.shown = answer;
    const focused = document.activeElement?.closest("#list li")?.dataset.item;
    byId("list").replaceChildren(...answer.items.map((one, at) => this.place(one, at, before, first)));
    const again = focused && [...byId("list").children].find((row) => row.dataset.item === focused);
    if (focused) (again?.querySelector("button") || byId("q")).focus();
    const by = answer.model === null ? "no version yet" : `version ${answer.model}`;
    const knows = answer.state === null ? "nothing of you" : `${answer.state.events} of your events`;
    const label = answer.degraded === null ? "" : `Degraded (${answer.degraded}): ${answer.reason}. `;
    say(byId("list-note"), `${label}By ${by}; it knows ${knows}.`);
  }

  place(one, at, before, first) {
    const was = before.get(one.item);
    const [kind, word] = first || was === at ? ["same", first ? "" : "= same"]
      : was === undefined ? ["new", "★ new"]
      : was > at ? ["up", `▲ up ${was - at}`] : ["down", `▼ down ${at - was}`];
    return make("li", { data: { item: one.item }, className: kind === "same" ? "" : "moved" },
      make("span", { className: "place" }, `${at + 1}.`),
      make("span", { className: `move ${kind}` }, word),
      make("div", {}, this.button(one.item, one.title), make("div", { className: "why" }, reason(one.why))));
  }

  showNobody(why = "Nothing is remembered of you yet: click something.") {
    byId("session").replaceChildren();
    byId("my-themes").replaceChildren();
    say(byId("themes-note"), why);
  }

  async showUser() {
    let told;
    try {
      told = await ask(`/users/${encodeURIComponent(this.name)}`);
    } catch (error) {
      this.showNobody(error.message);
      return;
    }
    const open = told.sessions.find((session) => session.open);
    say(byId("themes-note"), `${told.events} events in ${told.sessions.length} session${told.sessions.length === 1 ? "" : "s"}; the open one looks like:`);
    byId("my-themes").replaceChildren(...told.themes.slice(0, 3).map((theme) =>
      make("li", {}, `theme ${theme.id} ${theme.label} (${percent(theme.weight, 0)})`)));
    byId("session").replaceChildren(...(open?.events || []).map((event) =>
      make("li", {}, `${event.title || event.item} · ${event.type}, ${clock(event.ts)}`)));
  }
}

function reason(why) {
  if (!why) return "";
  const parts = [];
  const facet = why.facets[0];
  if (facet && why.weight !== 0) { // the memory alone ranked this list: facets add nothing
    const near = facet.nearest ? `, near your ${facet.nearest.title || facet.nearest.item} (cosine ${facet.nearest.cosine.toFixed(2)})` : "";
    parts.push(`facet ${facet.facet + 1} of ${why.facets.length} adds most (${facet.term.toFixed(2)})${near}`);
  }
  if (why.weight !== null && why.memory) parts.push(`often taken after your items (memory ${why.memory.toFixed(3)}; the model counts ${percent(why.weight, 0)})`);
  if (why.boost) parts.push(`a rule adds ${why.boost}`);
  return parts.join("; ") || (why.cosine === null ? "popular" : `cosine ${why.cosine.toFixed(2)}`);
}

const somebody = () => `visitor-${Math.random().toString(36).slice(2, 8)}`;
