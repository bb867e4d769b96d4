// Values that the frames of all chats share.

export type Theme = "light" | "dark";

export const LOGO =
  "data:image/svg+xml," +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" width="36" height="36"><rect width="36" height="36" rx="8" fill="#3b3f8f"/>' +
      '<path d="M18 8a6 6 0 0 0-6 6v6l-2 3h16l-2-3v-6a6 6 0 0 0-6-6z" fill="#fff"/><circle cx="18" cy="26" r="2" fill="#fff"/></svg>',
  );

/** A fixed time, so that pictures differ only if the message does. */
export const TIME = new Date(2026, 10, 20, 15, 20);

/** Colours of placeholders. */
const COLOURS = ["#3b6ea5", "#7a4b9a", "#2f7f6b", "#a5533b", "#8a6d1f"];

/** A picture with the initials of a name. */
function initials(name: string): string {
  const letters = name.split(/\s+/).map((word) => word[0] ?? "").join("").slice(0, 2).toUpperCase();
  const colour = COLOURS[[...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % COLOURS.length];
  const text = letters.replace(/[^\p{L}\p{N}]/gu, "");
  return (
    "data:image/svg+xml," +
    encodeURIComponent(
      `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40" rx="20" fill="${colour}"/>` +
        `<text x="20" y="26" font-family="sans-serif" font-size="16" fill="#fff" text-anchor="middle">${text}</text></svg>`,
    )
  );
}

/** Replaces the pictures of people by placeholders: the page loads nothing from other hosts. */
export function withPlaceholders(body: any): any {
  if (Array.isArray(body)) return body.map(withPlaceholders);
  if (body === null || typeof body !== "object") return body;
  const made = Object.fromEntries(Object.entries(body).map(([key, value]) => [key, withPlaceholders(value)]));
  if (made.type === "image" && made.alt_text !== undefined && made.title === undefined) made.image_url = initials(made.alt_text);
  if (made.type === "Image" && made.style === "Person") made.url = initials(made.altText ?? "");
  if (made.icon_url !== undefined && made.name !== undefined) made.icon_url = initials(made.name);
  return made;
}
