export function Scatter() { return <p>Scatter</p>; }
