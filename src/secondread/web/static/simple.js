// A page without shortcuts of its own: the list of those that every page has.

import { bindPage } from "./places.js";

bindPage([]);
