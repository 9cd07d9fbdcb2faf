export function Charts() { return <p>Charts</p>; }
