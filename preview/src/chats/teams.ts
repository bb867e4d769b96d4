// Cards, with Microsoft's own renderer. Its default style is not that of a client; colours and sizes below are Teams'.
import * as AdaptiveCards from "adaptivecards";
import MarkdownIt from "markdown-it";
import type { Theme } from "./frame";

const markdown = new MarkdownIt({ html: false, linkify: false });
/** Names that the entities of the card mention. */
let mentioned = new Set<string>();

AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = markdown
    .render(text)
    .replace(/&lt;at&gt;(.*?)&lt;\/at&gt;/g, (all, name) => (mentioned.has(name) ? `<span class="mention">${name}</span>` : all));
  result.didProcess = true;
};

interface Look {
  text: string;
  subtle: string;
  link: string;
  good: string;
  warning: string;
  attention: string;
  back: Record<"default" | "emphasis" | "good" | "attention" | "warning" | "accent", string>;
}

const LOOKS: Record<Theme, Look> = {
  light: {
    text: "#242424", subtle: "#616161", link: "#5b5fc7", good: "#13a10e", warning: "#835c00", attention: "#c4314b",
    back: { default: "#ffffff", emphasis: "#f5f5f5", good: "#e7f2da", attention: "#fcf4f6", warning: "#fbf6d9", accent: "#e8ebfa" },
  },
  dark: {
    text: "#ffffff", subtle: "#adadad", link: "#7f85f5", good: "#92c353", warning: "#f8d22a", attention: "#e37d80",
    back: { default: "#292929", emphasis: "#1f1f1f", good: "#0d2e0d", attention: "#3e1f25", warning: "#463100", accent: "#2f2f4a" },
  },
};

function hostConfig(theme: Theme): AdaptiveCards.HostConfig {
  const { text, subtle, link, good, warning, attention, back } = LOOKS[theme];
  const colour = (shade: string) => ({ default: shade, subtle: shade });
  const colours = {
    default: { default: text, subtle }, dark: colour(text), light: colour(subtle), accent: colour(link),
    good: colour(good), warning: colour(warning), attention: colour(attention),
  };
  const container = (backgroundColor: string) => ({ backgroundColor, foregroundColors: colours });
  return new AdaptiveCards.HostConfig({
    fontFamily: '"Segoe UI", "Liberation Sans", sans-serif',
    fontSizes: { small: 12, default: 14, medium: 14, large: 18, extraLarge: 24 },
    fontWeights: { lighter: 400, default: 400, bolder: 600 },
    lineHeights: { small: 16, default: 20, medium: 20, large: 24, extraLarge: 32 },
    spacing: { small: 8, default: 12, medium: 16, large: 20, extraLarge: 24, padding: 16 },
    separator: { lineThickness: 1, lineColor: back.emphasis },
    containerStyles: {
      default: container(back.default), emphasis: container(back.emphasis), good: container(back.good),
      attention: container(back.attention), warning: container(back.warning), accent: container(back.accent),
    },
    factSet: {
      title: { weight: "bolder", wrap: true, maxWidth: 150 },
      value: { wrap: true },
      spacing: 12,
    },
    actions: { maxActions: 6, actionsOrientation: "horizontal", buttonSpacing: 8, spacing: "default" },
    supportsInteractivity: true,
  });
}

export function teams(place: Element, body: any, theme: Theme): void {
  const frame = document.createElement("div");
  frame.className = `teams teams-${theme}`;
  for (const attachment of body.attachments ?? []) {
    const card = new AdaptiveCards.AdaptiveCard();
    card.hostConfig = hostConfig(theme);
    card.parse(attachment.content);
    mentioned = new Set((attachment.content.msteams?.entities ?? []).map((entity: any) => markdown.utils.escapeHtml(entity.mentioned?.name ?? "")));
    const drawn = card.render();
    if (drawn) frame.append(drawn);
  }
  place.replaceChildren(frame);
}
