// Everything here only adds to pages that work without it. Each module looks for its own attributes and does nothing without them.
import { copyButtons } from "./copy.js";
import { filters } from "./filter.js";
import { finder } from "./find.js";
import { keys } from "./keys.js";
import { preferences } from "./preferences.js";
import { progress } from "./progress.js";
import { selection } from "./select.js";
import { sorting } from "./sort.js";

for (const start of [preferences, copyButtons, filters, selection, sorting, finder, keys, progress]) {
  try {
    start();
  } catch (error) {
    console.error(error); // one module must not take the others with it
  }
}
