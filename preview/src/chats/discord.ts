// Discord messages, with the community's components. They do not render Markdown; markdown-it does.
import MarkdownIt from "markdown-it";
import "@skyra/discord-components-core";
import { LOGO, TIME, type Theme } from "./frame";

const markdown = new MarkdownIt({ html: false, linkify: false, breaks: true });

function html(text: string): HTMLElement {
  const element = document.createElement("div");
  element.className = "discord-markdown";
  element.innerHTML = markdown.render(text);
  return element;
}

const inline = (text: string) => markdown.renderInline(text).replace(/<[^>]+>/g, "");

function element(name: string, properties: object, slot?: string): HTMLElement {
  const made = Object.assign(document.createElement(name), properties);
  if (slot) made.slot = slot;
  return made;
}

function embed(embed: any, lightTheme: boolean): HTMLElement {
  const color = embed.color === undefined ? undefined : `#${embed.color.toString(16).padStart(6, "0")}`;
  const made = element(
    "discord-embed",
    {
      color,
      embedTitle: embed.title && inline(embed.title),
      url: embed.url,
      authorName: embed.author?.name,
      authorImage: embed.author?.icon_url,
      image: embed.image?.url,
      lightTheme,
    },
    "embeds",
  );
  if (embed.description) {
    const description = element("discord-embed-description", {}, "description");
    description.append(html(embed.description));
    made.append(description);
  }
  if (embed.fields) {
    const fields = element("discord-embed-fields", {}, "fields");
    embed.fields.forEach((field: any, n: number) => {
      const item = element("discord-embed-field", {
        fieldTitle: inline(field.name),
        inline: field.inline,
        inlineIndex: field.inline ? (n % 3) + 1 : undefined,
        lightTheme,
      });
      item.append(html(field.value));
      fields.append(item);
    });
    made.append(fields);
  }
  if (embed.footer || embed.timestamp) {
    const timestamp = embed.timestamp && new Date(embed.timestamp);
    const footer = element("discord-embed-footer", { timestamp, lightTheme }, "footer");
    if (embed.footer) footer.append(embed.footer.text);
    made.append(footer);
  }
  return made;
}

/** The text above the embeds. Only allowed mentions are shown as such. */
function content(text: string, allowed: any): HTMLElement {
  const ids = new Set<string>([...(allowed?.users ?? []), ...(allowed?.roles ?? [])]);
  const element = html(text);
  element.innerHTML = element.innerHTML.replace(/&lt;@(&amp;)?(\d+)&gt;/g, (all, role, id) =>
    ids.has(id) ? `<discord-mention type="${role ? "role" : "user"}">${id}</discord-mention>` : all,
  );
  return element;
}

export function discord(place: Element, body: any, theme: Theme): void {
  const lightTheme = theme === "light";
  const messages = element("discord-messages", { lightTheme });
  const message = element("discord-message", { author: "Hookbell", avatar: LOGO, bot: true, timestamp: TIME, lightTheme });
  if (body.content) message.append(content(body.content, body.allowed_mentions));
  for (const one of body.embeds ?? []) message.append(embed(one, lightTheme));
  messages.append(message);
  place.replaceChildren(messages);
}
