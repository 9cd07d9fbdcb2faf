export function RunPage(props: { runId: string; writes: boolean }) { return <p>{props.runId}</p>; }
