// The menu that chooses the experiments whose runs are listed.

import { useState } from "preact/hooks";

import type { Experiment } from "../data/api";
import { setView, toggled, useView } from "../view";
import { Check, Field, Menu } from "./controls";

export function ExperimentMenu({ experiments }: { experiments: readonly Experiment[] }) {
  const view = useView();
  const [sought, setSought] = useState("");
  const names = new Map(experiments.map((each) => [each.experiment_id, each.name]));
  const [only] = view.experiments;
  const title =
    view.experiments.length > 1
      ? `${view.experiments.length} experiments`
      : only === undefined
        ? "All experiments"
        : (names.get(only) ?? only);
  const shown = experiments.filter(({ name }) => name.toLowerCase().includes(sought.toLowerCase()));
  const choose = (chosen: readonly string[]) => setView({ experiments: chosen, runs: [], hidden: [] });
  return (
    <Menu label="Experiments" content={<span class="experiments-title">{title} ▾</span>}>
      <Field label="Find" value={sought} onChange={setSought} />
      <ul class="experiments">
        <li>
          <Check label="All" checked={!view.experiments.length} onChange={() => choose([])} />
        </li>
        {shown.map(({ experiment_id, name }) => (
          <li key={experiment_id}>
            <Check
              label={name}
              checked={view.experiments.includes(experiment_id)}
              onChange={() => choose(toggled(view.experiments, experiment_id))}
            />
          </li>
        ))}
      </ul>
    </Menu>
  );
}
