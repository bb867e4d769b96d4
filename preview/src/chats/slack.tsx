// Slack's blocks, with slack-blocks-to-jsx. The bar and the order of attachments, which it lacks, are added here.
import { createRoot, type Root } from "react-dom/client";
import { Message } from "slack-blocks-to-jsx";
import "slack-blocks-to-jsx/dist/style.css";
import { LOGO, TIME, type Theme } from "./frame";

/** Slack formats such a text like any other; the renderer does not. */
const formatted = (body: any): any => JSON.parse(JSON.stringify(body, (key, value) => (key === "verbatim" ? undefined : value)));

const roots = new WeakMap<Element, Root>();

function Shown({ body, theme }: { body: any; theme: Theme }) {
  const blocks = body.blocks ?? [{ type: "section", text: { type: "mrkdwn", text: body.text ?? "" } }];
  return (
    <div className={`slack slack-${theme}`}>
      <Message blocks={blocks} name="Hookbell" logo={LOGO} time={TIME} theme={theme} />
      {(body.attachments ?? []).map((attachment: any, n: number) => (
        <div className="slack-attachment" key={n} style={{ borderColor: attachment.color }}>
          <Message blocks={attachment.blocks ?? []} name="" logo="" withoutWrapper theme={theme} />
        </div>
      ))}
    </div>
  );
}

export function slack(place: Element, body: any, theme: Theme): void {
  const root = roots.get(place) ?? createRoot(place);
  roots.set(place, root);
  root.render(<Shown key={JSON.stringify(body)} body={formatted(body)} theme={theme} />);
}
