export function RunsTable(props: { writes: boolean }) { return <p>{String(props.writes)}</p>; }
