// What each part of the page says, as elements.

import { h } from "./parts.js";
import * as words from "./words.js";

export const STATES = {
  waiting: "waiting for approval",
  approved: "approved, and starts soon",
  running: "running",
  cancelling: "being stopped",
  cancelled: "cancelled",
  done: "done",
  failed: "failed",
};
const GOING = ["approved", "running", "cancelling"];
const SOON = 30;

const title = (id, text, count) =>
  h("h2", { id: `${id}-title` }, text, count ? h("span", { class: "count" }, ` ${count}`) : null);
const empty = (...text) => h("p", { class: "soft" }, ...text);
const button = (action, value, text, attributes = {}) =>
  h("button", { type: "button", "data-action": action, "data-value": value, ...attributes }, text);
const groups = digest => h("code", { class: "digest" }, digest.match(/.{8}/g).flatMap(part => [part, h("wbr")]));

function facts(pairs) {
  return h("dl", {}, Object.entries(pairs).map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
}

const sentence = text => text.charAt(0).toUpperCase() + text.slice(1);

export const named = job => (job.command === "predict" ? `the prediction of ${job.job}` : job.job);

function partners(job, board) {
  return words.listed(job.parties.filter(name => name !== board.party));
}

function summary(board) {
  const count = states => board.jobs.filter(job => states.includes(job.state)).length;
  const ends = [board.own, ...board.partners].map(one => one.days_left).filter(days => days !== null);
  const tile = (id, number, text) =>
    h("a", { class: "tile", href: `#${id}`, "data-key": id }, h("span", { class: "big" }, number), h("span", { class: "name" }, text));
  const over = finished(board).length;
  return [
    tile("waiting", words.number(count(["waiting"])), "waiting for approval"),
    tile("running", words.number(count(GOING)), "running"),
    tile("runs", words.number(over), over === 1 ? "run" : "runs"),
    tile("partners", ends.length ? words.number(Math.min(...ends)) : "-", "days until a certificate expires"),
  ];
}

function waiting(board, page) {
  const jobs = board.jobs.filter(job => job.state === "waiting");
  const refused = Object.entries(board.refused);
  return [
    title("waiting", "Waiting for approval", jobs.length),
    jobs.length ? null : empty("No job waits. ", h("code", {}, "vfl node submit job.toml party.toml"), " adds one."),
    jobs.map(job => candidate(job, board, page)),
    refused.map(([file, why]) => h("p", { class: "caution", "data-key": file }, h("strong", {}, file), ` in the inbox is no job of this party: ${why}`)),
  ];
}

function candidate(job, board, page) {
  const { content, problem } = page.jobs.get(job.digest) ?? {};
  return h("article", { class: "job", "data-key": job.digest, "aria-label": named(job) },
    h("h3", {}, job.job),
    h("p", { class: "soft small" }, `${words.command(job.command)} with ${partners(job, board)}; submitted by ${job.submitted_by}, ${words.moment(job.submitted)}`),
    job.called ? h("p", { class: "called" }, `A partner has started this job and waits: it last called ${words.moment(job.called)}.`) : null,
    job.message ? h("p", { class: "called" }, `${job.message}.`) : null,
    problem ? h("p", { class: "caution" }, problem) : null,
    own(job, board),
    content ? disclosure(content) : h("p", { class: "soft" }, "Reading the job…"),
    h("p", { class: "small soft digest-line" }, "Digest of the job, to compare with the partners: ", groups(job.job_digest)),
    page.may()
      ? h("p", { class: "actions" }, button("approve", job.digest, "Approve…", { "aria-label": `Approve ${named(job)}` }),
          button("cancel", job.digest, "Refuse…", { class: "quiet", "aria-label": `Refuse ${named(job)}` }))
      : empty("Your roles do not include approve."));
}

function own(job, board) {
  if (job.command !== "predict") return null;
  return [
    facts({
      ...(board.role === "arbiter" ? {} : { "table to be scored": job.data ?? "the one that the party file names" }),
      "model": job.model ?? "none: this party keeps no part of it",
      ...(job.out ? { "scores go to": job.out } : {}),
    }),
    h("p", { class: "small soft" }, "Nothing is trained. Of the following, what concerns the matching of customers and the scoring of rows happens."),
  ];
}

function disclosure({ shown, text }) {
  const { disclosed } = shown;
  const sentences = [
    ...disclosed.permits.map(one => [sentence(one.discloses), one.permit]),
    ...disclosed.rounded.map(one => [sentence(one), null]),
    ...disclosed.sizes.map(one => [one, "no permission is needed"]),
  ];
  return [
    h("h4", {}, "What it discloses"),
    h("ul", { class: "discloses" }, sentences.map(([what, permit]) =>
      h("li", {}, h("span", { class: "what" }, what), permit ? h("span", { class: "permit" }, permit) : null))),
    shown.cautions.map(one => h("p", { class: "caution" }, h("strong", {}, "Caution: "), one)),
    disclosed.unused.length ? h("p", { class: "caution" }, `The job allows ${words.listed(disclosed.unused)}, which none of its messages needs.`) : null,
    h("details", {}, h("summary", {}, "What the job does"), facts(shown.facts)),
    disclosed.together.length
      ? h("details", {}, h("summary", {}, "What parties could learn together, against the agreement"),
          h("ul", {}, disclosed.together.map(one => h("li", {}, one))))
      : null,
    h("details", {}, h("summary", {}, "The job file"), h("pre", { tabindex: 0, "aria-label": "The job file" }, text)),
  ];
}

export function approval(job, others) {
  return [
    h("p", {}, `It starts at once, and runs with ${others}. The ledger of the run will say that you approved it.`),
    h("p", { class: "small soft" }, "Digest of the job: ", groups(job.job_digest)),
  ];
}

function running(board, page) {
  const jobs = board.jobs.filter(job => GOING.includes(job.state));
  return [
    title("running", "Running", jobs.length),
    jobs.length ? null : empty("No job runs."),
    jobs.map(job => underway(job, board, page)),
  ];
}

function underway(job, board, page) {
  const now = job.progress;
  return h("article", { class: "job", "data-key": job.digest, "aria-label": named(job) },
    h("div", { class: "line" }, h("h3", {}, job.job),
      page.may() ? button("cancel", job.digest, "Withdraw…", { class: "quiet", "aria-label": `Withdraw the approval of ${named(job)}` }) : null),
    h("p", { class: "soft small" }, `${words.command(job.command)} with ${partners(job, board)}; approved by ${job.approved_by ?? "-"}`),
    job.state === "running" ? now ? progress(job, now) : meeting(job, board) : h("p", {}, STATES[job.state]),
    job.message && job.state === "approved" ? h("p", { class: "caution" }, job.message) : null);
}

function meeting(job, board) {
  return [h("p", { class: "phase" }, "waiting for the partners"), chips(job.parties.filter(name => name !== board.party), [])];
}

function progress(job, now) {
  const known = now.step !== null && now.of > 0;
  const left = now.seconds_left === null ? null : `about ${words.duration(now.seconds_left)} left`;
  const steps = known ? `${words.number(now.step)} of ${words.number(now.of)}` : null;
  return [
    h("p", { class: "phase" }, now.phase ? words.phase(now.phase) : "between two phases",
      [steps, left].some(Boolean) ? h("span", { class: "soft" }, ` ${[steps, left].filter(Boolean).join(", ")}`) : null),
    h("progress", known ? { max: now.of, value: now.step, "aria-label": `${job.job}: ${now.phase}` } : { "aria-label": `${job.job}: under way` }),
    h("div", { class: "line" }, chips(now.missing, now.peers),
      h("p", { class: "soft small traffic" }, `${words.size(now.bytes_sent)} sent, ${words.size(now.bytes_received)} received`)),
  ];
}

function chips(missing, peers) {
  const chip = (name, state, text) => h("li", { class: "chip", "data-state": state, "data-key": name }, `${name}: ${text}`);
  return h("ul", { class: "chips", "aria-label": "Partners" },
    peers.map(name => chip(name, "good", "connected")), missing.map(name => chip(name, "watch", "awaited")));
}

const SERVING = { answering: "good", publishing: "watch", connecting: "watch", starting: "watch", ended: "bad" };

function online(board) {
  if (!board.online.length) return [];
  return [
    title("online", "Online scores", board.online.length),
    board.online.map(one => h("article", { class: "job", "data-key": one.job_digest, "aria-label": `Online scores of ${one.job}` },
      h("div", { class: "line" }, h("h3", {}, one.job),
        h("p", { class: "chip", "data-state": one.runs ? SERVING[one.doing] : "bad" }, one.runs ? one.doing : "no process lives")),
      h("p", { class: "soft small" }, `published by ${one.by}`, one.epoch ? `; epoch ${one.epoch.slice(0, 12)}` : null),
      one.error ? h("p", { class: "caution" }, one.error) : null)),
  ];
}

function stopped(board, page) {
  const jobs = board.jobs.filter(job => job.state === "failed" || job.state === "cancelled");
  if (!jobs.length) return [];
  return [
    title("stopped", "Failed or cancelled", jobs.length),
    jobs.map(job => h("article", { class: "job", "data-key": job.digest, "aria-label": named(job) },
      h("div", { class: "line" }, h("h3", {}, job.job, h("span", { class: "outcome", "data-state": job.state }, STATES[job.state])),
        page.may() ? button("approve", job.digest, "Approve again…", { class: "quiet", "aria-label": `Approve ${named(job)} again` }) : null),
      h("p", { class: "soft small" }, `with ${partners(job, board)}; ${words.moment(job.changed)}`),
      job.message ? h("p", { class: "message" }, job.message) : null)),
  ];
}

function finished(board) {
  const going = new Set(board.jobs.filter(job => job.progress).map(job => job.progress.run));
  return board.runs.filter(one => !going.has(one.run));
}

function runs(board, page) {
  const over = finished(board);
  return [
    title("runs", "Runs", over.length),
    over.length ? null : empty("No run is over yet."),
    h("ul", { class: "rows" }, over.map(one => row(one, page))),
    board.left_out ? empty(`${words.plural(board.left_out, "older job or run", "older jobs and runs")}: vfl runs PARTY.toml lists all.`) : null,
  ];
}

function row(one, page) {
  const ledger = page.ledgers.get(one.run);
  const id = `ledger-${one.run}`;
  return h("li", { "data-key": one.run },
    h("div", { class: "row" },
      h("span", { class: "job-name" }, one.job),
      h("span", { class: "soft small" }, `${words.command(one.command)}, ${one.started ? words.moment(one.started) : "-"}`),
      h("span", { class: "outcome", "data-state": one.outcome }, one.outcome),
      h("span", { class: "links" },
        one.report ? h("a", { href: one.report, target: "_blank", rel: "noopener", "aria-label": `Report of ${one.run}` }, "Report") : null,
        one.ledger ? button("ledger", one.run, "Ledger", { class: "link", "aria-expanded": String(Boolean(ledger)), "aria-controls": ledger ? id : null, "aria-label": `Ledger of ${one.run}` }) : null)),
    ledger ? h("div", { id, class: "ledger", role: "region", "aria-label": `Ledger of ${one.run}` }, ledgerOf(ledger)) : null);
}

function ledgerOf({ content, problem }) {
  if (problem) return h("p", { class: "caution" }, problem);
  if (!content) return h("p", { class: "soft" }, "Reading the ledger…");
  const lines = {
    "sent": `${words.plural(content.messages, "message")}, ${words.size(content.bytes)}`,
    "received": content.received.map(one => `${words.plural(one.messages, "message")}, ${words.size(one.bytes)} from ${one.peer}`).join("; ") || "nothing",
    "started by": content.started_by ?? "-",
    ...(content.job_approved ? { "job approved": content.job_approved } : {}),
    "ended": content.ended ? `${words.moment(content.ended)}: ${content.outcome}` : "never closed: it runs, or was killed",
  };
  const revealed = content.kinds.filter(one => one.disclosure === "revealed");
  const others = content.kinds.filter(one => one.disclosure !== "revealed");
  return [
    content.fault ? h("p", { class: "caution" }, `Do not rely on it: ${content.fault}`) : null,
    facts(lines),
    revealed.length ? messages("Messages from which the receiver learns something", revealed) : empty("No message from which the receiver learns something was sent."),
    others.length
      ? h("details", {}, h("summary", {}, `${words.plural(others.length, "kind")} of messages from which the receiver learns nothing beyond the job`), messages("Other messages", others))
      : null,
  ];
}

function messages(name, kinds) {
  const head = ["to", "message", "class", "what the receiver learns", "count", "bytes"];
  return h("table", { class: "messages", "aria-label": name },
    h("colgroup", {}, head.map((_, index) => h("col", { class: `c${index}` }))),
    h("thead", {}, h("tr", {}, head.map((text, index) => h("th", { scope: "col", class: index > 3 ? "n" : null }, text)))),
    h("tbody", {}, kinds.map(one => h("tr", {},
      h("th", { scope: "row" }, one.to), h("td", { class: "mono" }, one.message), h("td", { class: "kind" }, one.disclosure),
      h("td", { class: "learns" }, one.learns), h("td", { class: "n count" }, words.number(one.count)), h("td", { class: "n" }, words.size(one.bytes))))));
}

function certificate(one) {
  if (one.expires === null) return h("p", { class: "chip", "data-state": "bad" }, "its certificate cannot be read");
  const state = one.days_left < 0 ? "bad" : one.days_left < SOON ? "watch" : "good";
  const text = one.days_left < 0 ? `certificate expired on ${words.day(one.expires)}` : `certificate until ${words.day(one.expires)}, ${words.plural(one.days_left, "day")}`;
  return h("p", { class: "chip", "data-state": state }, text);
}

function partnersView(board) {
  return [
    title("partners", "Partners"),
    board.unreadable ? h("p", { class: "caution" }, board.unreadable) : null,
    h("div", { class: "cards" },
      h("article", { class: "card own", "data-key": board.party }, h("h3", {}, `${board.party}, this party`), certificate(board.own)),
      board.partners.map(one => h("article", { class: "card", "data-key": one.partner, "aria-label": one.partner },
        h("h3", {}, one.partner), certificate(one), h("ul", { class: "budgets" }, one.budgets.map(limit => spent(limit, one)))))),
  ];
}

function spent(one, partner) {
  const text = one.limit === null ? words.number(one.used) : `${words.number(one.used)} of ${words.number(one.limit)}`;
  const name = `${words.budget(one.budget)}, ${words.period(one.period)}`;
  return h("li", { "data-key": `${one.budget} ${one.period}` },
    h("div", { class: "line" }, h("span", {}, words.budget(one.budget), " ", h("span", { class: "soft" }, words.period(one.period))), h("span", { class: "n" }, text)),
    one.limit ? h("meter", { min: 0, max: one.limit, low: 0, high: one.limit * 0.8, optimum: 0, value: Math.min(one.used, one.limit), "aria-label": `${name}, with ${partner.partner}` }, text) : null);
}

export const VIEWS = { summary, waiting, running, online, stopped, runs, partners: partnersView };
