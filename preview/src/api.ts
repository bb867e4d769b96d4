// Calls of the admin API, which the command line uses too. The token comes from the URL.

export interface Overview {
  directory: string | null;
  templates: { name: string; chat: string | null; file: string | null }[];
  samples: { name: string; about: string }[];
}

export interface Problem {
  severity: "error" | "warning";
  message: string;
  help: string | null;
  file: string | null;
  line: number | null;
  column: number | null;
}

export interface Drawing {
  problems: Problem[];
  failures: string[];
  skip: string | null;
  used: string;
  line: string;
  console: string;
  chats: Record<string, any>;
}

export interface Draft {
  template: string;
  chat?: string;
  text: string;
  event?: string;
}

const KEPT = "hookbell.token";

/** The token. It is removed from the URL, so that it is not copied with it. */
function token(): string {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEPT) ?? "";
}

const authorization = `Bearer ${token()}`;

async function ask<T>(path: string, body?: unknown): Promise<T> {
  const response = await fetch(`/api/v1/preview${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? `status ${response.status}`);
  return answer as T;
}

export const overview = () => ask<Overview>("");
export const draw = (draft: Draft) => ask<Drawing>("/draw", draft);
export const save = (draft: Draft) => ask<{ file: string }>("/save", draft);
export const template = (name: string, chat: string | null) =>
  ask<{ text: string; file: string | null }>(`/templates/${encodeURIComponent(name)}${chat ? `?chat=${chat}` : ""}`);
