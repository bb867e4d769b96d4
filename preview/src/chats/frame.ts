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
