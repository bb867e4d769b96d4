// The page: a template on the left, the message in each chat on the right. It updates on input, and when the file changes.
import * as api from "./api";
import { withPlaceholders, type Theme } from "./chats/frame";
import { discord } from "./chats/discord";
import { slack } from "./chats/slack";
import { teams } from "./chats/teams";

/** Time without input before the message is rendered, in milliseconds. */
const QUIET = 120;
/** Interval at which the file is read again, in milliseconds: it may be edited elsewhere. */
const LOOK = 700;

const at = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;
const [chosen, event, text] = [at<HTMLSelectElement>("template"), at<HTMLInputElement>("event"), at<HTMLTextAreaElement>("text")];
const [lines, problems, note, file] = [at("lines"), at("problems"), at("note"), at("file")];
const saving = at<HTMLButtonElement>("save");

let theme: Theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
/** The last known content of the file. */
let onDisk = "";
let writable = false;
/** Unsaved text, by template. */
const drafts = new Map<string, string>();
let last: api.Drawing | null = null;
let turn = 0;

/** The selected template: its name, and its chat if it is for one chat only. */
function template(): { name: string; chat: string | null } {
  const [name, chat] = chosen.value.split("@");
  return { name: name ?? "", chat: chat ?? null };
}

function draft(): api.Draft {
  const { name, chat } = template();
  return { template: name, text: text.value, event: event.value.trim() || undefined, ...(chat ? { chat } : {}) };
}

async function redraw(): Promise<void> {
  const mine = ++turn;
  try {
    const drawn = await api.draw(draft());
    if (mine !== turn) return;
    last = drawn;
    show();
  } catch (error) {
    if (mine === turn) note.textContent = String((error as Error).message);
  }
}

function show(): void {
  if (!last) return;
  const said = [...last.failures.map((failure) => `The template failed, so \`${last!.used}\` is used: ${failure}`)];
  const isBroken = last.problems.some((problem) => problem.severity === "error");
  if (isBroken) said.unshift(`The template has errors. This is the last valid \`${last.used}\`.`);
  if (last.skip) said.unshift(`Skipped, nothing would be sent: ${last.skip}`);
  note.textContent = said.join("\n");
  at("line").textContent = last.line;
  at("console").textContent = last.console;
  slack(at("slack"), withPlaceholders(last.chats.slack), theme);
  teams(at("teams"), withPlaceholders(last.chats.teams), theme);
  discord(at("discord"), withPlaceholders(last.chats.discord), theme);
  problems.replaceChildren(...last.problems.map(entry));
  number(last.problems);
}

function entry(problem: api.Problem): HTMLLIElement {
  const item = document.createElement("li");
  item.className = problem.severity;
  const part = (sort: string, words: string) => {
    const element = document.createElement("div");
    element.className = sort;
    element.textContent = words;
    return element;
  };
  const where = [problem.file, problem.line, problem.column].filter((part) => part !== null).join(":");
  item.append(part("where", `${problem.severity}${where ? ` at ${where}` : ""}`), part("message", problem.message));
  if (problem.help) item.append(part("help", problem.help));
  item.addEventListener("click", () => go(problem.line ?? 1, problem.column ?? 1));
  return item;
}

/** Moves the caret to a problem. */
function go(line: number, column: number): void {
  const before = text.value.split("\n").slice(0, line - 1);
  const position = before.reduce((all, one) => all + one.length + 1, 0) + column - 1;
  text.focus();
  text.setSelectionRange(position, position);
  text.scrollTop = (line - 5) * 20;
}

/** Numbers the lines, and marks those with problems. */
function number(found: api.Problem[]): void {
  const count = text.value.split("\n").length;
  const marks = new Map(found.filter((problem) => !problem.file).map((problem) => [problem.line, problem]));
  const numbers = Array.from({ length: count }, (_, n) => {
    const span = document.createElement("span");
    const problem = marks.get(n + 1);
    span.textContent = String(n + 1);
    if (problem) [span.className, span.title] = [problem.severity, problem.message];
    return span;
  });
  lines.replaceChildren(...numbers);
  lines.scrollTop = text.scrollTop;
}

