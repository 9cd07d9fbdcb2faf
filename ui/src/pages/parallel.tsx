export function Parallel() { return <p>Parallel</p>; }
