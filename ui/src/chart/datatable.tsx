// What a chart draws, as a table: for screen readers, and for whoever wants the numbers.

import { Dialog } from "../parts/controls";
import { formatX } from "./axis";
import type { Model } from "./model";
import { textAt } from "./names";

const MOST_ROWS = 200;
const MOST_LINES = 20;

export function DataTable({ model, title, onClose }: { model: Model; title: string; onClose(): void }) {
  const lines = model.lines.slice(0, MOST_LINES);
  const rows = Array.from({ length: Math.min(model.at.length, MOST_ROWS) }, (_, index) => index);
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="datatable">
        <table>
          <thead>
            <tr>
              <th scope="col">{model.style.x}</th>
              {lines.map(({ line, name }) => (
                <th scope="col" key={line.id} title={name}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((index) => (
              <tr key={index}>
                <th scope="row">{formatX(model.left[index] as number, model.style.x)}</th>
                {lines.map((drawn) => (
                  <td key={drawn.line.id}>{drawn.count[index] ? textAt(drawn, index) : ""}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {(model.at.length > rows.length || model.lines.length > lines.length) && (
        <p>
          The first {rows.length} of {model.at.length} rows and {lines.length} of{" "}
          {model.lines.length} lines. Zoom in, or export CSV, for the rest.
        </p>
      )}
    </Dialog>
  );
}
