// Draws one message body with a vendor's own renderer; `draw.mjs` calls `window.draw` in a headless browser.
import React from "react";
import { createRoot } from "react-dom/client";
import { Message } from "slack-blocks-to-jsx";
import "slack-blocks-to-jsx/dist/style.css";
import * as AdaptiveCards from "adaptivecards";
import MarkdownIt from "markdown-it";
import "@skyra/discord-components-core";

const LOGO =
  "data:image/svg+xml," +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" width="36" height="36"><rect width="36" height="36" rx="8" fill="#3b3f8f"/>' +
      '<path d="M18 8a6 6 0 0 0-6 6v6l-2 3h16l-2-3v-6a6 6 0 0 0-6-6z" fill="#fff"/><circle cx="18" cy="26" r="2" fill="#fff"/></svg>',
  );
const TIME = new Date(2026, 10, 20, 15, 20);

function Slack({ body, theme }) {
  return (
    <div className={`slack slack-${theme}`}>
      <Message blocks={body.blocks} name="Hookbell" logo={LOGO} time={TIME} theme={theme} />
      {(body.attachments ?? []).map((attachment, n) => (
        <div className="slack-attachment" key={n} style={{ borderColor: attachment.color }}>
          <Message blocks={attachment.blocks} withoutWrapper theme={theme} />
        </div>
      ))}
    </div>
  );
}

function teams(root, body, theme, hostConfig) {
  const markdown = new MarkdownIt({ html: false, linkify: false });
  AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {
    result.outputHtml = markdown.render(text);
    result.didProcess = true;
  };
  const card = new AdaptiveCards.AdaptiveCard();
  if (hostConfig) card.hostConfig = new AdaptiveCards.HostConfig(hostConfig);
  card.parse(body.attachments[0].content);
  const frame = document.createElement("div");
  frame.className = `teams teams-${theme}`;
  frame.append(card.render());
  root.append(frame);
}

function discord(root, body, theme) {
  const markdown = new MarkdownIt({ html: false, linkify: false, breaks: true });
  const light = theme === "light";
  const messages = document.createElement("discord-messages");
  const message = document.createElement("discord-message");
  Object.assign(message, { author: "Hookbell", avatar: LOGO, bot: true, timestamp: TIME, lightTheme: light });
  messages.lightTheme = light;
  const html = (text) => {
    const span = document.createElement("div");
    span.className = "discord-markdown";
    span.innerHTML = markdown.render(text);
    return span;
  };
  const inline = (text) => markdown.renderInline(text).replace(/<[^>]+>/g, "");
  if (body.content) message.append(html(body.content));
  for (const embed of body.embeds ?? []) {
    const element = document.createElement("discord-embed");
    Object.assign(element, {
      slot: "embeds",
      color: `#${embed.color.toString(16).padStart(6, "0")}`,
      embedTitle: embed.title && inline(embed.title),
      url: embed.url,
      authorName: embed.author?.name,
      lightTheme: light,
    });
    if (embed.description) {
      const description = document.createElement("discord-embed-description");
      description.slot = "description";
      description.append(html(embed.description));
      element.append(description);
    }
    if (embed.fields) {
      const fields = document.createElement("discord-embed-fields");
      fields.slot = "fields";
      embed.fields.forEach((field, n) => {
        const item = document.createElement("discord-embed-field");
        Object.assign(item, { fieldTitle: inline(field.name), inline: field.inline, inlineIndex: (n % 3) + 1, lightTheme: light });
        item.append(html(field.value));
        fields.append(item);
      });
      element.append(fields);
    }
    if (embed.footer || embed.timestamp) {
      const footer = document.createElement("discord-embed-footer");
      Object.assign(footer, { slot: "footer", timestamp: embed.timestamp && new Date(embed.timestamp), lightTheme: light });
      if (embed.footer) footer.append(embed.footer.text);
      element.append(footer);
    }
    message.append(element);
  }
  messages.append(message);
  root.append(messages);
}

window.draw = (chat, body, theme, hostConfig) => {
  document.body.className = theme;
  document.body.innerHTML = '<div id="root"></div>';
  const root = document.getElementById("root");
  if (chat === "slack") createRoot(root).render(<Slack body={body} theme={theme} />);
  else if (chat === "teams") teams(root, body, theme, hostConfig);
  else discord(root, body, theme);
};
