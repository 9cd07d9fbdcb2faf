// The overlay that tells which key does what.

import { shortcuts } from "../keyboard";
import { Dialog } from "./controls";

const NAMES: Readonly<Record<string, string>> = {
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
  " ": "Space",
  Escape: "Esc",
};

export function KeyboardHelp({ onClose }: { onClose(): void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <table class="keys">
        <tbody>
          {shortcuts().map(({ key, does }) => (
            <tr key={`${key} ${does}`}>
              <th scope="row">
                <kbd>{NAMES[key] ?? key}</kbd>
              </th>
              <td>{does}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Dialog>
  );
}
