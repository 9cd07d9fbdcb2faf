// Where the page begins.

import { render } from "preact";

import { App } from "./app";
import { clock } from "./data/clock";
import { startKeyboard } from "./keyboard";
import "./styles.css";
import { startView } from "./view";

startView();
startKeyboard();
clock.start();
const root = document.getElementById("app");
if (root) render(<App />, root);