function changed(): void {
  saving.disabled = !writable || text.value === onDisk;
  if (text.value === onDisk) drafts.delete(chosen.value);
  else drafts.set(chosen.value, text.value);
  number(last?.problems ?? []);
}

let waiting: ReturnType<typeof setTimeout> | undefined;
function later(): void {
  changed();
  clearTimeout(waiting);
  waiting = setTimeout(redraw, QUIET);
}

async function load(): Promise<void> {
  const { name, chat } = template();
  const found = await api.template(name, chat);
  [onDisk, text.value] = [found.text, drafts.get(chosen.value) ?? found.text];
  file.textContent = found.file ?? (writable ? "built in; Save creates a file" : "built in");
  changed();
  await redraw();
}

/** Loads a change that was saved elsewhere, unless it would overwrite unsaved text here. */
async function look(): Promise<void> {
  if (document.hidden || !chosen.value) return;
  const { name, chat } = template();
  const found = await api.template(name, chat).catch(() => null);
  if (!found || found.text === onDisk || chosen.value !== [name, chat].filter(Boolean).join("@")) return;
  const isMine = text.value !== onDisk;
  onDisk = found.text;
  if (isMine) {
    note.textContent = "The file was changed elsewhere. Save replaces it with this text.";
  } else {
    text.value = found.text;
  }
  later();
}

async function save(): Promise<void> {
  try {
    const saved = await api.save(draft());
    onDisk = text.value;
    file.textContent = saved.file;
    changed();
    list(await api.overview());
  } catch (error) {
    note.textContent = String((error as Error).message);
  }
}

function dress(next: Theme): void {
  theme = next;
  document.body.className = next;
  at("theme").textContent = next === "light" ? "Dark" : "Light";
  show();
}

/** Lists the templates, and keeps the selection. */
function list({ templates }: api.Overview): void {
  const before = chosen.value;
  chosen.replaceChildren(
    ...templates.map(({ name, chat, file }) => {
      const marks = [chat, file && "yours"].filter(Boolean).join(", ");
      const label = marks ? `${name} (${marks})` : name;
      return new Option(label, chat ? `${name}@${chat}` : name);
    }),
  );
  if (before) chosen.value = before;
}

async function start(): Promise<void> {
  dress(theme);
  const all = await api.overview();
  writable = all.directory !== null;
  list(all);
  at("samples").replaceChildren(...all.samples.map(({ name, about }) => new Option(about, name)));
  chosen.value = all.templates.some(({ name }) => name === "pull_request.opened") ? "pull_request.opened" : chosen.value;
  const samples = new Set(all.samples.map(({ name }) => name));
  const suit = () => {
    const { name } = template();
    const first = samples.has(name) ? name : [...samples].find((sample) => sample.startsWith(name));
    event.value = first ?? "push";
  };
  suit();
  await load();
  chosen.addEventListener("change", () => {
    suit();
    void load();
  });
  event.addEventListener("change", () => void redraw());
  text.addEventListener("input", later);
  text.addEventListener("scroll", () => (lines.scrollTop = text.scrollTop));
  saving.addEventListener("click", () => void save());
  at("theme").addEventListener("click", () => dress(theme === "light" ? "dark" : "light"));
  addEventListener("keydown", (key) => {
    if ((key.ctrlKey || key.metaKey) && key.key === "s") {
      key.preventDefault();
      if (!saving.disabled) void save();
    }
  });
  addEventListener("beforeunload", (leaving) => {
    if (drafts.size) leaving.preventDefault();
  });
  setInterval(() => void look(), LOOK);
}

start().catch((error) => {
  note.textContent = `${error.message}. Open the URL that \`hookbell preview\` prints; it contains the token.`;
});
