// How the page speaks to the server: JSON asked for, clicks sent, events listened to.
// Knows: routes, the token. Does not know: what is shown.

const TOKEN = "hopstream-token";

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function answered(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, "The server does not answer.");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok && !(path === "/health/ready" && answer.status === 503)) {
    throw new Refused(answer.status, body.detail || body.title || `Status ${answer.status}.`);
  }
  return body;
}

export const ask = (path) => answered(path);

export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/** Send one click; where it lies once the broker has it. */
export async function click(user, item) {
  const headers = { "Content-Type": "application/json" };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  const event = { event: "interaction", ts: Date.now(), user, item, type: "click", source: "page" };
  const stored = await answered("/events", { method: "POST", headers, body: JSON.stringify(event) });
  return stored.accepted[0];
}

/** A stream of events that comes back by itself; `close` ends it. */
export function listen(user, handlers, connected) {
  let source, timer, closed = false;
  const open = () => {
    source = new EventSource(`/stream?user=${encodeURIComponent(user)}`);
    source.onopen = () => connected(true);
    source.onerror = () => {
      connected(false);
      if (source.readyState === EventSource.CLOSED && !closed) timer = setTimeout(open, 2000);
    };
    for (const [name, take] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => take(JSON.parse(event.data)));
    }
  };
  open();
  return () => {
    closed = true;
    clearTimeout(timer);
    source.close();
  };
}
