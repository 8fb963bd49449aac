// The board: signs in, follows the node, and does what is clicked.

import * as node from "./node.js";
import { h, show } from "./parts.js";
import * as sections from "./sections.js";
import { listed } from "./words.js";

const at = id => document.getElementById(id);
const page = { board: null, jobs: new Map(), ledgers: new Map(), may: () => node.key()?.roles.includes("approve") ?? false };
let states = null, following = null, confirmed = null;

function draw() {
  const board = page.board;
  if (!board) return;
  document.title = `${board.party}: vfl node`;
  at("party").textContent = board.party;
  at("kind").textContent = `vfl node of the ${board.role}, release ${board.release}`;
  for (const [id, view] of Object.entries(sections.VIEWS)) show(at(id), view(board, page));
  for (const id of ["online", "stopped"]) at(id).hidden = !at(id).childNodes.length;
}

function seen(board) {
  page.board = board;
  live("live");
  at("board").hidden = false;
  const now = new Map(board.jobs.map(job => [job.digest, job]));
  for (const [digest, job] of now)
    if (states && states.get(digest)?.state !== job.state) say(`${sections.named(job)} is ${sections.STATES[job.state]}`);
  states = now;
  for (const job of board.jobs) if (job.state === "waiting") ask(page.jobs, job.digest, `/v1/jobs/${job.digest}`);
  draw();
}

async function ask(store, name, path) {
  if (store.has(name)) return;
  store.set(name, { loading: true });
  try {
    store.set(name, { content: await node.get(path) });
  } catch (error) {
    store.set(name, { problem: error.message });
  }
  draw();
}

const say = text => (at("said").textContent = text);
const problem = text => (at("problem").textContent = text);

function live(state) {
  at("live").dataset.state = state;
  at("live").textContent = state === "live" ? "live" : "connection lost, trying again";
}

async function follow() {
  following?.abort();
  const control = (following = new AbortController());
  at("sign-in").hidden = true;
  at("who").hidden = false;
  at("user").textContent = `${node.key().user} may ${listed(node.key().roles)}`;
  while (!control.signal.aborted) {
    try {
      await node.follow(seen, control.signal);
    } catch (error) {
      if (control.signal.aborted) return;
      if (error.status === 401) return signedOut("The key has ended: sign in again.");
      if (error.status === 403) return signedOut(error.message);
    }
    if (control.signal.aborted) return;
    live("lost");
    await new Promise(after => setTimeout(after, 1500));
  }
}

function signedOut(why = "") {
  following?.abort();
  node.forget();
  Object.assign(page, { board: null, jobs: new Map(), ledgers: new Map() });
  states = null;
  at("board").hidden = at("who").hidden = true;
  at("sign-in").hidden = false;
  problem(why);
  at("token").focus();
}

function confirm(title, text, yes, action) {
  confirmed = action;
  at("confirm-title").textContent = title;
  show(at("confirm-text"), text);
  at("confirm-yes").textContent = yes;
  at("confirm").showModal();
}

async function decide(digest, what) {
  try {
    await node.post(`/v1/jobs/${digest}/${what}`);
    problem("");
  } catch (error) {
    problem(`It was not done: ${error.message}`);
  }
}

const ACTIONS = {
  approve(digest) {
    const job = states.get(digest);
    const others = listed(job.parties.filter(name => name !== page.board.party));
    confirm(`Approve ${sections.named(job)}?`, sections.approval(job, others), "Approve", () => decide(digest, "approve"));
  },
  cancel(digest) {
    const job = states.get(digest);
    const text = h("p", {}, "A run of it is stopped, and its partners are informed. What it has disclosed cannot be withdrawn.");
    confirm(`Withdraw the approval of ${sections.named(job)}?`, text, "Withdraw", () => decide(digest, "cancel"));
  },
  ledger(run) {
    if (page.ledgers.delete(run)) return draw();
    ask(page.ledgers, run, `/v1/runs/${run}/ledger`);
  },
  async confirm() {
    const action = confirmed;
    at("confirm").close();
    await action?.();
  },
  dismiss: () => at("confirm").close(),
  async "sign-out"() {
    await node.signOut();
    signedOut();
  },
};

document.addEventListener("click", event => {
  const button = event.target.closest("[data-action]");
  if (button) ACTIONS[button.dataset.action](button.dataset.value);
});
at("sign-in-form").addEventListener("submit", async event => {
  event.preventDefault();
  try {
    await node.signIn(at("token").value.trim());
    at("token").value = "";
    problem("");
    follow();
  } catch (error) {
    problem(error.status === 401 ? "No user has this token." : error.message);
  }
});
window.addEventListener("storage", () => (node.key() ? follow() : signedOut()));

try {
  await node.takeKey();
  if (!node.key() && location.protocol === "https:") await node.signIn(""); // by a certificate
} catch {
  // nobody is signed in
}
if (node.key()) follow();
else signedOut();
