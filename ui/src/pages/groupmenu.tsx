// The menu that chooses the fields by which runs are put into groups.

import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";

import type { Detail } from "../data/api";
import { Button, Check, Field, Menu } from "../parts/controls";
import { setView, toggled, useView } from "../view";
import { type Choice, fieldTitle, groupChoices } from "./fields";

/** Where there are more fields, they can be searched. */
const MANY = 12;
const LISTED = 100;

interface GroupMenuProps {
  runs: readonly Detail[];
  /** What else can be chosen for groups, while there are some. */
  extra?: ComponentChildren;
}

export function GroupMenu({ runs, extra }: GroupMenuProps) {
  const { group } = useView();
  const titles = group.map((field) => fieldTitle(field));
  return (
    <Menu
      label="Group runs"
      content={
        <span class={group.length ? "grouped on" : "grouped"} title={titles.join(", ")}>
          {group.length ? `Group: ${titles.join(", ")}` : "Group"} ▾
        </span>
      }
    >
      <GroupChoices runs={runs} />
      {group.length > 0 && extra}
      {group.length > 0 && <Button onClick={() => setView({ group: [] })}>Single runs</Button>}
    </Menu>
  );
}

function GroupChoices({ runs }: { runs: readonly Detail[] }) {
  const { group } = useView();
  const [sought, setSought] = useState("");
  const choices = useMemo(() => groupChoices(runs), [runs]);
  const gone = group.filter((field) => !choices.some((each) => each.field === field));
  const all = [...gone.map((field): Choice => ({ field, values: 1 })), ...choices];
  const found = all.filter(({ field }) => field.toLowerCase().includes(sought.toLowerCase()));
  return (
    <div class="group-choices">
      {all.length > MANY && <Field label="Find" value={sought} onChange={setSought} />}
      <ul>
        {found.slice(0, LISTED).map(({ field, values }) => (
          <li key={field} class={values > 1 ? "" : "soft"}>
            <Check
              label={fieldTitle(field)}
              checked={group.includes(field)}
              onChange={() => setView({ group: toggled(group, field) })}
            />
            <span class="soft" title="Different values in the drawn runs">{values}</span>
          </li>
        ))}
      </ul>
      {found.length > LISTED && <p class="soft">{found.length - LISTED} more: search for them.</p>}
    </div>
  );
}
