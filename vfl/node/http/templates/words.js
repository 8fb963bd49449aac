// Numbers, times and names in a reader's words.

const PHASES = {
  connect: "connecting to the partners",
  align: "aligning ids",
  prepare: "preparing iterations",
  train: "training",
  averaging: "averaging",
  bin: "binning columns",
  search: "searching",
  score: "scoring rows",
  evaluate: "evaluating",
  write: "writing results",
  finish: "waiting for all to finish",
};
const COMMANDS = { run: "training", align: "alignment", predict: "prediction", prepare: "preparation", score: "online scores" };
const BUDGETS = {
  runs_per_partner_per_month: "Trainings and alignments",
  predictions_per_partner_per_month: "Predictions",
  models_per_label: "Models of the same labels",
  rows_per_label_number: "Numbers computed from labels",
  score_vectors: "Score vectors of the same columns",
  scores_per_row: "Scores of a row by one model",
  epsilon: "Privacy budget, epsilon",
  queries_per_partner_per_day: "Online scores",
};
const MONTH = /^(\d{4})-(\d{2})$/;

export const phase = name => PHASES[name] ?? name;
export const command = name => COMMANDS[name] ?? name;
export const budget = name => BUDGETS[name] ?? name.replaceAll("_", " ");

export function period(text) {
  const found = MONTH.exec(text);
  if (!found) return text;
  return new Date(Number(found[1]), Number(found[2]) - 1).toLocaleDateString("en-GB", { month: "long", year: "numeric" });
}

export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0, value = bytes;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function number(value) {
  return value === null ? "-" : value.toLocaleString("en-GB", { maximumFractionDigits: 3 });
}

export function duration(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(seconds < 36000 ? 1 : 0)} h`;
}

export function moment(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return text;
  const today = new Date().toDateString() === time.toDateString();
  const clock = time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return today ? `today, ${clock}` : `${day(text)}, ${clock}`;
}

export function day(text) {
  return new Date(text).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}
