// What the page asks of the node.  It keeps a key in place of the token, for all tabs of this address.

const KEY = "vfl-node-key";

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const key = () => JSON.parse(localStorage.getItem(KEY) ?? "null");

function keep(found) {
  localStorage.setItem(KEY, JSON.stringify(found));
}

export function forget() {
  localStorage.removeItem(KEY);
}

async function ask(method, path, token, signal) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { method, headers, signal, cache: "no-store" });
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, typeof said.detail === "string" ? said.detail : `the node answered ${answer.status}`);
  }
  return answer;
}

export const get = async path => (await ask("GET", path, key()?.key)).json();
export const post = async path => (await ask("POST", path, key()?.key)).json();

export async function signIn(token) {
  keep(await (await ask("POST", "/v1/keys", token)).json());
}

export async function signOut() {
  await ask("DELETE", "/v1/keys", key()?.key).catch(() => null);
  forget();
}

// A key in the address, as `vfl demo --board` opens it; it never leaves this machine and is removed from the address.
export async function takeKey() {
  const found = /^#key=([0-9a-f]{64})$/.exec(location.hash);
  if (!found) return;
  history.replaceState(null, "", location.pathname);
  await signIn(found[1]);
}

export async function follow(seen, signal) {
  const answer = await ask("GET", "/v1/board/stream", key()?.key, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter(line => line.startsWith("data: ")).map(line => line.slice(6)).join("");
      if (data) seen(JSON.parse(data));
    }
  }
}
